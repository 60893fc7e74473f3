"""Charts of features, segments and comparisons for a notebook: a Spark or pandas frame in, an Altair chart out.

Altair is in the `report` extra, and imported when a chart is made. A chart shows itself in a notebook;
`chart.save("chart.html")`, with vl-convert also `.png` or `.svg`, writes it to a file.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.arguments import as_time_zone
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.template import needs_extra
from customer_segmentation.explore.distributions import Measure, measure_distributions
from customer_segmentation.features.build import as_date
from customer_segmentation.features.rfm_scores import rfm_scores
from customer_segmentation.insight import profiles
from customer_segmentation.plots.components import principal_components
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.frames import numeric_columns, require_columns
from customer_segmentation.spark.local_time import UTC, in_local_time, require_utc
from customer_segmentation.value import ValueModel, checks, purchase_counts

if TYPE_CHECKING:
    import altair as alt

__all__ = [
    "calibration",
    "compare",
    "correlations",
    "distributions",
    "map",
    "profile",
    "rfm",
    "spend_by_frequency",
    "tracking",
]

WIDTH = 760
"""Pixels that the charts are wide by default."""
MAX_FEATURES = 12
SAMPLE = 2_000
"""Customers that are drawn one by one."""
CORRELATION_SAMPLE = 20_000
_EPOCH = date(1970, 1, 1)


def profile(
    segments: DataFrame | pd.DataFrame,
    features: Sequence[str] | None = None,
    *,
    max_features: int = MAX_FEATURES,
    width: int = WIDTH,
) -> "alt.LayerChart":
    """Heat map of the segments' features in standard deviations from all customers, largest segment first.

    Args:
        segments: a frame with `segment_id`, such as what a model's `assign` returns, or what `profile` made of it.
        features: numeric columns to show; by default all that are not about the segment itself.
        max_features: of more features those are shown that differ most between the segments.
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> rows = [(1, 3, 10.0, 99.5), (1, 5, 12.0, 120.0), (2, 90, 1.0, 8.0)]
        >>> columns = "segment_id int, recency_days int, frequency double, monetary double"
        >>> customers = spark.createDataFrame(rows, columns)
        >>> plots.profile(customers).to_dict()["title"]["text"]
        'How the segments differ'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    table = segments if isinstance(segments, pd.DataFrame) else profiles.profile(segments, features)
    _require(table, "plots.profile", c.SEGMENT_ID, "customers", "differentiators")
    table = table.sort_values("customers", ascending=False, kind="stable")
    table = table.sort_values(c.SEGMENT_ID, key=lambda ids: ids == c.NOISE_ID, kind="stable")
    effects = {
        (row[c.SEGMENT_ID], each["feature"]): each["effect"]
        for row in table.to_dict("records")
        for each in row["differentiators"]
    }
    names = list(dict.fromkeys(features or sorted(name for _, name in effects)))
    if not names:
        raise ConfigurationError("plots.profile: there is no numeric feature to show")
    strongest = sorted(names, key=lambda name: -max(abs(effects.get((key, name), 0)) for key in table[c.SEGMENT_ID]))
    shown = [name for name in names if name in strongest[:max_features]]
    note = "Standard deviations above (blue) or below (orange) all customers"
    if len(shown) < len(names):
        note += f"; the {len(shown)} features of {len(names)} that differ most"
    return charts.profile(segment_labels(table), table["customers"].tolist(), effects, shown, note=note, width=width)


