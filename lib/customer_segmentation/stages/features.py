"""Canonical tables to `customer_features`: one row per customer at the as-of date."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial, reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError, closest
from customer_segmentation.contract.features.value import value_features
from customer_segmentation.display.formatting import count, share
from customer_segmentation.features.attributes import attribute_names, with_attributes, with_has_attributes
from customer_segmentation.features.build import (
    active,
    features_from_aggregates,
    features_of_history,
    features_of_lines,
)
from customer_segmentation.features.overflow import overflow_explained
from customer_segmentation.features.rfm_scores import SCORED, CutPoints, cut_points_by_date, rfm_scores
from customer_segmentation.ingest.customers import renamed_attributes
from customer_segmentation.progress import Stage
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.dates import Dates
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.builds import COMMITTED, record_build
from customer_segmentation.stages.customer_history import bring_up_to_date, lines_of_customers, require_matching_returns
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.value_models import keep_value_models, value_model
from customer_segmentation.storage import literal
from customer_segmentation.value import FITTED_TO, ValueModel, with_value


def build_features(run: Run) -> None:
    """Compute and write the run's customers; RFM scores use the cut points of the model that will be used again.

    Where another run has them of the same inputs, all but the scores is taken from there.

    Raises:
        DataRejectedError: no customer has a purchase in the time that counts, or the sums of one are too large.
    """
    with run.progress.stage("features", "one row per customer") as stage, overflow_explained(run.inputs.transactions()):
        other = _run_of_same_features(run)
        if other is not None:
            _take_over(run, other)
            stage.result = f"{_describe_customers(run, stage)}; as run {other} has them"
            return
        outcome = bring_up_to_date(run)
        model, known = run.models.reusable, _known_by_history(run)
        if model is None:
            cuts, value = at_once(
                lambda: _own_cut_points(run, _active(run, known)), lambda: value_model(run, None, lambda: known)
            )
            keep_value_models(run, {run.features_id: value})
        else:
            _require_somebody(run, known)
            cuts, value = CutPoints.from_dict(model.cut_points), value_model(run, model, lambda: known)
        _write(run, _scored(_active(run, _of_everybody(run)), cuts, value), [run])
        remarks = [*([] if model else value.messages), *run.as_of_remarks()]
        stage.result = "; ".join([_describe_customers(run, stage), outcome, *remarks])


def build_features_of_dates(run: Run, days: Sequence[date]) -> None:
    """Compute and write the customers at each of several dates, in one pass over the order lines and in one commit.

    The rows of a date are those that a run as of it writes, under its run_id.

    Args:
        run: of which all but the date counts.
        days: the dates, in any order.

    Raises:
        DataRejectedError: no customer has a purchase in the time that counts at one of the dates, or the sums of one
            are too large.
    """
    dates = Dates(tuple(sorted(set(days))), is_series=True)
    with run.progress.stage("features", "a row per customer and date") as stage:
        require_matching_returns(run)
        with overflow_explained(run.inputs.transactions()):
            lines = lines_of_customers(run, dates)
            features = features_of_lines(lines, run.inputs.engagement(), dates=dates, **_settings(run))
            with persisted(features) as everybody:
                customers = _active(run, everybody)
                cuts = cut_points_by_date(customers)
                for day in dates.days:
                    if day not in cuts:
                        raise DataRejectedError(_nobody_at(run, day))
                runs = {day: run.at(day) for day in dates.days}
                models = {day: each.models.reusable for day, each in runs.items()}
                cuts |= {day: CutPoints.from_dict(model.cut_points) for day, model in models.items() if model}
                scored, parts = rfm_scores(customers, cuts=cuts), []
                fitted: dict[str, ValueModel] = {}
                for day, own in runs.items():
                    of_day = F.col(c.AS_OF_DATE) == F.lit(day)
                    value = value_model(own, models[day], partial(everybody.where, of_day))
                    parts.append(with_value(scored.where(of_day), value))
                    fitted |= {own.features_id: value} if models[day] is None else {}
                keep_value_models(run, fitted)
                _write(run, reduce(DataFrame.unionByName, parts), list(runs.values()))
                # No run has these features: what is on record keeps them from being taken for leftovers.
                made = {"runs": [each.run_id for each in runs.values()]}
                record_build(run, t.CUSTOMER_FEATURES, COMMITTED, made)
        stage.result = _describe_dates(run, {day: each.run_id for day, each in runs.items()})


def _run_of_same_features(run: Run) -> str | None:
    """Another run whose features are made from the same; None where there is none."""
    if not run.warehouse.exists(t.CUSTOMER_FEATURES):
        return None
    table = run.warehouse.read(t.CUSTOMER_FEATURES)
    if c.MADE_FROM not in table.columns:  # of an earlier release
        return None
    same = table.where((F.col(c.MADE_FROM) == run.features_id) & (F.col(c.RUN_ID) != run.run_id))
    row = same.select(c.RUN_ID).first()
    return row[0] if row else None


def _take_over(run: Run, other: str) -> None:
    """Write the features of another run as this run's, with the scores of its model."""
    rows = run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=other)
    # What comes from `customers` is joined anew.
    rows = rows.select([name for name in _features_table(run).column_names if name != c.HAS_ATTRIBUTES])
    model = run.models.registered(run.model_version)
    value = value_model(run, model, lambda: fitted_to(run, rows))
    cuts = CutPoints.from_dict(model.cut_points) if model else None
    _write(run, _scored(rows, cuts, value), [run])


