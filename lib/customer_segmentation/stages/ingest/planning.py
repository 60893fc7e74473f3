"""Snapshots of the sources of order lines, and what is to be read of them: all of it, or what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Lookup, TransactionSource
from customer_segmentation.contract import tables as t
from customer_segmentation.ingest.lookups import LookupState, changed_lookups, lookup_states
from customer_segmentation.ingest.snapshots import (
    Files,
    SourceChanges,
    SourceSnapshot,
    Untraceable,
    changes_between,
    read_snapshot,
    require_files,
    take_snapshot,
)
from customer_segmentation.ingest.sources import definition, digest, used_columns
from customer_segmentation.stages.ingest.batch_log import FULL, INCREMENTAL, PLANNED, RULES_VERSION, Batch, BatchLog
from customer_segmentation.stages.ingest.validation import Frames, analysed, column_types, is_retyped
from customer_segmentation.stages.run import Run

_LOOKUPS = "lookups"


@dataclass(frozen=True)
class Snapshot:
    """All sources at one moment, so that every pass over them sees the same.

    sources: as configured.
    each: the snapshot of each.
    lookups, lookups_before: of each source, the states of its look-ups, now and when its lines were read.
    known_before: lines of this day and later are not known yet.
    definition: digest of the settings that lines are read with.
    """

    sources: list[TransactionSource]
    each: list[SourceSnapshot]
    lookups: list[list[LookupState]]
    lookups_before: list[list[LookupState]]
    known_before: date
    definition: str

    @property
    def offsets(self) -> list[dict[str, Any]]:
        """How far each source reaches."""
        return [
            dict(snapshot.offsets) | ({_LOOKUPS: [dict(lookup) for lookup in lookups]} if lookups else {})
            for snapshot, lookups in zip(self.each, self.lookups, strict=True)
        ]

    @property
    def changed_lookups(self) -> list[Lookup]:
        """The look-ups whose rows are others than when the lines in the tables were read."""
        pairs = zip(self.sources, self.lookups_before, self.lookups, strict=True)
        return [lookup for source, before, now in pairs for lookup in changed_lookups(source, before, now)]

    def frames(self, spark: SparkSession) -> Frames:
        """All rows of each source."""
        return [
            (source, analysed("transactions", partial(read_snapshot, spark, source, snapshot)))
            for source, snapshot in zip(self.sources, self.each, strict=True)
        ]


def take_snapshots(run: Run, last_batch: Batch | None) -> Snapshot:
    """Take a snapshot of all sources.

    Args:
        last_batch: the newest committed batch.

    Raises:
        DataRejectedError: a source is not there.
    """
    sources = run.sources.transactions
    before = last_batch.offsets if last_batch and len(last_batch.offsets) == len(sources) else [{} for _ in sources]
    lookups_before = [list(offsets.get(_LOOKUPS, [])) for offsets in before]
    tomorrow = run.start_day + timedelta(days=1)
    settings = run.config.checks.model_dump(mode="json", exclude={"max_rejected_share"})
    return Snapshot(
        sources,
        [analysed("transactions", partial(take_snapshot, run.spark, source)) for source in sources],
        [
            analysed("transactions", partial(lookup_states, run.spark, source, lookups))
            for source, lookups in zip(sources, lookups_before, strict=True)
        ],
        lookups_before,
        min(run.config.as_of or tomorrow, run.config.checks.latest_order),
        definition(sources, settings, run.config.timezone),
    )


@dataclass(frozen=True)
class Plan:
    """What is to be read.

    batch: the planned batch.
    snapshot: the sources.
    changes: of each source, what changed in it, None where nothing did; empty where all is read.
    new_files: by the path of their source, the files that the batch reads.
    """

    batch: Batch
    snapshot: Snapshot
    changes: list[SourceChanges | None]
    new_files: Mapping[str, Files]

    @property
    def is_full(self) -> bool:
        """Whether all lines are read, whatever was read before."""
        return self.batch.mode == FULL

    def record_files(self, run: Run) -> None:
        """Keep the list of the files that the batch reads."""
        rows = [
            {
                "path": path,
                "source_file": file,
                "bytes": size,
                "modified_at": modified,
                "batch_number": self.batch.number,
            }
            for path, files in self.new_files.items()
            for file, (size, modified) in files.items()
        ]
        if rows:
            run.warehouse.append_rows(t.INGESTED_FILES, rows)


def plan_batch(run: Run, log: BatchLog, snapshot: Snapshot) -> Plan | None:
    """What is to be read; None where nothing changed since the last batch.

    Raises:
        DataRejectedError: files that were read are gone, and the source's `missing_files` does not allow it.
    """
    last_batch = log.committed
    reason = _why_full(run, log, snapshot)
    if reason is not None or last_batch is None:
        return plan_full(run, log, snapshot, reason)
    files = _files_read(run, last_batch)
    changes = [
        analysed(
            "transactions",
            partial(changes_between, run.spark, source, offsets, files.get(str(source.path), {}), now, known=known),
        )
        for source, offsets, now, known in zip(
            snapshot.sources, last_batch.offsets, snapshot.each, last_batch.source_columns, strict=True
        )
    ]
    for change in changes:
        if isinstance(change, Untraceable):
            return plan_full(run, log, snapshot, change.reason)
    known = [change if isinstance(change, SourceChanges) else None for change in changes]
    reason = _retyped_column(snapshot.sources, known, last_batch)
    if reason is not None:
        return plan_full(run, log, snapshot, reason)
    known_before = max(snapshot.known_before, last_batch.known_before)
    some_become_known = known_before > last_batch.known_before and last_batch.counts.has_future_lines
    if not any(known) and not some_become_known:
        return None
    new = {
        str(source.path): {
            file: about for file, about in taken.files.items() if file not in files.get(str(source.path), {})
        }
        for source, taken in zip(snapshot.sources, snapshot.each, strict=True)
        if taken.files is not None
    }
    batch = _planned(log, snapshot, INCREMENTAL, None, last_batch.base_number, known_before)
    return Plan(batch, snapshot, known, new)


def plan_full(run: Run, log: BatchLog, snapshot: Snapshot, reason: str | None) -> Plan:
    """A plan to read all lines.

    Args:
        reason: why, where lines were read before.

    Raises:
        DataRejectedError: that would lose lines, since files that were read are gone and `missing_files` is not remove.
    """
    if log.committed is not None:
        files = _files_read(run, log.committed)
        for source, taken in zip(snapshot.sources, snapshot.each, strict=True):
            if taken.files is not None and source.missing_files != "remove":
                require_files(source, files.get(str(source.path), {}), taken.files, reason=reason)
    batch = _planned(log, snapshot, FULL, reason, log.next_number, snapshot.known_before)
    all_files = {
        str(source.path): taken.files
        for source, taken in zip(snapshot.sources, snapshot.each, strict=True)
        if taken.files is not None
    }
    return Plan(batch, snapshot, [], all_files)


def _why_full(run: Run, log: BatchLog, snapshot: Snapshot) -> str | None:
    """Why all lines are to be read, as far as the log of batches shows; None where they need not be, or never were."""
    if log.interrupted is not None and log.interrupted.mode == FULL:
        return f"batch {log.interrupted.number} was interrupted while it replaced the tables"
    if log.committed is None:
        return "the tables are of an earlier release" if run.warehouse.exists(t.TRANSACTIONS) else None
    for table in (t.TRANSACTIONS, t.REJECTED_TRANSACTIONS):
        if not run.warehouse.exists(table):
            return f"{table.name} is no longer there"
    if log.interrupted is not None and not run.warehouse.exists(t.INGEST_CHANGES):
        return f"batch {log.interrupted.number} was interrupted, and what it was to change is no longer there"
    if run.config.ingest.reload:
        return "ingest.reload is set"
    if log.committed.rules_version != RULES_VERSION:
        return "this release reads lines by other rules"
    if log.committed.definition != snapshot.definition:
        return "the configuration changed"
    reloading = [lookup for lookup in snapshot.changed_lookups if lookup.when_changed == "reload"]
    return f"the look-up {reloading[0].table or reloading[0].path} changed" if reloading else None


def _retyped_column(
    sources: list[TransactionSource], changes: list[SourceChanges | None], last_batch: Batch
) -> str | None:
    """Which column that a source's mapping uses has another type than it had: equal lines would have other digests.

    A number is the same line whatever its type, and so is a value of JSON, whose types follow from the values.
    """
    for source, change, known in zip(sources, changes, last_batch.source_columns, strict=True):
        types = column_types(change.inserted) if change and source.format != "json" else {}
        used = {name.lower() for name in used_columns(source)}
        for name in sorted(name for name in types.keys() & known.keys() if name.lower() in used):
            if is_retyped(known[name], types[name]) and not (_is_number(types[name]) and _is_number(known[name])):
                return f"column {name} is {types[name]}, was {known[name]}"
    return None


def _is_number(type_: str) -> bool:
    return type_ in ("tinyint", "smallint", "int", "bigint", "float", "double") or type_.startswith("decimal")


def _planned(
    log: BatchLog, snapshot: Snapshot, mode: str, reason: str | None, base_number: int, known_before: date
) -> Batch:
    last_batch = log.committed
    return Batch(
        number=log.next_number,
        batch_id=digest([snapshot.definition, *snapshot.offsets]),
        status=PLANNED,
        mode=mode,
        reason=reason,
        offsets=snapshot.offsets,
        previous_offsets=last_batch.offsets if last_batch and mode == INCREMENTAL else None,
        base_number=base_number,
        known_before=known_before,
        source_columns=last_batch.source_columns if last_batch else [],
        definition=snapshot.definition,
    )


def _files_read(run: Run, last_batch: Batch) -> Mapping[str, Files]:
    """The files whose lines are in the tables, by the path of their source."""
    if not run.warehouse.exists(t.INGESTED_FILES):
        return {}
    numbers = F.col("batch_number").between(last_batch.base_number, last_batch.number)
    committed = run.warehouse.read(t.INGEST_BATCHES).where("status = 'committed'").select("batch_number").distinct()
    rows = run.warehouse.read(t.INGESTED_FILES).where(numbers).join(committed, on="batch_number", how="left_semi")
    files: dict[str, dict[str, tuple[int, str]]] = {}
    for row in rows.select("path", "source_file", "bytes", "modified_at").collect():
        files.setdefault(row[0], {})[row[1]] = (row[2], row[3])
    return files