def rfm(segments: DataFrame, *, currency: str = "", width: int = 520) -> "alt.LayerChart":
    """Grid of recency by frequency scores, with the customers and the revenue of each cell.

    Args:
        segments: a row per customer with `r_score` and `f_score`; without them `recency_days`, `frequency` and
            `monetary`, which are scored 1 to 5 by their quintiles. `monetary` is the revenue, if there is one.
        currency: goes before every amount, such as "€".
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> rows = [(1, 3, 10.0, 99.5), (1, 5, 12.0, 120.0), (2, 90, 1.0, 8.0)]
        >>> columns = "segment_id int, recency_days int, frequency double, monetary double"
        >>> customers = spark.createDataFrame(rows, columns)
        >>> plots.rfm(customers, currency="€").to_dict()["title"]["text"]
        'Customers by recency and frequency'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    if c.R_SCORE not in segments.columns and c.RECENCY_DAYS in segments.columns:
        require_columns("plots.rfm", segments, numbers=[c.RECENCY_DAYS, c.FREQUENCY, c.MONETARY])
        segments = rfm_scores(segments)
    require_columns("plots.rfm", segments, numbers=[c.R_SCORE, c.F_SCORE])
    revenue = F.sum(c.MONETARY) if c.MONETARY in segments.columns else F.lit(None)
    scored = segments.where(F.col(c.R_SCORE).isNotNull() & F.col(c.F_SCORE).isNotNull())
    cells = scored.groupBy(c.R_SCORE, c.F_SCORE).agg(F.count(F.lit(1)).alias("customers"), revenue.alias("revenue"))
    return charts.rfm([row.asDict() for row in cells.collect()], currency=currency, width=width)


def compare(table: pd.DataFrame, *, width: int = 960) -> "alt.HConcatChart":
    """Bars of each metric by estimator, the best estimator of each metric in colour.

    Args:
        table: as `compare` returns it: a row per estimator, with any of the columns segments, noise_share, silhouette,
            calinski_harabasz, davies_bouldin, stability and seconds.
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> table = pd.DataFrame({"estimator": ["KMeans(k=5)", "DBSCAN()"], "silhouette": [0.41, 0.28]})
        >>> plots.compare(table).to_dict()["title"]["text"]
        'Estimators compared'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    _require(table, "plots.compare", "estimator")
    if not set(charts.METRICS) & set(table.columns):
        raise ConfigurationError(f"plots.compare: the table has none of the columns {', '.join(charts.METRICS)}")
    return charts.compare(table, width=width)


def map(  # noqa: A001  plots.map reads as what it is
    segments: DataFrame, columns: Sequence[str] | None = None, *, sample: int = SAMPLE, width: int = WIDTH
) -> "alt.LayerChart":
    """Scatter plot of customers on the two principal components of their features, coloured by segment.

    The components are those of the sample: standardised features, heavily skewed ones by their signed logarithm.

    Args:
        segments: customers with `segment_id`, such as what a model's `assign` returns.
        columns: numeric features, two or more; by default all that are not about the segment itself.
        sample: how many customers are drawn; the same ones each time.
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> rows = [(1, 3, 10.0, 99.5), (1, 5, 12.0, 120.0), (2, 90, 1.0, 8.0)]
        >>> columns = "segment_id int, recency_days int, frequency double, monetary double"
        >>> customers = spark.createDataFrame(rows, columns)
        >>> plots.map(customers, ["recency_days", "frequency"]).to_dict()["title"]["text"]
        'Map of the customers'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    names = _features(segments, columns, "plots.map", at_least=2, others=[c.SEGMENT_ID])
    named = [c.SEGMENT_NAME] if c.SEGMENT_NAME in segments.columns else []
    assigned = segments.where(F.col(c.SEGMENT_ID).isNotNull())
    points = _sampled(assigned, names, sample, others=[c.SEGMENT_ID, *named])
    if len(points) < 2:
        raise ConfigurationError("plots.map: it takes two customers or more to draw a map")
    labels = segment_labels(points.drop_duplicates(c.SEGMENT_ID))
    return charts.scatter(principal_components(points[names]), points[c.SEGMENT_ID].tolist(), labels, width=width)


def distributions(
    features: DataFrame, columns: Sequence[str] | None = None, *, per_row: int = 3, width: int = WIDTH
) -> "alt.ConcatChart":
    """Histograms of features over all customers; skewed ones have buckets that widen to the right.

    Args:
        features: a row per customer.
        columns: numeric columns; by default all that are not about a segment.
        per_row: histograms beside each other.
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> rows = [(1, 3, 10.0, 99.5), (1, 5, 12.0, 120.0), (2, 90, 1.0, 8.0)]
        >>> columns = "segment_id int, recency_days int, frequency double, monetary double"
        >>> customers = spark.createDataFrame(rows, columns)
        >>> plots.distributions(customers, ["recency_days"]).to_dict()["title"]["text"]
        'How the features are distributed'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    names = _features(features, columns, "plots.distributions")
    counted = features.select(*(_known(name) for name in names))
    spreads, _ = measure_distributions(
        counted, [Measure(name, fmt.feature_name(name), "customers", "items") for name in names]
    )
    return charts.histograms(spreads, per_row=per_row, width=width)


