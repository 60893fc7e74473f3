"""The lines of the sources, mapped and validated one by one, in the forms that are made of them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial, reduce
from typing import TypeVar

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from customer_segmentation.config.schema import TransactionSource
from customer_segmentation.contract.checks import IS_MALFORMED
from customer_segmentation.contract.errors import DataRejectedError, closest
from customer_segmentation.contract.tables import REJECTED_TRANSACTIONS
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.expressions import quoted
from customer_segmentation.ingest.files import TYPE_IN_FILES, VOID
from customer_segmentation.ingest.orders import Suspects, split_suspects
from customer_segmentation.ingest.sources import CORRUPT, MADE, read_source
from customer_segmentation.ingest.suppression import IS_SUPPRESSED, malformed_text
from customer_segmentation.ingest.transactions import (
    LINE,
    OWN_COLUMNS,
    as_transactions,
    checked_lines,
    count_filtered_out,
    is_filtered_out,
    struct_names,
    with_codes,
)
from customer_segmentation.spark.persistence import checkpointed, persisted
from customer_segmentation.stages.run import Run

Frames = Sequence[tuple[TransactionSource, DataFrame]]
"""Rows of each source, as `sources.read_source` gives them."""

Made = TypeVar("Made")

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SourceLines:
    """Rows of sources, by default all of them, as order lines.

    Lines of `known_before` and later are not known yet; by default those of the run's as-of date.

    Raises DataRejectedError where a mapping does not fit its source.
    """

    def __init__(self, run: Run, frames: Frames | None = None, *, known_before: date | None = None) -> None:
        self._spark = run.spark
        self._suite = check_suite(run, known_before or run.config.as_of)
        self._suppressed = run.suppression.suppressed
        if frames is None:
            frames = [
                (source, analysed("transactions", partial(read_source, run.spark, source)))
                for source in run.sources.transactions
            ]
        self._frames = frames
        self._checked = []
        for source, frame in self._frames:
            own = [name for name in frame.columns if name not in MADE]
            checked = partial(checked_lines, run.spark, frame, source, self._suite)
            self._checked.append(analysed("transactions", checked, has=own))

    def columns(self) -> list[dict[str, str]]:
        """The columns of each source, with their types."""
        return [column_types(frame) for _, frame in self._frames]

    def validated(self) -> DataFrame:
        """Each line with the codes of the checks that it fails by itself, see `transactions.validated_lines`."""
        return union(with_codes(lines, self._suite) for lines in self._checked)

    def filtered_out(self) -> int:
        """How many lines the sources' `where` filters out. Reads those that have one."""
        return sum(count_filtered_out(frame, source) for source, frame in self._frames)

    def checkpointed(self) -> "CheckpointedLines":
        """The lines of `validated` in the columns of `rejected_transactions`, few, and how many are filtered out."""
        lines = self.validated().select(REJECTED_TRANSACTIONS.column_names)
        if self._suppressed is None:
            return CheckpointedLines(checkpointed(lines), self.filtered_out())
        marked = checkpointed(self._suppressed.marked(lines, text=malformed_text()))
        suppressed = marked.where(IS_SUPPRESSED).count()
        kept = marked.where(~F.col(IS_SUPPRESSED)).drop(IS_SUPPRESSED)
        return CheckpointedLines(kept, self.filtered_out() + suppressed, suppressed)

    @contextmanager
    def persisted(self) -> Iterator["PersistedLines"]:
        """The lines, read once for all that is made of them in the block."""
        filtered: list[Observation] = []
        with ExitStack() as stack:
            lines = []
            for (source, frame), checked in zip(self._frames, self._checked, strict=True):
                if source.where is not None:
                    filtered.append(Observation())
                    frame = frame.observe(filtered[-1], F.count_if(is_filtered_out(source, frame)).alias("n"))
                    checked = checked_lines(self._spark, frame, source, self._suite)
                lines.append(stack.enter_context(persisted(self._marked(checked))))
            count = sum(frame.count() for frame in lines)
            suppressed = 0
            if self._suppressed is not None:
                suppressed = sum(frame.where(IS_SUPPRESSED).count() for frame in lines)
                lines = [frame.where(~F.col(IS_SUPPRESSED)) for frame in lines]
            filtered_out = sum(observation.get["n"] for observation in filtered) + suppressed
            yield PersistedLines(lines, self._suite, count - suppressed, filtered_out, suppressed)

    def _marked(self, checked: DataFrame) -> DataFrame:
        if self._suppressed is None:
            return checked
        has_text = CORRUPT in struct_names(checked, LINE)
        text = F.when(F.col(IS_MALFORMED), F.col(f"{LINE}.{CORRUPT}")) if has_text else None
        return self._suppressed.marked(checked, text=text)


@dataclass(frozen=True)
class CheckpointedLines:
    """Order lines that were read.

    lines: in the columns of `rejected_transactions`.
    filtered_out: how many more are filtered out; suppressed: those of them that are of suppressed customers.
    """

    lines: DataFrame
    filtered_out: int = 0
    suppressed: int = 0


