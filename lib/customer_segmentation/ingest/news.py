"""What a source of order lines holds that was not read before.

Each kind of source tells it in its own way: files by the list of those that were read, a Delta table by its change feed
since the version that was read, a database by a column that grows. Where the source can't tell, all of it is read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, NumericType, TimestampNTZType, TimestampType

from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract.columns import SOURCE_FILE
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.ingest.locations import resolve
from customer_segmentation.ingest.sources import FILE_FORMATS, bounds, delta_name, digest, files_of, origin, read_source
from customer_segmentation.ingest.transactions import left_out
from customer_segmentation.spark.history import change_feed, lost_history

State = Mapping[str, Any]
"""How far a source has been read, as JSON can tell it."""

Files = Mapping[str, tuple[int, str]]
"""Size in bytes and time of change of each file."""

LEFT_OUT_LATE = "left_out_late"
"""In the state of a source with a watermark: the rows of the overlap that `where` leaves out."""

_GONE_SHOWN = 3
_KIND = "_change_type"
_NO_FEED = "with the table property delta.enableChangeDataFeed, only what is new is read"


class MustReadWholeError(Exception):
    """Why what is new can't be told from what is there."""


@dataclass(frozen=True)
class Seen:
    """What a source is like now: how far it reaches, and its files where it has some."""

    state: State
    files: Files | None = None


@dataclass(frozen=True)
class News:
    """Rows of a source, as `sources.read_source` gives them, that came or went since it was read.

    came: rows that are new.
    went: rows that are no longer there; None where none can be.
    perhaps: rows that are new unless they were read before; None where what is new is told for sure.
    """

    came: DataFrame
    went: DataFrame | None = None
    perhaps: DataFrame | None = None


def look(spark: SparkSession, source: TransactionSource) -> Seen:
    """What the source is like now.

    Reads none of its lines, but of a watermark the largest value, and what `where` leaves out within the overlap.
    """
    if source.format in FILE_FORMATS and source.path is not None:
        files = files_of(spark, source)
        return Seen({"files": digest(sorted(files.items()))}, files)
    if source.format == "delta":
        name = delta_name(source)
        table = spark.sql(f"DESCRIBE DETAIL {name}").select("id").head()
        last = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").select("version").head()
        assert table is not None, "a Delta table has an id"
        assert last is not None, "a Delta table has a commit"
        return Seen({"id": table["id"], "version": last["version"] if source.version is None else source.version})
    if source.watermark is not None:
        top = bounds(spark, source, source.watermark)[1]
        late = _left_out_late(spark, source, top)
        return Seen({"watermark": top, LEFT_OUT_LATE: late, "read_at": datetime.now(UTC).isoformat()})
    return Seen({"read_at": datetime.now(UTC).isoformat()})


@contextmanager
def following(source: TransactionSource, then: State) -> Iterator[None]:
    """Where the block finds that a Delta table can't tell its changes since a look, says so.

    Raises:
        MustReadWholeError: it can't.
    """
    try:
        yield
    except Exception as error:
        why = lost_history(error)
        if source.format != "delta" or why is None:
            raise
        raise MustReadWholeError(
            f"{source.table or source.path} {why}, since version {then['version']}; {_NO_FEED}"
        ) from None


def as_seen(spark: SparkSession, source: TransactionSource, seen: Seen) -> DataFrame:
    """All rows of the source as it was when it was looked at, as far as it can tell; see `sources.read_source`."""
    files = sorted(seen.files) if seen.files else None
    frame = read_source(spark, source, files=files, version=seen.state.get("version"))
    top = seen.state.get("watermark")
    if top is None:
        return frame
    column = F.col(f"`{source.watermark}`")
    return frame.where(column.isNull() | (column <= _like(frame, source, top)))


def news(spark: SparkSession, source: TransactionSource, then: State, files_then: Files, now: Seen) -> News | None:
    """What came and went between two looks; None where nothing did.

    Args:
        then: what the source was like when it was read.
        files_then: the files that were read, where it has files.
        now: what it is like.

    Raises:
        MustReadWholeError: the source can't tell.
        DataRefusedError: files that were read are gone, and `gone_files` is refuse.
    """
    if now.files is not None:
        return _new_files(spark, source, files_then, now.files)
    if source.format == "delta":
        return _changed_rows(spark, source, then, now.state)
    if source.watermark is not None and then.get("watermark") is not None:
        return _rows_after(spark, source, then["watermark"], now)
    place = source.table or source.path
    raise MustReadWholeError(f"{place} does not tell what is new in it: name a watermark, a column that grows")


