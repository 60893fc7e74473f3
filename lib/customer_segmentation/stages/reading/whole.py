"""Reads the sources of order lines whole: three passes, which hold no more than lines that concern others."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from pyspark.sql import DataFrame

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.ingest import repeats
from customer_segmentation.ingest.batches import as_accepted, as_refused
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.reading.account import Reading, judge_share, require_lines, verify
from customer_segmentation.stages.reading.lines import Counts, Frames, OrderLines
from customer_segmentation.stages.reading.now import Now
from customer_segmentation.stages.run import Run


def read_whole(run: Run, now: Now) -> Reading:
    """Replace `transactions` and `rejected_transactions` by the lines that the sources hold."""
    settings = run.config.checks
    with _unchanging(now) as (frames, unplaced):
        lines, unplaced_lines = OrderLines(run, frames), OrderLines(run, unplaced)
        with repeats.suspects(unplaced_lines.judged(), settings) as found:
            concerned, seen = lines.concerned(found)
            with held(repeats.compared(concerned, settings)) as compared:
                reading = _refused_written(run, now, lines, compared, seen)
                good, seen_again = unplaced_lines.good(found)
                accepted = good.unionByName(as_accepted(compared))
                run.warehouse.overwrite(t.TRANSACTIONS, accepted, note=asdict(reading))
    verify(run, reading)
    if seen_again() != seen():
        raise PublishingError("the sources changed while they were read: run again")
    return reading


def _refused_written(run: Run, now: Now, lines: OrderLines, compared: DataFrame, seen: Callable[[], Counts]) -> Reading:
    """Write the refused lines, and give the account of all lines."""
    found = repeats.account(compared)
    run.warehouse.overwrite(t.REJECTED_TRANSACTIONS, as_refused(compared, batch_id=now.batch_id))
    judged, left_out = seen()
    require_lines(found, compared, lines=judged + left_out, judged=judged)
    judge_share(run, found, compared, judged=judged)
    now.write_files()
    return Reading(
        batch_id=now.batch_id,
        lines=judged + left_out,
        accepted=judged - found.refused,
        refused=found.refused,
        left_out=left_out,
        by_reason=found.by_reason,
        latest=now.latest.isoformat(),
        columns=lines.columns(),
        definition=now.definition,
        sources=[dict(one.state) for one in now.seen],
        versions=now.versions(),
    )


@contextmanager
def _unchanging(now: Now) -> Iterator[tuple[Frames, Frames]]:
    """The rows, with where they came from and without, the same in every pass: those of a database are kept."""
    with ExitStack() as kept:
        frames = [
            (source, kept.enter_context(held(frame)) if source.format == "jdbc" else frame)
            for source, frame in now.whole()
        ]
        unplaced = [
            one if one[0].format == "jdbc" else other
            for one, other in zip(frames, now.whole(is_placed=False), strict=True)
        ]
        yield frames, unplaced