def scored_anew(run: Run, features: DataFrame) -> DataFrame:
    """The features with the scores and the value that a model has which is trained on them."""
    return _scored(features, None, value_model(run, None, lambda: fitted_to(run, features)))


def fitted_to(run: Run, customers: DataFrame) -> DataFrame:
    """What a value model is fitted to: the features of everybody, of whom the run's customers may be a part."""
    if run.config.features.active_within is None:
        return customers
    bring_up_to_date(run)
    return _known_by_history(run)


def _of_everybody(run: Run) -> DataFrame:
    """The features of all with a purchase before the run's date, from the aggregates as they are."""
    history, days = (run.warehouse.read(table) for table in (t.CUSTOMER_HISTORY, t.CUSTOMER_DAYS))
    return features_from_aggregates(history, days, run.inputs.engagement(), dates=Dates((run.as_of,)), **_settings(run))


def _known_by_history(run: Run) -> DataFrame:
    """Of everybody, what cut points and value models are taken from: their histories tell it without the rest."""
    history = run.warehouse.read(t.CUSTOMER_HISTORY)
    return features_of_history(history, {*SCORED, *FITTED_TO}, as_of=run.as_of)


def _active(run: Run, features: DataFrame) -> DataFrame:
    """Those who count as customers; when customers stop buying is learnt of the others too."""
    return active(features, within=run.config.features.active_within)


def _own_cut_points(run: Run, customers: DataFrame) -> CutPoints:
    """Where the scores of the run's customers change by the customers themselves.

    Raises:
        DataRejectedError: there are none.
    """
    by_date = cut_points_by_date(customers)
    if not by_date:
        raise DataRejectedError(_nobody(run))
    return by_date[run.as_of]


def _require_somebody(run: Run, everybody: DataFrame) -> None:
    """Stop where nobody counts as a customer, before all their features are computed.

    Raises:
        DataRejectedError: nobody does.
    """
    if _active(run, everybody).isEmpty():
        raise DataRejectedError(_nobody(run))


def _scored(features: DataFrame, cuts: CutPoints | None, value: ValueModel) -> DataFrame:
    """The features with RFM scores by some cut points, or by those of the customers themselves, and their value."""
    return with_value(rfm_scores(features, cuts=cuts), value)


