"""Scores every customer with a registered model, describes the segments, and publishes the run."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation import __version__
from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, StoppedByAlertsError
from customer_segmentation.insight.activity import Evidence, PurchaseRates, segment_evidence
from customer_segmentation.insight.naming import NOISE_ACTION, with_noise, with_own_names
from customer_segmentation.insight.profiles import Profile, rounded, segment_profiles
from customer_segmentation.insight.traits import traits
from customer_segmentation.insight.transitions import assigned_by_both, transitions, with_previous
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.alerts import (
    FRESHNESS,
    STOP,
    Alert,
    alerts_of_today,
    describe,
    evaluate,
    figures_of,
    outcome_of,
)
from customer_segmentation.stages.audit import audit
from customer_segmentation.stages.features import clustered_features, undeclared_features, without_lists
from customer_segmentation.stages.ingest import Batch, committed_batch
from customer_segmentation.stages.publication import COMPLETE
from customer_segmentation.stages.run import Run

_STARTED_FROM = (t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY)


def assign_segments(run: Run) -> None:
    """Assign, describe and publish: everything keyed by run_id first, one commit to `customer_segments` last.

    A run that is complete stays as it is.

    Raises:
        ConfigurationError: no model is registered for the settings.
        PublishingError: the tables written do not agree; the run is not published.
        StoppedByAlertsError: a figure is beyond a limit that stops the run; it is written, and not published.
    """
    model = run.models.reusable or _model_that_serves(run)
    if model is None:
        raise ConfigurationError("no model is registered for these settings; run `customer-segmentation train` first")
    run.serve(model)
    if _publish_as_it_is(run):
        return
    current = run.publication.current_run_id()
    with ExitStack() as kept:
        with run.progress.stage("assign", "a segment for every customer") as stage:
            features = clustered_features(run)
            before, previous = _previous(run, model)
            # Customers are scored in Python, so once for all that is made of it.
            scored = assigned_by_both(features, model, previous)
            assigned = kept.enter_context(
                persisted(without_lists(scored, but=t.CUSTOMER_SEGMENTS_HISTORY.column_names))
            )
            from_before = with_previous(assigned, before)
            _write_segments(run, model, from_before)
            stage.result = _describe_model(run, model)
        with run.progress.stage("insight", "profiles, traits, what moved") as stage:
            profiles = _write_insight(run, model, assigned, from_before)
            stage.rows = sum(profile.customers for profile in profiles)
            noise = sum(profile.customers for profile in profiles if profile.segment_id == c.NOISE_ID)
            stage.result = f"{_segments(profiles)} segments" + (f", {noise} customers in none" if noise else "")

    with run.progress.stage("publish", "checking the run and making it current") as stage:
        counts = audit(run, features)
        stage.rows, batch = counts["customers"], committed_batch(run)
        alerts = evaluate(run.config.alerts, figures_of(run, model, profiles, counts, batch.counts))
        _write_run(run, model, profiles, counts, batch, alerts)
        stage.result = publish(run, alerts, instead_of=current)


def _model_that_serves(run: Run) -> SegmentationModel | None:
    """The run's own model where it was trained already, else the newest in service, else the newest of all."""
    own = run.models.registered(run.version_to_train)
    return own or run.models.in_service or run.models.newest


def _write_segments(run: Run, model: SegmentationModel, assigned: DataFrame) -> None:
    history = _with_names_and_ranks(assigned, model.version, segment_names_of(run, model), run.ranked_by)
    run.warehouse.replace(t.CUSTOMER_SEGMENTS_HISTORY, history, column=c.RUN_ID, value=run.run_id)


def _describe_model(run: Run, model: SegmentationModel) -> str:
    """Which model assigned, what its customers are ranked by where that was found, and names that it has no use for."""
    described = model.version
    if run.ranked_by != c.MONETARY:
        described += f"; ranked in their segments by {run.ranked_by}, which the backtest found best"
    unknown = sorted(set(run.config.segments.names_by_id) - set(model.segment_ids))
    if unknown:
        described += f"; segments.names names {', '.join(map(str, unknown))}, which the model does not have"
    return described


def _write_insight(run: Run, model: SegmentationModel, assigned: DataFrame, from_before: DataFrame) -> list[Profile]:
    """Write profiles and transitions of the assigned customers; returns the profiles.

    Args:
        from_before: the customers with the segments that they had.
    """
    segmented = run.warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column=c.RUN_ID, value=run.run_id)
    rates = PurchaseRates.from_dict(model.purchase_rates) if model.purchase_rates else None
    moved, customers = transitions(from_before).withColumn(c.RUN_ID, F.lit(run.run_id)), run.inputs.customers()
    profiles, evidence, traits_by_segment, _ = at_once(
        lambda: segment_profiles(assigned, model, derived=undeclared_features(run)),
        lambda: segment_evidence(assigned, rates) if rates else [],
        lambda: traits(segmented, customers) if customers is not None else {},
        lambda: run.warehouse.replace(t.SEGMENT_TRANSITIONS, moved, column=c.RUN_ID, value=run.run_id),
    )
    _write_profiles(run, model, profiles, evidence, traits_by_segment)
    return list(profiles)


