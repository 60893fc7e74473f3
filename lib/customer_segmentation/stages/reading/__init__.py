"""Reads the sources of order lines into `transactions` and `rejected_transactions`: all of them, or what is new.

The last commit of `transactions` carries the account of all lines and says how far each source has been read; the
other tables are of the versions that it names. What a run that was killed had written to them is taken back first.
"""

from customer_segmentation.ingest.news import MustReadWholeError
from customer_segmentation.stages.reading.account import Reading, last_reading, reading_so_far
from customer_segmentation.stages.reading.batch import read_batch
from customer_segmentation.stages.reading.lines import OrderLines, analysed, changes
from customer_segmentation.stages.reading.now import Now
from customer_segmentation.stages.reading.unreadable import unreadable_files_told
from customer_segmentation.stages.reading.whole import read_whole
from customer_segmentation.stages.run import Run

__all__ = ["OrderLines", "Reading", "analysed", "changes", "last_reading", "read_order_lines"]


def read_order_lines(run: Run) -> tuple[Reading, list[str]]:
    """Bring `transactions` and `rejected_transactions` up to what the sources hold.

    Returns:
        The account of all lines, and what there is to say of what was read.

    Raises:
        DataRefusedError: a mapping does not fit its source, a file can't be read, no line is accepted, the share of
            refused lines is above `checks.max_rejected_share`, or files are gone; `transactions` stays as it was.
        PublishingError: the lines written are not those counted.
    """
    with unreadable_files_told():
        now = Now(run)
        then = reading_so_far(run)
        if then is None:
            return read_whole(run, now), []
        try:
            reading, told = read_batch(run, then, now)
        except MustReadWholeError as why:
            now.refuse_gone_files(then)
            reading, told = read_whole(run, now), [f"all lines were read again: {why}"]
    return reading, [*told, *changes(then.columns, reading.columns)]
