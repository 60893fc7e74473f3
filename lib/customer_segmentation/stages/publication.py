"""Which run consumers read: the one that `customer_segments` carries."""

from dataclasses import dataclass, replace
from datetime import date
from itertools import takewhile

from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import PublishingError
from customer_segmentation.storage import Warehouse

COMPLETE, EXPIRED = "complete", "expired"
"""Of a run in `pipeline_runs`."""

ROLLBACK = "rollback"
"""The command that publishes an earlier run again."""

_PUBLICATIONS_READ = 100


class Publication:
    """The published run, and the one before it.

    Args:
        warehouse: has the tables.
        command: by which a run is published.
        configuration: digest of the settings by which it is.
    """

    def __init__(self, warehouse: Warehouse, command: str, configuration: str | None = None) -> None:
        self._warehouse = warehouse
        self._command = command
        self._configuration = configuration

    def current_run_id(self) -> str | None:
        """The run that consumers read now; None before the first."""
        if not self._warehouse.exists(t.CUSTOMER_SEGMENTS):
            return None
        row = self._warehouse.read(t.CUSTOMER_SEGMENTS).select(c.RUN_ID).first()
        return row[0] if row else None

    def previous_run_id(self, run_id: str) -> str | None:
        """The run that was published before this one; a run that was written before keeps the one it had."""
        if self._warehouse.exists(t.PIPELINE_RUNS):
            runs = self._warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id)
            row = runs.select("previous_run_id").first()
            if row is not None:
                recorded: str | None = row[0]
                return recorded
        current = self.current_run_id()
        return current if current != run_id else None

    def is_complete(self, run_id: str) -> bool:
        """Whether all that a run has was written and checked before, and is still there.

        It looks at all runs on record, so that one that is recorded next is later than each of them.
        """
        if not self._warehouse.exists(t.PIPELINE_RUNS):
            return False
        is_complete = (F.col(c.RUN_ID) == run_id) & (F.col("status") == COMPLETE)
        runs = self._warehouse.read(t.PIPELINE_RUNS).agg(F.max("finished_at"), F.bool_or(is_complete)).first()
        assert runs is not None, "an aggregation without grouping has one row"
        self._warehouse.clock.saw(runs[0])
        return bool(runs[1])

    def has_expired(self, run_id: str) -> bool:
        """Whether the run was complete, and `maintain` has removed its customers."""
        runs = self._warehouse.rows(t.PIPELINE_RUNS, column=c.RUN_ID, value=run_id)
        return not runs.where(F.col("status") == EXPIRED).isEmpty()

    def before_current(self) -> str | None:
        """The run that was published before the current one; None where it is the first.

        Where `rollback` published the current one, that: the same command again goes no further back, and never to
        what was taken back.
        """
        newest = self._newest()
        if newest is None:
            return None
        return newest.run_id if newest.command == ROLLBACK else newest.previous_run_id

    def newest_recorded(self) -> str | None:
        """The run that became current last, as `publications` has it; None where it has none."""
        return next((each.run_id for each in self._on_record()), None)

    def replaced(self) -> str | None:
        """The run whose place the current one took, such as the one that a rollback took back; None for the first."""
        newest = self._newest()
        return newest.previous_run_id if newest is not None else None

    def was_taken_back(self, run_id: str) -> bool:
        """Whether `rollback` went back behind this run, and nothing else was published since."""
        back = list(takewhile(lambda each: each.command == ROLLBACK, self._newest_first()))
        return bool(back) and back[0].run_id != run_id and run_id in {each.previous_run_id for each in back}

    def later_date(self, as_of: date) -> date | None:
        """The as-of date of the run that consumers read, where it is after this one."""
        if not self._warehouse.exists(t.CUSTOMER_SEGMENTS):
            return None
        row = self._warehouse.read(t.CUSTOMER_SEGMENTS).select(c.AS_OF_DATE).first()
        return row[0] if row is not None and row[0] > as_of else None

    def publish(self, run_id: str, *, instead_of: str | None, anew: bool = False) -> None:
        """Make a complete run what consumers read, in one commit, and keep that it became so.

        Args:
            run_id: its rows are in `customer_segments_history`.
            instead_of: the run that consumers read when this one began.
            anew: whether its rows are written again where consumers read it already.

        Raises:
            PublishingError: another run was published in between.
        """
        current = self.current_run_id()
        if current not in (instead_of, run_id):
            raise PublishingError(
                f"run {run_id} is not published: {current} was published while it was made, instead of {instead_of}; "
                "run the same command again if it is to replace that one"
            )
        newest = self._newest(current)
        if newest is not None and not newest.is_recorded:
            if newest.run_id == run_id:
                newest = replace(newest, command=newest.command or self._command, configuration=self._configuration)
            self._record(newest)  # first, since this one may end before its record too
        if anew or current != run_id:
            rows = self._warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column=c.RUN_ID, value=run_id)
            self._warehouse.overwrite(t.CUSTOMER_SEGMENTS, rows)
        if newest is None or newest.run_id != run_id:
            before = newest.run_id if newest is not None else None
            self._record(_Published(run_id, self._command, before, self._configuration))

    def _record(self, published: "_Published") -> None:
        row = {
            "published_at": self._warehouse.clock.now(),
            c.RUN_ID: published.run_id,
            "command": published.command,
            "configuration": published.configuration,
            "previous_run_id": published.previous_run_id,
        }
        self._warehouse.append_rows(t.PUBLICATIONS, [row])

    def _newest(self, current: str | None = None) -> "_Published | None":
        """The first of `_newest_first`; None where there is none."""
        return next(iter(self._newest_first(current)), None)

    def _newest_first(self, current: str | None = None) -> list["_Published"]:
        """The newest publications; the first is of the run that consumers read, be it on record or not.

        Where it is not, its command was killed before the record. What had been published before it published again, so
        it counts as a rollback, which is to last; else the command is not known.

        Args:
            current: the run that consumers read, or read until now; None: it is looked up.
        """
        on_record = self._on_record()
        current = current or self.current_run_id()
        if current is None or (on_record and on_record[0].run_id == current):
            return on_record
        command = ROLLBACK if current in {each.run_id for each in on_record} else None
        before = on_record[0].run_id if on_record else None
        return [_Published(current, command, before, is_recorded=False), *on_record]

    def _on_record(self) -> list["_Published"]:
        """The newest rows of `publications`, the newest first."""
        if not self._warehouse.exists(t.PUBLICATIONS):
            return []
        columns = ("published_at", c.RUN_ID, "command", "previous_run_id")
        newest = self._warehouse.read(t.PUBLICATIONS).orderBy(F.desc("published_at")).limit(_PUBLICATIONS_READ)
        rows = newest.select(*columns).collect()
        for row in rows:
            self._warehouse.clock.saw(row["published_at"])
        return [_Published(row[c.RUN_ID], row["command"], row["previous_run_id"]) for row in rows]


@dataclass(frozen=True)
class _Published:
    """A run becoming current: a row of `publications`, or one that was never written.

    command, configuration: by which it did; None where that is not known.
    is_recorded: whether the row was written.
    """

    run_id: str
    command: str | None
    previous_run_id: str | None
    configuration: str | None = None
    is_recorded: bool = True