def publish_complete_run(run: Run) -> bool:
    """Publish what was written and checked before of this run, if all of it was; whether it was.

    Not where a table is gone that the next day starts from: that is built again first.
    """
    return all(map(run.warehouse.exists, _STARTED_FROM)) and _publish_as_it_is(run)


def _publish_as_it_is(run: Run) -> bool:
    """Publish a run if it is complete; whether it is. A run_id names one set of results, so nothing is written anew."""
    if not run.publication.is_complete(run.run_id):
        return False
    with run.progress.stage("publish", "finding the run complete") as stage:
        published = publish(run, alerts_of_today(run), instead_of=run.publication.current_run_id())
        stage.result = f"nothing changed; {published}"
    return True


def publish(run: Run, alerts: Sequence[Alert], *, instead_of: str | None) -> str:
    """Make a complete run what consumers read, unless that is of a later date; says what was done.

    Args:
        alerts: of the run, see `alerts_of_today`.
        instead_of: the run that consumers read when this one began.

    Raises:
        PublishingError: another run was published in between.
        StoppedByAlertsError: an alert stops the run, and consumers don't read it already; or its last order is too long
            ago, whatever they read.
    """
    run.alerts = alerts
    later = run.publication.later_date(run.as_of)
    if later is not None and not run.config.publishing.replace_later:
        return (
            f"run {run.run_id} is complete, but consumers read on the one as of {later}, which is later; set "
            "publishing.replace_later to publish this one in its place"
        )
    is_taken_back = run.publication.was_taken_back(run.run_id)
    is_decided = is_taken_back or instead_of == run.run_id
    # What somebody decided on stands, but a delivery is missing until it comes.
    stopping = [alert for alert in alerts if alert.level == STOP and (alert.name == FRESHNESS or not is_decided)]
    if stopping and not run.config.publishing.despite_alerts:
        reading = f"Consumers read on run {instead_of}" if instead_of else "Consumers have nothing to read yet"
        raise StoppedByAlertsError(
            f"run {run.run_id} is complete, and nothing came since: {describe(stopping)}. {reading}. Look at what "
            "delivers the order lines; where none are to come, set alerts.freshness_days.stop to null"
            if is_decided
            else f"run {run.run_id} is complete, but not published: {describe(stopping)}. {reading}. Look at its "
            "rows in segment_profiles and customer_segments_history; to publish it all the same, run the command "
            "again with --set publishing.despite_alerts=true"
        )
    if is_taken_back and run.publication.current_run_id() is None:
        standing = run.publication.newest_recorded()
        if standing is not None and run.publication.is_complete(standing):
            run.publication.publish(standing, instead_of=None)
            return (
                f"customer_segments was gone: run {standing}, which a rollback published last, is what consumers read"
            )
    if is_taken_back:
        return (
            f"run {run.run_id} is complete, but was taken back by `rollback`, and nothing changed since; "
            f"`rollback --run {run.run_id}` publishes it all the same"
        )
    run.publication.publish(run.run_id, instead_of=instead_of)
    return f"run {run.run_id} is what consumers read" + (f"; alerts: {describe(alerts)}" if alerts else "")


def _previous(run: Run, model: SegmentationModel) -> tuple[DataFrame | None, SegmentationModel | None]:
    """The run published before, as it assigned its customers, and its model, None where that is not registered.

    No run where the one before was of other settings: its segments can't be compared with these.

    Raises:
        ConfigurationError: this run has expired, and the run before it too: made anew it would be another one.
    """
    if run.previous_run_id is None:
        return None, None
    before = run.warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column=c.RUN_ID, value=run.previous_run_id)
    row = before.select(c.MODEL_VERSION).first()
    if row is None and run.publication.has_expired(run.run_id):
        raise ConfigurationError(
            f"run {run.run_id} has expired, and so has {run.previous_run_id}, which it is compared with: `maintain` "
            "removed their customers, and without them this run would not be the one that it was. What it found is in "
            "segment_profiles and segment_transitions; name a later as-of date with --as-of, or keep more runs by "
            "maintenance.keep_runs from now on"
        )
    if row is None or run.models.is_of_other_settings(row[0]):
        return None, None
    return before, model if row[0] == model.version else run.models.registered(row[0])


