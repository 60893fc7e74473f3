"""Reads the sources of order lines whole."""

from dataclasses import asdict

from customer_segmentation.contract import tables as t
from customer_segmentation.ingest import repeats
from customer_segmentation.ingest.batches import as_accepted, as_refused
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.reading.account import Reading, judge_share, require_lines, verify
from customer_segmentation.stages.reading.lines import OrderLines
from customer_segmentation.stages.reading.now import Now
from customer_segmentation.stages.run import Run


def read_whole(run: Run, now: Now) -> Reading:
    """Replace `transactions` and `rejected_transactions` by the lines that the sources hold."""
    settings = run.config.checks
    lines = OrderLines(run, now.whole())
    with (
        lines.kept() as kept,
        repeats.suspects(kept.keys(), settings) as suspected,
        held(repeats.compared(kept.concerned(suspected), settings)) as compared,
    ):
        found = repeats.account(compared)
        run.warehouse.overwrite(t.REJECTED_TRANSACTIONS, as_refused(compared, batch_id=now.batch_id))
        require_lines(found, compared, lines=kept.judged + kept.left_out, judged=kept.judged)
        judge_share(run, found, compared, judged=kept.judged)
        now.write_files()
        reading = Reading(
            batch_id=now.batch_id,
            lines=kept.judged + kept.left_out,
            accepted=kept.judged - found.refused,
            refused=found.refused,
            left_out=kept.left_out,
            by_reason=found.by_reason,
            latest=now.latest.isoformat(),
            columns=lines.columns(),
            definition=now.definition,
            sources=[dict(one.state) for one in now.seen],
            versions=now.versions(),
        )
        accepted = kept.good(suspected).unionByName(as_accepted(compared))
        run.warehouse.overwrite(t.TRANSACTIONS, accepted, note=asdict(reading))
    verify(run, reading)
    return reading
