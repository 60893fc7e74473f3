"""The figures of a run beside the limits of the setting `alerts`: what is told, and what stops its publication.

`evaluate` compares, `figures_of` gathers. A run before of other settings is not compared with: its segments, features
and customers are others. What a run was found to be when it was written stays so, but for how long ago the last order
is: that belongs to the day, see `alerts_of_today`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.config.schema import Alerts, Minimum
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count, money, share
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.insight.profiles import Profile, feature_means
from customer_segmentation.preparation import PCAFeature
from customer_segmentation.stages.run import Run

OK, WARN, STOP = "ok", "warn", "stop"

FRESHNESS = "freshness_days"


@dataclass(frozen=True)
class Figure:
    """A figure of a run that there is a limit for.

    name: the limit, a key of the setting `alerts`.
    value: in the limit's unit.
    description: the figure in words, with what it is compared with.
    """

    name: str
    value: float
    description: str


@dataclass(frozen=True)
class Alert:
    """A figure beyond a limit; the fields are those of `pipeline_runs.alerts`.

    level: warn, or stop.
    """

    name: str
    value: float
    limit: float
    level: str
    message: str


@dataclass(frozen=True)
class EarlierRun:
    """What a run is compared with: the run published before.

    shares: of the customers by segment_id, 0 to 1.
    """

    run_id: str
    customers: int
    revenue: Decimal
    model_version: str
    shares: Mapping[int, float]


def evaluate(limits: Alerts, figures: Sequence[Figure]) -> list[Alert]:
    """The figures that are beyond a limit, in their order, each at the gravest level that it reaches."""
    alerts = []
    for figure in figures:
        levels = getattr(limits, figure.name)
        is_minimum = isinstance(levels, Minimum)
        for level, limit in ((STOP, levels.stop), (WARN, levels.warn)):
            if limit is not None and (figure.value < limit if is_minimum else figure.value > limit):
                beyond = "below" if is_minimum else "above"
                message = f"{figure.description}: {figure.name} {figure.value:.4g} is {beyond} {limit:g}"
                alerts.append(Alert(figure.name, float(figure.value), float(limit), level, message))
                break
    return alerts


def outcome_of(alerts: Sequence[Alert]) -> str:
    """The gravest level of the alerts; ok without any."""
    levels = {alert.level for alert in alerts}
    return STOP if STOP in levels else WARN if WARN in levels else OK


def describe(alerts: Sequence[Alert], level: str | None = None) -> str:
    """The messages of the alerts, or of those of a level, as one sentence."""
    return "; ".join(alert.message for alert in alerts if level in (None, alert.level))


def figures_of(
    run: Run, model: SegmentationModel, profiles: Sequence[Profile], counts: Mapping[str, Any], lines: RowCounts
) -> list[Figure]:
    """The figures of a run whose tables are written, before it is published. Reads the run before, two small tables.

    Args:
        run: the run.
        model: that assigned its customers.
        profiles: of its segments.
        counts: its `customers` and `revenue`.
        lines: the order lines by outcome.
    """
    customers = counts["customers"]
    return [
        Figure("min_customers", customers, f"{count(customers)} customers"),
        *changes(earlier_run(run), model.version, profiles, customers=customers, revenue=counts["revenue"]),
        *freshness_today(run),
        *([rejected_share(lines)] if lines.lines else []),
        *drift(model, profiles),
    ]


def changes(
    before: EarlierRun | None, model_version: str, profiles: Sequence[Profile], *, customers: int, revenue: Decimal
) -> list[Figure]:
    """How far customers, revenue and the segments' shares are from those of the run before; nothing without one."""
    if before is None:
        return []
    numbers = {profile.segment_id: profile.customers for profile in profiles}
    shares = {segment: number / customers for segment, number in numbers.items()}
    moved = {id_: abs(shares.get(id_, 0) - before.shares.get(id_, 0)) for id_ in sorted({*shares, *before.shares})}
    furthest = max(moved, key=lambda segment: moved[segment])
    trained = "" if before.model_version == model_version else "; the model was trained again since"
    then = f"in run {before.run_id}, published before"
    return [
        Figure(
            "customers_change",
            relative_difference(before.customers, customers),
            f"{count(customers)} customers, {count(before.customers)} {then}",
        ),
        Figure(
            "revenue_change",
            relative_difference(float(before.revenue), float(revenue)),
            f"revenue {money(revenue)}, {money(before.revenue)} {then}",
        ),
        Figure(
            "segment_share_change",
            moved[furthest],
            f"segment {furthest} has {share(shares.get(furthest, 0))} of the customers, "
            f"{share(before.shares.get(furthest, 0))} {then}{trained}",
        ),
    ]


