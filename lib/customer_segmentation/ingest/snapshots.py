"""Snapshots of a source of order lines, and the changes between two of them.

Each kind of source shows its changes in its own way: files by the list of those that were read, a Delta table by its
change feed, a database table by a column that grows. Where a source shows none, all of it is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, NumericType, TimestampNTZType, TimestampType

from customer_segmentation.config.expressions import quoted_place
from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.paths import resolve
from customer_segmentation.ingest.sources import (
    FILE_FORMATS,
    bounds,
    delta_name,
    digest,
    files_of,
    read_source,
    with_origin,
)
from customer_segmentation.ingest.transactions import is_filtered_out
from customer_segmentation.spark.change_feed import change_feed, lost_history
from customer_segmentation.spark.shuffling import spread

Offsets = Mapping[str, Any]
"""How far a source has been read, as JSON values."""

Files = Mapping[str, tuple[int, str]]
"""Size in bytes and time of change of each file."""

FILTERED_LATE = "filtered_late"
"""In the offsets of a source with a watermark: the rows of the overlap that `where` filters out."""
_OVERLAP = "overlap"
"""And the overlap that they are of."""

_MISSING_SHOWN = 3
_CHANGE_TYPE = "_change_type"
_NO_FEED = "with the table property delta.enableChangeDataFeed, only what is new is read"


class FullReloadRequired(Exception):  # noqa: N818 (no error of a user's: it says why all lines are read)
    """What was to be read of a source turns out not to be there, so that all of it has to be read."""


@dataclass(frozen=True)
class SourceSnapshot:
    """A source at one moment: how far it reaches, and its files where it has some."""

    offsets: Offsets
    files: Files | None = None


@dataclass(frozen=True)
class Untraceable:
    """Why the changes of a source are unknown, so that all of it has to be read."""

    reason: str


@dataclass(frozen=True)
class SourceChanges:
    """Rows of a source, as `sources.read_source` gives them, that changed between two snapshots.

    inserted: rows that are new.
    deleted: rows that are no longer there; None where none can be.
    overlapping: rows that are new unless they were read before; None where what is new is known for sure.
    """

    inserted: DataFrame
    deleted: DataFrame | None = None
    overlapping: DataFrame | None = None


def take_snapshot(spark: SparkSession, source: TransactionSource) -> SourceSnapshot:
    """The source as it is now.

    Reads none of its lines, but of a watermark the largest value, and what `where` filters out within the overlap.
    """
    if source.format in FILE_FORMATS and source.path is not None:
        files = files_of(spark, source)
        return SourceSnapshot({"files": digest(sorted(files.items()))}, files)
    if source.format == "delta":
        name = delta_name(source)
        table = spark.sql(f"DESCRIBE DETAIL {name}").select("id").head()
        last = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").select("version").head()
        assert table is not None, "a Delta table has an id"
        assert last is not None, "a Delta table has a commit"
        version = last["version"] if source.version is None else source.version
        return SourceSnapshot({"id": table["id"], "version": version})
    if source.watermark is not None and source.has_row_key:
        highest = bounds(spark, source, source.watermark)[1]
        late = _filtered_late(spark, source, highest)
        return SourceSnapshot({"watermark": highest, _OVERLAP: source.overlap, FILTERED_LATE: late})
    return SourceSnapshot({})


@contextmanager
def following(source: TransactionSource, since: Offsets) -> Iterator[None]:
    """Where the block finds that a Delta table no longer has its changes since some offsets, says so.

    Raises:
        FullReloadRequired: it has not.
    """
    try:
        yield
    except Exception as error:
        why = lost_history(error)
        if source.format != "delta" or why is None:
            raise
        raise FullReloadRequired(
            f"{source.table or source.path} {why}, since version {since['version']}; {_NO_FEED}"
        ) from None


def read_snapshot(spark: SparkSession, source: TransactionSource, snapshot: SourceSnapshot) -> DataFrame:
    """All rows of the source as it was at the snapshot, as far as it can be read so; see `sources.read_source`."""
    files = sorted(snapshot.files) if snapshot.files else None
    frame = read_source(spark, source, files=files, version=snapshot.offsets.get("version"))
    if snapshot.files:
        frame = spread(frame, source.format, [size for size, _ in snapshot.files.values()])
    highest = snapshot.offsets.get("watermark")
    if highest is None:
        return frame
    column = F.col(quoted(str(source.watermark)))
    return frame.where(column.isNull() | (column <= _typed_watermark(frame, source, highest)))


def changes_between(
    spark: SparkSession,
    source: TransactionSource,
    since: Offsets,
    files_read: Files,
    until: SourceSnapshot,
    *,
    known: Mapping[str, str],
) -> SourceChanges | Untraceable | None:
    """What changed in a source between two moments; None where nothing did.

    Args:
        since: how far it had been read.
        files_read: the files that were read, where it has files.
        until: what it is now.
        known: the columns that it had, with their types.

    Raises:
        DataRejectedError: files that were read are gone, and `missing_files` is fail.
    """
    if until.files is not None:
        return _new_files(spark, source, files_read, until.files, known)
    if source.format == "delta":
        return _changed_rows(spark, source, since, until.offsets)
    place = source.table or source.path
    if source.watermark is None:
        return Untraceable(f"{place} does not show what is new in it: name a watermark, a column that grows")
    if not source.has_row_key:
        return Untraceable(
            f"a changed row of {place} can't be distinguished from a new one: map line_number and changed_at, and only "
            f"what is after the watermark {source.watermark} is read"
        )
    if since.get("watermark") is None:
        return Untraceable(f"the watermark {source.watermark} of {place} had no value before")
    if source.where is not None and since.get(_OVERLAP, source.overlap) != source.overlap:
        return Untraceable(f"what {place} has of filtered rows was counted for the overlap {since[_OVERLAP]!r}")
    return _rows_after(spark, source, since["watermark"], until)


def require_files(source: TransactionSource, files_read: Files, files_now: Files, *, reason: str | None = None) -> None:
    """Stop where files that were read are no longer there.

    Args:
        reason: why all files are to be read again; None where only new ones are.

    Raises:
        DataRejectedError: some are not.
    """
    missing = _missing(files_read, files_now)
    if missing:
        shown = ", ".join(missing[:_MISSING_SHOWN]) + (" ..." if len(missing) > _MISSING_SHOWN else "")
        why = f"all lines are to be read again, since {reason}, but " if reason else ""
        raise DataRejectedError(
            f"sources.transactions: {why}files that were read are no longer at {source.path} ({len(missing):,}): "
            f"{shown}; bring them back, or set missing_files of the source to remove (their lines go too)"
            f"{'' if reason else ' or keep (they stay)'}"
        )


def _missing(files_read: Files, files_now: Files) -> list[str]:
    return sorted(files_read.keys() - files_now.keys())


def _new_files(
    spark: SparkSession, source: TransactionSource, before: Files, now: Files, known: Mapping[str, str]
) -> SourceChanges | Untraceable | None:
    changed = sorted(path for path in before.keys() & now.keys() if tuple(before[path]) != tuple(now[path]))
    if changed:
        return Untraceable(f"{changed[0]} changed since it was read")
    if source.missing_files == "fail":
        require_files(source, before, now)
    missing = _missing(before, now)
    if missing and source.missing_files == "remove":
        return Untraceable(f"{missing[0]} is gone")
    new = sorted(now.keys() - before.keys())
    return SourceChanges(read_source(spark, source, files=new, known=known)) if new else None


def _changed_rows(
    spark: SparkSession, source: TransactionSource, since: Offsets, now: Offsets
) -> SourceChanges | Untraceable | None:
    place = source.table or source.path
    if since.get("id") != now["id"] or since["version"] > now["version"]:
        return Untraceable(f"{place} was created again")
    if since["version"] == now["version"]:
        return None
    is_named = source.path is None
    location = quoted_place(str(source.table)) if source.path is None else resolve(source.path)
    try:
        with following(source, since):
            feed = change_feed(spark, location, is_named=is_named, since=since["version"], until=now["version"])
    except FullReloadRequired as why:
        return Untraceable(str(why))
    rows = with_origin(feed.drop("_commit_version", "_commit_timestamp"), source)
    is_inserted = F.col(_CHANGE_TYPE).isin("insert", "update_postimage")
    return SourceChanges(rows.where(is_inserted).drop(_CHANGE_TYPE), rows.where(~is_inserted).drop(_CHANGE_TYPE))


def _rows_after(spark: SparkSession, source: TransactionSource, since: str, until: SourceSnapshot) -> SourceChanges:
    frame = read_snapshot(spark, source, until)
    after = frame.where(F.col(quoted(str(source.watermark))) > _typed_watermark(frame, source, since))
    return SourceChanges(after, overlapping=frame.where(_may_be_late(frame, source, since)))


def _may_be_late(frame: DataFrame, source: TransactionSource, reached: str) -> Column:
    """Whether a row may have come after a value of the watermark was read, and yet is not above it.

    It lies in the overlap, or has no value at all.
    """
    column, last = F.col(quoted(str(source.watermark))), _typed_watermark(frame, source, reached)
    if isinstance(source.overlap, str):
        length, unit = source.overlap.split()
        first = last - F.expr(f"INTERVAL '{length}' {unit.removesuffix('s').upper()}")
    else:
        first = last - source.overlap if source.overlap else last
    return column.isNull() | ((column >= first) & (column <= last))


def _filtered_late(spark: SparkSession, source: TransactionSource, reached: str | None) -> int:
    """How many rows of the overlap `where` filters out: no table has them, so new ones show in their number alone."""
    if source.where is None or reached is None:
        return 0
    frame = read_source(spark, source)
    return frame.where(_may_be_late(frame, source, reached) & is_filtered_out(source, frame)).count()


def _typed_watermark(frame: DataFrame, source: TransactionSource, value: str) -> Column:
    """A value of the watermark, in its type.

    Raises:
        DataRejectedError: the column is not there, or its type and the overlap's do not go together.
    """
    type_ = {field.name: field.dataType for field in frame.schema.fields}.get(str(source.watermark))
    times = (DateType, TimestampType, TimestampNTZType)
    fits = isinstance(type_, times) if isinstance(source.overlap, str) else isinstance(type_, NumericType)
    if type_ is None or not (fits or (source.overlap == 0 and isinstance(type_, times))):
        is_ = "not there" if type_ is None else type_.simpleString()
        raise DataRejectedError(
            f"sources.transactions: the watermark {source.watermark} is {is_}, the overlap {source.overlap!r}; a time "
            "overlaps by a text such as 1 hour, a number by a number"
        )
    return F.lit(value).cast(type_)
