"""Publishes an earlier run again."""

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.stages.publication import COMPLETE
from customer_segmentation.stages.run import Run

_LISTED = 10


def roll_back(run: Run, run_id: str | None = None) -> str:
    """Make an earlier run what consumers read, as it was; every table keeps what it has.

    The next run on other inputs is published in its place as ever; one on the same inputs as the run that is taken back
    is not.

    Args:
        run: names the tables.
        run_id: the run to publish; one that consumers read already is written again from its history. None for the one
            that was published before the current one; where the current one was published by a rollback, it stays, and
            where `customer_segments` is gone, it is published again.

    Returns:
        The run that consumers read now.

    Raises:
        ConfigurationError: there is no such run, or its customers have expired.
        PublishingError: another run was published in between.
    """
    publication = run.publication
    with run.progress.stage("rollback", "publishing an earlier run again") as stage:
        current = publication.current_run_id()
        recorded = publication.newest_recorded() if current is None else current
        if recorded is None:
            raise ConfigurationError("nothing is published yet; run `customer-segmentation run` first")
        target = run_id or (recorded if current is None else publication.before_current())
        if target is None:
            raise ConfigurationError(f"no run was published before {current}; name one with --run: {_complete(run)}")
        if not publication.is_complete(target):
            raise ConfigurationError(f"run {target:.80} is none of those that are complete and kept: {_complete(run)}")
        publication.publish(target, instead_of=current, anew=run_id is not None)
        stage.result = f"run {target} is what consumers read"
        if target != current:
            stage.result += f" instead of {current}" if current else "; customer_segments was gone"
        elif run_id is None:
            stage.result += " since a rollback; to go further back name a run with --run"
        else:
            stage.result += ", written again from customer_segments_history"
    return target


def _complete(run: Run) -> str:
    """The newest runs that may be published."""
    rows = run.warehouse.rows(t.PIPELINE_RUNS, column="status", value=COMPLETE).orderBy(F.desc("finished_at"))
    return ", ".join(row[0] for row in rows.select(c.RUN_ID).limit(_LISTED).collect()) or "none"