def relative_difference(one: float, other: float) -> float:
    """How far apart two amounts are, 1 - smaller / larger: 0 for equal ones, .5 for half or double.

    At most 1, which also stands for a difference of sign.
    """
    smaller, larger = sorted((abs(one), abs(other)))
    if one == other:
        return 0.0
    return 1.0 if one * other <= 0 else 1.0 - smaller / larger


def freshness(last_day: date, start_day: date) -> Figure:
    """How long before the run the last order is."""
    days = (start_day - last_day).days
    return Figure(FRESHNESS, days, f"the last order is dated {last_day}, {count(days)} days before the run")


def rejected_share(lines: RowCounts) -> Figure:
    """Which part of the order lines is rejected; there is a line at least."""
    value = lines.rejected / lines.lines
    return Figure("rejected_share", value, f"{count(lines.rejected)} of {count(lines.lines)} order lines are rejected")


def drift(model: SegmentationModel, profiles: Sequence[Profile]) -> list[Figure]:
    """How far the feature that moved most has moved since the model's training; nothing for an earlier release's.

    The difference of the means of the prepared feature, in its standard deviations at the training.
    """
    now, then = feature_means(profiles), model.feature_means
    moved = {}
    for feature in model.preparation.features_:
        if feature.name in now and feature.name in then and feature.spread > 0:
            own = feature.own if isinstance(feature, PCAFeature) else feature
            difference = own.transform(now[feature.name]) - own.transform(then[feature.name])
            moved[feature.name] = abs(difference) / feature.spread
    if not moved:
        return []
    furthest = max(sorted(moved), key=lambda name: moved[name])
    description = (
        f"the mean of {furthest} is {now[furthest]:,.4g}, {then[furthest]:,.4g} when {model.version} was trained"
    )
    return [Figure("drift", moved[furthest], description)]


def earlier_run(run: Run) -> EarlierRun | None:
    """The run published before this one, where it is of the same settings; None without one."""
    run_id = run.previous_run_id
    if run_id is None:
        return None
    row = run.warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id).first()
    if row is None or run.models.is_of_other_settings(row[c.MODEL_VERSION]):
        return None
    profiles = run.warehouse.rows(t.SEGMENT_PROFILES, column=c.RUN_ID, value=run_id)
    shares = {own[0]: own[1] for own in profiles.select(c.SEGMENT_ID, "customer_share").collect()}
    return EarlierRun(run_id, row["customers"], row["revenue"], row[c.MODEL_VERSION], shares)


def recorded_alerts(run: Run) -> list[Alert]:
    """The alerts that were recorded of the run when it was written; none where it is of an earlier release."""
    row = run.warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run.run_id).first()
    known = row.asDict(recursive=True).get("alerts") if row else None
    return [Alert(**alert) for alert in known or []]


def alerts_of_today(run: Run) -> list[Alert]:
    """The alerts that were recorded of the run, with that on freshness as it is on the day of the command."""
    recorded = [alert for alert in recorded_alerts(run) if alert.name != FRESHNESS]
    return [*recorded, *evaluate(run.config.alerts, freshness_today(run))]


def freshness_today(run: Run) -> list[Figure]:
    """How long ago the last order before the as-of date is; nothing without a limit on it."""
    if not run.config.alerts.has_freshness_limit:
        return []
    last_day = max((day for day in run.inputs.order_days if day < run.as_of), default=None)
    return [] if last_day is None else [freshness(last_day, run.start_day)]