def correlations(
    features: DataFrame, columns: Sequence[str] | None = None, *, sample: int = CORRELATION_SAMPLE, width: int = WIDTH
) -> "alt.LayerChart":
    """Heat map of Spearman's rank correlations between features, -1 to 1.

    Args:
        features: a row per customer.
        columns: numeric columns, two or more; by default all that are not about a segment.
        sample: how many customers it is measured on; the same ones each time.
        width: of the chart, in pixels.

    Example:
        >>> from customer_segmentation import plots
        >>> rows = [(1, 3, 10.0, 99.5), (1, 5, 12.0, 120.0), (2, 90, 1.0, 8.0)]
        >>> columns = "segment_id int, recency_days int, frequency double, monetary double"
        >>> customers = spark.createDataFrame(rows, columns)
        >>> plots.correlations(customers, ["frequency", "monetary"]).to_dict()["title"]["text"]
        'How the features correlate'
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    names = _features(features, columns, "plots.correlations", at_least=2)
    return charts.correlations(_sampled(features, names, sample).corr("spearman"), width=width)


def calibration(features: DataFrame, model: ValueModel, *, width: int = WIDTH) -> "alt.LayerChart":
    """How many customers bought again how often, beside what the purchase model expects of new customers.

    Args:
        features: the customers that the model was fitted to, see `fit_value`.
        model: the value model.
        width: of the chart, in pixels.
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    return charts.repeats(checks.calibration(model.purchases, purchase_counts(features)), width=width)