@dataclass(frozen=True)
class PersistedLines:
    """Order lines that were read, by source.

    suite: the checks.
    count: how many there are.
    filtered_out: how many more are filtered out; suppressed: those of them that are of suppressed customers.
    """

    _frames: Sequence[DataFrame]
    suite: CheckSuite
    count: int
    filtered_out: int
    suppressed: int

    def keys(self) -> DataFrame:
        """The columns of `transactions` but warnings, and whether lines are malformed, for `orders.suspects`."""
        return union(frame.select(*OWN_COLUMNS, IS_MALFORMED) for frame in self._frames)

    def accepted(self, suspects: Suspects) -> DataFrame:
        """The lines that are accepted whatever the others are, as rows of `transactions`."""
        return union(as_transactions(self._split(frame, suspects)[0], self.suite) for frame in self._frames)

    def unresolved(self, suspects: Suspects) -> DataFrame:
        """The lines to be resolved with others or rejected, as `transactions.validated_lines` gives them."""
        return union(with_codes(self._split(frame, suspects)[1], self.suite) for frame in self._frames)

    def _split(self, frame: DataFrame, suspects: Suspects) -> tuple[DataFrame, DataFrame]:
        return split_suspects(frame, suspects, self.suite.is_rejected())


def check_suite(run: Run, known_before: date | None) -> CheckSuite:
    """The run's checks; lines of `known_before` and later are not known yet."""
    return CheckSuite(run.config.checks, known_before, run.config.timezone)


def union(frames: Iterable[DataFrame]) -> DataFrame:
    """The rows of frames that have the same columns; of one at least."""
    return reduce(DataFrame.unionByName, frames)


def column_types(frame: DataFrame) -> dict[str, str]:
    """The source's own columns, with their types as SQL has them."""
    return {
        field.name: (field.metadata or {}).get(TYPE_IN_FILES) or _as_sql(field.dataType)
        for field in frame.schema.fields
        if field.name not in MADE
    }


def _as_sql(type_: DataType) -> str:
    """A type as SQL has it, which can be read again also where a name within it is no plain word."""
    if isinstance(type_, StructType):
        fields = (f"{_field_name(field.name)}:{_as_sql(field.dataType)}" for field in type_.fields)
        return f"struct<{','.join(fields)}>"
    if isinstance(type_, ArrayType):
        return f"array<{_as_sql(type_.elementType)}>"
    if isinstance(type_, MapType):
        return f"map<{_as_sql(type_.keyType)},{_as_sql(type_.valueType)}>"
    return type_.simpleString()


def _field_name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else quoted(name)


def is_retyped(before: str, after: str) -> bool:
    """Whether a column has another type than before; one that holds nothing has none."""
    return before != after and VOID not in (before, after)


def known_types(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The columns of a source with their types, by those that some of its rows had and those that others have."""
    return {**before, **{name: type_ for name, type_ in after.items() if type_ != VOID or name not in before}}


def column_changes(before: list[dict[str, str]], after: list[dict[str, str]]) -> list[str]:
    """What changed in the sources' columns between two batches, a sentence each."""
    messages = []
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        source = f" of source {number}" if len(after) > 1 else ""
        messages += [f"column {name}{source} is new and ignored" for name in new.keys() - old.keys()]
        messages += [f"column {name}{source} is gone" for name in old.keys() - new.keys()]
        retyped = sorted(name for name in new.keys() & old.keys() if is_retyped(old[name], new[name]))
        messages += [f"column {name}{source} is {new[name]}, was {old[name]}" for name in retyped]
    return sorted(messages)


def analysed(name: str, made: Callable[[], Made], *, has: Sequence[str] = ()) -> Made:
    """The result of a function of a source, its mapping resolved against the source's columns; no row is read.

    Args:
        name: of the source in the configuration.
        made: makes it; a frame is resolved.
        has: the source's columns.

    Raises:
        DataRejectedError: the source is not there, or a column of the mapping is not, or has a type that does not fit.
    """
    try:
        result = made()
        if isinstance(result, DataFrame):
            result.schema  # noqa: B018 (on Connect nothing is resolved before the schema is asked for)
    except AnalysisException as error:
        message = str(error).split("\n")[0].split(" SQLSTATE")[0]
        missing = (error.getMessageParameters() or {}).get("objectName", "").strip("`")
        if (error.getCondition() or "").startswith("UNRESOLVED_COLUMN") and has:
            meant = closest(missing, has)
            hint = f"did you mean {meant}? " if meant else ""
            message = f"there is no column {missing}; {hint}It has {', '.join(has)}"
        raise DataRejectedError(f"sources.{name}: the mapping does not fit the source: {message}") from None
    except PySparkException as error:
        if "CANNOT_MERGE_SCHEMAS" not in str(error):
            raise
        message = " ".join(str(error).split(" SQLSTATE")[0].split())
        raise DataRejectedError(
            f"sources.{name}: its files can't be read together, since a column has types that don't go together: "
            f"{message:.1000}; write them alike, or read those that differ as a source of its own"
        ) from None
    return result