def _settings(run: Run) -> dict[str, Any]:
    """The run's settings of features."""
    settings = run.config.features
    return {
        "response_events": settings.response_events,
        "windows": settings.windows.days(),
        "extra": settings.derived_features,
    }


def _write(run: Run, scored: DataFrame, runs: Sequence[Run]) -> None:
    """Replace the rows of some runs, one for each date, by these, with the mapped attributes."""
    attributes = _mapped_attributes(run)
    frame = with_has_attributes(scored, run.inputs.customers(), attributes)
    ids = [(F.lit(each.as_of), F.struct(F.lit(each.run_id), F.lit(each.features_id))) for each in runs]
    own = F.create_map(*(value for pair in ids for value in pair))[F.col(c.AS_OF_DATE)]
    rows = frame.withColumns({c.RUN_ID: own["col1"], c.MADE_FROM: own["col2"]})
    listed = ", ".join(literal(each.run_id) for each in runs)
    run.warehouse.replace_where(_features_table(run, attributes), rows, f"{c.RUN_ID} IN ({listed})")


def _rows(run: Run) -> DataFrame:
    return run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=run.run_id)


def clustered_features(run: Run) -> DataFrame:
    """The run's customers, with the attributes that they are clustered by, as text.

    Raises:
        ConfigurationError: there are none of what the run reads, or an attribute is not in `customers`.
    """
    run.warehouse.require(t.CUSTOMER_FEATURES, command="features")
    rows = _rows(run)
    if rows.isEmpty():
        other = _run_of_same_features(run)
        if other is None:
            raise ConfigurationError(
                f"there are no features as of {run.as_of} of what was read: order lines, customers, events or settings "
                "are others than when customer_features was built; run `customer-segmentation features` first"
            )
        _take_over(run, other)
    # Attributes are taken from `customers`, whatever of them is here.
    features = rows.select(_features_table(run).column_names)
    attributes = run.config.clustering.preparation.attributes
    if not attributes:
        return features
    customers = run.inputs.customers()
    known = {} if customers is None else {name.lower(): name for name in attribute_names(customers)}
    missing = [name for name in attributes if name.lower() not in known]
    if customers is None or missing:
        renamed = {} if customers is None else renamed_attributes(customers)
        raise ConfigurationError(
            f"clustering.preparation.attributes: {', '.join(missing)} is not among the customers' attributes"
            f"{_instead_of(missing, list(known.values()), renamed)}"
        )
    return with_attributes(features, customers, {name: known[name.lower()] for name in attributes})


def without_lists(features: DataFrame, *, but: Collection[str] = ()) -> DataFrame:
    """The numbers and texts of customers, which is what is clustered and averaged; lists are large to keep in memory.

    Args:
        but: lists that stay.
    """
    types = ("array", "map", "struct")
    return features.drop(*(name for name, type_ in features.dtypes if type_.startswith(types) and name not in but))


def undeclared_features(run: Run) -> list[str]:
    """The numbers of customer_features whose names come from the configuration, but for the ends of intervals."""
    names = [feature.name for feature in value_features(run.config.value.horizons)]
    return [*(name for name in names if not name.endswith(("_low", "_high"))), *run.config.features.derived]


def _features_table(run: Run, attributes: Mapping[str, str] | None = None) -> t.Table:
    """`customer_features` with the columns of the configured value and derived features, and of some attributes."""
    derived = (*value_features(run.config.value.horizons), *run.config.features.derived_features)
    columns = [t.Column(feature.name, feature.type, feature.comment) for feature in derived]
    columns += [
        t.Column(column, "string", f"Attribute {name} of the customer, as text; null where it is not known.")
        for column, name in (attributes or {}).items()
    ]
    return replace(t.CUSTOMER_FEATURES, columns=(*t.CUSTOMER_FEATURES.columns, *columns))


