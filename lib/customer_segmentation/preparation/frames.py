"""Validates what clustering reads of a frame: its columns, their kinds, how large their values are, and its ids.

Fits, preparations and assignments share it, so all have the same message for the same fault: which column, what is
there and what to do.
"""

from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError, closest
from customer_segmentation.preparation import sql
from customer_segmentation.spark.distinct_columns import require_distinct_columns

MAX_MAGNITUDE = 1e100
"""Values beyond it, infinity among them, can't be measured: the squares of distances must stay within doubles."""

MIN_RANGE = 1e-100
"""Values that differ by less can't be distinguished by distances: their squares would be 0."""

RESERVED = (
    c.SEGMENT_ID,
    c.CONFIDENCE,
    c.IS_OUTLIER,
    c.SECOND_SEGMENT_ID,
    c.DRIVERS,
    c.MACRO_SEGMENT_ID,
)
"""Columns that an assignment writes, in place of those of a frame."""

EXACT_ROWS = 200_000
"""Up to so many rows ids are counted exactly outside a fixed layout."""

MAX_LISTED = 40
"""Columns of a frame that a message lists."""

_REMEDIES: tuple[tuple[tuple[type[T.DataType], ...], str], ...] = (
    ((T.StringType,), "cast it to a number, or name it among the attributes of a preparation"),
    ((T.DateType, T.TimestampType, T.TimestampNTZType), "make a number of it first, such as the days since then"),
    ((T.ArrayType, T.MapType, T.StructType), "make columns of what is in it first"),
)
_NUMBERS = (T.NumericType, T.BooleanType, T.NullType)


def require_names(caller: str, names: Sequence[str], *, kind: str = "features") -> None:
    """Reject with a ConfigurationError what are no names of columns, each once, that an assignment leaves alone.

    Upper and lower case count as the same, as they do for Spark.
    """
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{caller}: {kind} must be a list of column names; found {names!r}")
    repeated = _repeated(names)
    if repeated:
        raise ConfigurationError(f"{caller}: the {kind} must be named each once; found {', '.join(repeated)} again")
    reserved = [name for name in names if name.lower() in RESERVED]
    if reserved:
        raise ConfigurationError(
            f"{caller}: {', '.join(reserved)} can't be among the {kind}, as assigning writes a column of that name; "
            "rename the column"
        )
    unreadable = [name for name in names if not name.strip() or "${" in name]
    if unreadable:
        raise ConfigurationError(
            f"{caller}: {', '.join(map(repr, unreadable))} can't be among the {kind}: Spark's SQL can't read a name "
            "that is blank or has ${ in it; rename the column"
        )


def require_columns(
    caller: str, frame: DataFrame, *, numbers: Iterable[str], others: Iterable[str] = (), lead: str = ""
) -> None:
    """Reject a frame that lacks columns, has them twice, or has no numbers where numbers are needed.

    Reads the schema only.

    Args:
        numbers: columns that must be of a numeric type, true and false among them.
        others: columns that may be of any type.
        lead: text before the names of missing columns.

    Raises:
        ConfigurationError: a column is not there.
        DataRejectedError: a column is there twice, or is of another type.
    """
    numbers = list(numbers)
    names = list(dict.fromkeys([*numbers, *others]))
    schema = frame.schema
    missing = [name for name in names if name not in schema.names]
    if missing:
        hint = "".join(_hint(name, schema.names) for name in missing)
        raise ConfigurationError(
            f"{caller}: {lead}{', '.join(missing)} not among the columns {_listed(schema.names)}{hint}"
        )
    require_distinct_columns(caller, frame, names)
    for name in numbers:
        kind = schema[name].dataType
        if not isinstance(kind, _NUMBERS):
            remedy = next((text for kinds, text in _REMEDIES if isinstance(kind, kinds)), "make a number of it first")
            raise DataRejectedError(f"{caller}: {name} is of type {kind.simpleString()}, which is no number; {remedy}")