def tracking(
    transactions: DataFrame,
    model: ValueModel,
    *,
    as_of: date | str,
    until: date | str,
    timezone: str = UTC,
    width: int = WIDTH,
) -> "alt.LayerChart":
    """Repeat purchases by week, summed up, of the customers known at a date, before and after it.

    What is after the date the model has not seen.

    Args:
        transactions: order lines with customer_id, ordered_at and amount; those above 0 are purchases.
        model: fitted as of the date.
        as_of: the date; customers are those with a purchase before it.
        until: where the transactions end; lines of this day and later do not count.
        timezone: whose days count, that of the features; the session's is UTC.
        width: of the chart, in pixels.

    Raises:
        ConfigurationError: no customer has a purchase before `as_of`, a date or the time zone is none, or a column is
            not there.
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    start, end = as_date(as_of), as_date(until)
    require_columns("plots.tracking", transactions, numbers=[c.AMOUNT], others=[c.CUSTOMER_ID, c.ORDERED_AT])
    number = F.date_diff(F.to_date(c.ORDERED_AT), F.lit(_EPOCH)).alias("day")
    require_utc(transactions.sparkSession, "plots.tracking")
    local = in_local_time(transactions, as_time_zone(timezone, "plots.tracking"), c.ORDERED_AT)
    days = local.where(F.col(c.AMOUNT) > 0).select(c.CUSTOMER_ID, number).distinct()
    known = days.groupBy(c.CUSTOMER_ID).agg(F.min("day").alias("first")).where(f"first < {(start - _EPOCH).days}")
    counted = (
        days.join(known, on=c.CUSTOMER_ID, how="inner")
        .groupBy("day")
        .agg(
            F.count_if(F.col("day") == F.col("first")).alias("new"),
            F.count_if(F.col("day") > F.col("first")).alias("again"),
        )
    )
    table = counted.where(f"day < {(end - _EPOCH).days}").toPandas().set_index("day").sort_index()
    if table.empty:
        raise ConfigurationError(f"plots.tracking: no customer has a purchase before {start}")
    return charts.tracking(
        checks.tracking(model.purchases, table["new"], table["again"], until=(end - _EPOCH).days),
        as_of=start,
        width=width,
    )


def spend_by_frequency(features: DataFrame, model: ValueModel, *, width: int = WIDTH) -> "alt.LayerChart":
    """Mean spend on a purchase day by how many purchase days customers have: level where the two are independent.

    Args:
        features: the customers that the model was fitted to, see `fit_value`.
        model: the value model.
        width: of the chart, in pixels.

    Raises:
        ConfigurationError: nobody has spent more than was returned, or a column is not there.
    """
    with needs_extra():
        from customer_segmentation.plots import charts
    require_columns("plots.spend_by_frequency", features, numbers=[c.ACTIVE_DAYS, c.MONETARY])
    net = F.col(c.MONETARY).cast("double")
    table = (
        features.where(net > 0)
        .groupBy(F.col(c.ACTIVE_DAYS).cast("double").alias("days"))
        .agg(F.avg(net / F.col(c.ACTIVE_DAYS)).alias("mean"), F.count(F.lit(1)).alias("customers"))
        .toPandas()
    )
    if model.spend is None or table.empty:
        raise ConfigurationError("plots.spend_by_frequency: nobody has spent more than was returned")
    correlation = model.spend.correlation
    note = "Mean net spend a purchase day; dashed: expected of a new customer"
    note += "" if correlation is None else f"; correlation {correlation:.2f}"
    return charts.spend(checks.spend_by_frequency(model, table), note=note, width=width)


def segment_labels(table: pd.DataFrame) -> Mapping[int, str]:
    """The label of each segment by its id: its name where the table has one, distinct in any case."""
    names = table[c.SEGMENT_NAME] if c.SEGMENT_NAME in table.columns else [None] * len(table)
    labels: dict[int, str] = {}
    for key, name in zip(table[c.SEGMENT_ID].tolist(), names, strict=True):
        default = c.NOISE_NAME if key == c.NOISE_ID else f"Segment {key}"
        label = fmt.plain_text(name) or default
        labels[key] = label if label not in labels.values() else f"{label} ({key})"
    return labels


def _features(
    frame: DataFrame, columns: Sequence[str] | None, caller: str, *, at_least: int = 1, others: Sequence[str] = ()
) -> list[str]:
    """The features to show: those asked for, else the numeric columns that are not about a segment."""
    candidates = [name for name in frame.columns if name not in profiles.NO_FEATURES]
    names = numeric_columns(frame, candidates) if columns is None else list(dict.fromkeys(columns))
    require_columns(caller, frame, numbers=names, others=others)
    if len(names) < at_least:
        raise ConfigurationError(f"{caller}: needs {at_least} numeric features or more; found {len(names)}")
    return names


def _known(name: str) -> Any:
    """A numeric column as doubles, null where it is no finite number."""
    value = F.col(sql.column(name)).cast("double")
    return F.when(F.abs(value) < float("inf"), value).alias(name)


def _sampled(frame: DataFrame, names: Sequence[str], sample: int, *, others: Sequence[str] = ()) -> pd.DataFrame:
    """So many rows with their features as doubles, chosen by a hash and so the same ones each time."""
    key = [c.CUSTOMER_ID] if c.CUSTOMER_ID in frame.columns else list(names)
    hashed = F.xxhash64(*(F.col(sql.column(name)) for name in key))
    rows = frame.select(*(_known(name) for name in names), *others, hashed.alias("_hash"))
    return rows.orderBy("_hash").limit(sample).drop("_hash").toPandas()


def _require(table: pd.DataFrame, caller: str, *columns: str) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ConfigurationError(
            f"{caller}: {', '.join(missing)} not among the columns {', '.join(str(name) for name in table.columns)}"
        )
    if table.empty:
        raise ConfigurationError(f"{caller}: the table has no rows")