def segment_names_of(run: Run, model: SegmentationModel) -> dict[int, str]:
    """The segments' names by id: the model's, and over them a person's own, which no other segment has then."""
    own = {id_: name for id_, name in run.config.segments.names_by_id.items() if id_ in model.segment_ids}
    return with_noise(with_own_names(model.names, own))


def _with_names_and_ranks(
    assigned: DataFrame, version: str, names_by_id: Mapping[int, str], ranked_by: str
) -> DataFrame:
    names = F.create_map(*(F.lit(part) for pair in sorted(names_by_id.items()) for part in pair))
    highest = (F.desc_nulls_last(name) for name in dict.fromkeys([ranked_by, c.MONETARY]))
    by_rank = Window.partitionBy(c.SEGMENT_ID).orderBy(*highest, c.CUSTOMER_ID)
    return assigned.withColumns(
        {
            c.SEGMENT_NAME: names[F.col(c.SEGMENT_ID)],
            c.RANK_IN_SEGMENT: F.row_number().over(by_rank),
            c.MODEL_VERSION: F.lit(version),
        }
    )


def _write_profiles(
    run: Run,
    model: SegmentationModel,
    profiles: list[Profile],
    evidence: list[Evidence],
    traits_by_segment: Mapping[int, list[dict[str, Any]]],
) -> None:
    centers, names = model.centers_in_original_units(), segment_names_of(run, model)
    actions = {c.NOISE_ID: NOISE_ACTION, **model.actions}
    evidence_by_segment = {each.segment_id: each for each in evidence}
    everybody = sum(profile.customers for profile in profiles)
    revenue = sum(profile.revenue for profile in profiles)
    rows = [
        {
            c.RUN_ID: run.run_id,
            c.SEGMENT_ID: profile.segment_id,
            c.SEGMENT_NAME: names[profile.segment_id],
            "customers": profile.customers,
            "revenue": profile.revenue,
            "customer_share": profile.customers / everybody,
            "revenue_share": float(profile.revenue / revenue) if revenue else None,
            "centroid": centers.get(profile.segment_id),
            "averages": profile.averages,
            "differentiators": [vars(differentiator) for differentiator in profile.differentiators],
            "traits": traits_by_segment.get(profile.segment_id, []),
            "stability": model.stability.get(profile.segment_id),
            "action": actions.get(profile.segment_id),
            "activity": model.activities.get(profile.segment_id),
            **_evidence_columns(evidence_by_segment.get(profile.segment_id)),
        }
        for profile in profiles
    ]
    run.warehouse.replace_rows(t.SEGMENT_PROFILES, rows, column=c.RUN_ID, value=run.run_id)


def _evidence_columns(evidence: Evidence | None) -> dict[str, Any]:
    """What is known of the activity of a segment's customers today; nothing with a model of an earlier release."""
    if evidence is None:
        return {}
    return {
        "overdue_share": rounded(evidence.overdue),
        "new_share": rounded(evidence.new),
        **(
            {}
            if evidence.buys_again is None
            else {"expected_buyer_share": rounded(evidence.buys_again), "expected_within_days": evidence.horizon_days}
        ),
    }


def _segments(profiles: list[Profile]) -> int:
    return len([profile for profile in profiles if profile.segment_id != c.NOISE_ID])


def _write_run(
    run: Run,
    model: SegmentationModel,
    profiles: list[Profile],
    counts: dict[str, Any],
    batch: Batch,
    alerts: list[Alert],
) -> None:
    row = {
        c.RUN_ID: run.run_id,
        c.AS_OF_DATE: run.as_of,
        "status": COMPLETE,
        "previous_run_id": run.previous_run_id,
        c.MODEL_VERSION: model.version,
        c.BATCH_ID: batch.batch_id,
        "rows_in": batch.counts.lines,
        "rows_accepted": batch.counts.accepted,
        "rows_rejected": batch.counts.rejected,
        "rows_filtered_out": batch.counts.filtered_out,
        "rejected_by_reason": dict(batch.counts.by_reason),
        "warned_by_code": dict(batch.counts.by_warning),
        **counts,
        "segments": _segments(profiles),
        "input_versions": run.inputs.versions,
        "stage_seconds": run.progress.seconds,
        "started_at": run.started_at,
        "finished_at": run.warehouse.clock.now(),
        "code_version": __version__,
        "outcome": outcome_of(alerts),
        "alerts": [asdict(alert) for alert in alerts],
    }
    run.warehouse.replace_rows(t.PIPELINE_RUNS, [row], column=c.RUN_ID, value=run.run_id)