def numeric_columns(frame: DataFrame, names: Iterable[str]) -> list[str]:
    """Those of the names that are numeric columns of the frame."""
    kinds = {field.name: field.dataType for field in frame.schema.fields}
    return [name for name in names if isinstance(kinds.get(name), _NUMBERS)]


def too_large(value: str) -> str:
    """Whether a value can't be measured, as Spark SQL; null for a missing value."""
    return f"(abs({value}) > {sql.double(MAX_MAGNITUDE)})"


def require_measurable(caller: str, counts: Mapping[str, int]) -> None:
    """Reject features with values that can't be measured, with a DataRejectedError.

    Args:
        counts: by feature, how many values are infinite or beyond MAX_MAGNITUDE.
    """
    faults = [f"{name} has {count} {'value' if count == 1 else 'values'}" for name, count in counts.items() if count]
    if faults:
        raise DataRejectedError(
            f"{caller}: {', '.join(faults)} that can't be measured, being infinite or beyond {MAX_MAGNITUDE:g}; "
            "replace them (a null counts as missing), leave these customers out or take a larger unit"
        )


def require_ids(caller: str, frame: DataFrame) -> None:
    """Reject a frame whose customer_id, where it has one, is of a kind that has no order."""
    if c.CUSTOMER_ID not in frame.columns:
        return
    require_distinct_columns(caller, frame, [c.CUSTOMER_ID])
    kind = frame.schema[c.CUSTOMER_ID].dataType
    if not isinstance(kind, T.AtomicType):
        raise DataRejectedError(
            f"{caller}: {c.CUSTOMER_ID} is of type {kind.simpleString()}; it must be text or a whole number"
        )


def id_aggregates(frame: DataFrame) -> list[Column]:
    """Aggregates for `require_ids_given`; without a customer_id there is nothing to count."""
    if c.CUSTOMER_ID not in frame.columns:
        return [F.lit(0).alias("without_id"), F.count(F.lit(1)).alias("ids")]
    return [
        F.count_if(F.col(c.CUSTOMER_ID).isNull()).alias("without_id"),
        F.approx_count_distinct(c.CUSTOMER_ID).alias("ids"),
    ]


def require_ids_given(caller: str, without_id: int) -> None:
    """Reject customers without an id, with a DataRejectedError."""
    if without_id:
        raise DataRejectedError(
            f"{caller}: {c.CUSTOMER_ID} is null in {without_id} {'row' if without_id == 1 else 'rows'}; give each "
            f"customer an id, or drop the column {c.CUSTOMER_ID}"
        )


def require_a_row_per_customer(caller: str, frame: DataFrame, *, rows: int, ids: int) -> None:
    """Reject customers with several rows, with a DataRejectedError. Runs one small job.

    Of more than EXACT_ROWS rows only many repeated ones are noticed: an exact count would shuffle them all.

    Args:
        rows: of the frame.
        ids: about how many customers there are.
    """
    if c.CUSTOMER_ID not in frame.columns or (rows > EXACT_ROWS and ids > 0.8 * rows):
        return
    require_unique_ids(caller, frame)


def require_unique_ids(caller: str, frame: DataFrame) -> None:
    """Reject a frame in which a customer has several rows, however many rows there are. Runs one job."""
    repeated = frame.groupBy(c.CUSTOMER_ID).count().where("count > 1").count()
    if repeated:
        raise DataRejectedError(
            f"{caller}: {repeated} {'customer has' if repeated == 1 else 'customers have'} more than one row of the "
            f"same {c.CUSTOMER_ID}; give a row per customer: drop the repeated rows, or sum them up"
        )


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """A name for a working column that none of the taken ones is, upper and lower case aside."""
    folded = {name.lower() for name in taken}
    while wanted.lower() in folded:
        wanted += "_"
    return wanted


def _repeated(names: Sequence[str]) -> list[str]:
    folded = [name.lower() for name in names]
    return [name for i, name in enumerate(names) if folded[i] in folded[:i]]


def _hint(name: str, present: Sequence[str]) -> str:
    meant = closest(name, present)
    return f"; did you mean {meant}?" if meant else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} more"