def refuse_gone(source: TransactionSource, files_then: Files, files_now: Files) -> None:
    """Stop where files that were read are no longer there.

    Raises:
        DataRefusedError: some are not.
    """
    missing = _missing(files_then, files_now)
    if missing:
        shown = ", ".join(missing[:_GONE_SHOWN]) + (" ..." if len(missing) > _GONE_SHOWN else "")
        raise DataRefusedError(
            f"sources.transactions: files that were read are no longer at {source.path} ({len(missing):,}): {shown}; "
            "bring them back, or set gone_files of the source to remove (their lines go too) or keep (they stay)"
        )


def _missing(files_then: Files, files_now: Files) -> list[str]:
    return sorted(files_then.keys() - files_now.keys())


def _new_files(spark: SparkSession, source: TransactionSource, then: Files, now: Files) -> News | None:
    changed = sorted(path for path in then.keys() & now.keys() if tuple(then[path]) != tuple(now[path]))
    if changed:
        raise MustReadWholeError(f"{changed[0]} changed since it was read")
    if source.gone_files == "refuse":
        refuse_gone(source, then, now)
    missing = _missing(then, now)
    if missing and source.gone_files == "remove":
        raise MustReadWholeError(f"{missing[0]} is gone")
    new = sorted(now.keys() - then.keys())
    return News(read_source(spark, source, files=new)) if new else None


def _changed_rows(spark: SparkSession, source: TransactionSource, then: State, now: State) -> News | None:
    place = source.table or source.path
    if then.get("id") != now["id"] or then["version"] > now["version"]:
        raise MustReadWholeError(f"{place} was made anew")
    if then["version"] == now["version"]:
        return None
    is_named = source.path is None
    location = str(source.table) if source.path is None else resolve(source.path)
    with following(source, then):
        feed = change_feed(spark, location, is_named=is_named, since=then["version"], until=now["version"])
    rows = feed.select(
        *(F.col(f"`{name}`") for name in feed.columns if name not in (_KIND, "_commit_version", "_commit_timestamp")),
        origin(source).alias(SOURCE_FILE),
        F.col(_KIND),
    )
    came = F.col(_KIND).isin("insert", "update_postimage")
    return News(rows.where(came).drop(_KIND), rows.where(~came).drop(_KIND))


def _rows_after(spark: SparkSession, source: TransactionSource, then: str, now: Seen) -> News | None:
    frame = as_seen(spark, source, now)
    after = frame.where(F.col(f"`{source.watermark}`") > _like(frame, source, then))
    return News(after, perhaps=frame.where(_is_late(frame, source, then)))


def _is_late(frame: DataFrame, source: TransactionSource, reached: str) -> Column:
    """Whether a row lies in the overlap before a value of the watermark, so may have come after that was read."""
    column, last = F.col(f"`{source.watermark}`"), _like(frame, source, reached)
    if isinstance(source.overlap, str):
        length, unit = source.overlap.split()
        first = last - F.expr(f"INTERVAL '{length}' {unit.removesuffix('s').upper()}")
    else:
        first = last - source.overlap if source.overlap else last
    return (column >= first) & (column <= last)


def _left_out_late(spark: SparkSession, source: TransactionSource, reached: str | None) -> int:
    """How many rows of the overlap `where` leaves out: no table has them, so that only their number tells new ones."""
    if source.where is None or reached is None:
        return 0
    frame = read_source(spark, source)
    return frame.where(_is_late(frame, source, reached) & left_out(source)).count()


def _like(frame: DataFrame, source: TransactionSource, value: str) -> Column:
    """A value of the watermark, in its type.

    Raises:
        DataRefusedError: the column is not there, or its type and the overlap's do not go together.
    """
    found = {field.name: field.dataType for field in frame.schema.fields}.get(str(source.watermark))
    times = (DateType, TimestampType, TimestampNTZType)
    fits = isinstance(found, times) if isinstance(source.overlap, str) else isinstance(found, NumericType)
    if found is None or not (fits or (source.overlap == 0 and isinstance(found, times))):
        is_ = "not there" if found is None else found.simpleString()
        raise DataRefusedError(
            f"sources.transactions: the watermark {source.watermark} is {is_}, the overlap {source.overlap!r}; a time "
            "overlaps by a text such as 1 hour, a number by a number"
        )
    return F.lit(value).cast(found)