def _mapped_attributes(run: Run) -> dict[str, str]:
    """The attributes that the configuration maps by name, by the columns that they get beside the features."""
    customers = run.inputs.customers()
    if customers is None:
        return {}
    here = {source_name.lower(): name for name, source_name in renamed_attributes(customers).items()}
    here = {name.lower(): name for name in attribute_names(customers)} | here
    taken = {name.lower() for name in _features_table(run).column_names}
    if run.warehouse.exists(t.CUSTOMER_FEATURES):
        # An earlier release kept attributes in their own types.
        stored = run.warehouse.read(t.CUSTOMER_FEATURES).dtypes
        taken |= {name.lower() for name, type_ in stored if type_ != "string"}
    columns: dict[str, str] = {}
    for mapped in dict.fromkeys(name for source in run.sources.customers or () for name in source.columns.attributes):
        if mapped.lower() not in here:
            continue
        column = f"customer_{mapped}"
        while column.lower() in taken:
            column += "_text"
        taken.add(column.lower())
        columns[column] = here[mapped.lower()]
    return columns


def _instead_of(missing: Sequence[str], known: Sequence[str], renamed: Mapping[str, str]) -> str:
    """What attributes that are not there may be called, else which there are, as the end of a message."""
    called = {source_name.lower(): name for name, source_name in renamed.items()}
    close = [called.get(name.lower()) or closest(name, known) for name in missing]
    meant = ", ".join(name for name in close if name is not None)
    return f"; did you mean {meant}?" if meant else f"; known here: {', '.join(known) or 'none'}"


def _describe_customers(run: Run, stage: Stage) -> str:
    """How many customers there are, for the stage too, and how many have no row among those with attributes."""
    counts = _rows(run).agg(F.count(F.lit(1)), F.count_if(~F.col(c.HAS_ATTRIBUTES))).first()
    assert counts is not None, "an aggregation without grouping has one row"
    customers, unknown = counts
    stage.rows = customers
    message = f"{count(customers)} customers as of {run.as_of}{_describe_inactive(run, customers)}"
    if run.inputs.customers() is None or not unknown:
        return message
    hint = "" if unknown < customers else ": do the ids of the sources fit?"
    return f"{message}; {count(unknown)} of them ({share(unknown / customers)}) have no row in customers{hint}"


def _describe_dates(run: Run, run_ids: Mapping[date, str]) -> str:
    """How many rows were written for how many dates, and how many customers there are at the first and the last."""
    rows = run.warehouse.read(t.CUSTOMER_FEATURES).where(F.col(c.RUN_ID).isin(list(run_ids.values())))
    customers = {row[0]: row["count"] for row in rows.groupBy(c.AS_OF_DATE).count().collect()}
    first, last = min(run_ids), max(run_ids)
    return (
        f"{count(sum(customers.values()))} rows of {count(len(run_ids))} dates: {count(customers[first])} customers as "
        f"of {first}, {count(customers[last])} as of {last}"
    )


def _describe_inactive(run: Run, customers: int) -> str:
    """How many customers are left out since their last purchase is too long ago; nothing where none can be."""
    days = run.config.features.active_within
    if days is None:
        return ""
    known = run.warehouse.read(t.CUSTOMER_HISTORY).count()
    return (
        f", of {count(known)} with a purchase: that of {count(known - customers)} is more than {count(days)} days ago"
    )


def _nobody_at(run: Run, day: date) -> str:
    """That one of several dates has no customers."""
    days = run.config.features.active_within
    within = "" if days is None else f" in the {count(days)} days of features.active_within"
    return f"no customer has a purchase{within} before {day}; leave that date out, or are the dates right?"


def _nobody(run: Run) -> str:
    """Why there are no customers, and what to look at."""
    days = run.config.features.active_within
    if days is None or run.warehouse.read(t.CUSTOMER_HISTORY).isEmpty():
        return f"no customer has a purchase before {run.as_of}; is the as-of date right?"
    return (
        f"features.active_within is {days}: no customer has a purchase so few days before {run.as_of}; is the as-of "
        "date right?"
    )
