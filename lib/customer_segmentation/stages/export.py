"""Exports an audience, customers of the published run, to one file for a marketing tool.

customer_segments ─┐
customer_features ─┼─▶ of some segments, for whom a condition holds, the highest ranked ─▶ CSV or Parquet
customers ─────────┘
"""

from collections.abc import Iterable, Mapping, Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, MapType, StructType, VariantType

from customer_segmentation.config.audience import Audience
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, closest, first_line
from customer_segmentation.display.formatting import count
from customer_segmentation.ingest.expressions import columns_of, quoted
from customer_segmentation.ingest.suppression import IS_SUPPRESSED
from customer_segmentation.ingest.values import mapped
from customer_segmentation.stages.audience_file import write_file
from customer_segmentation.stages.run import Run

_NESTED = (ArrayType, MapType, StructType, VariantType)
_PLACE = "_place"


def export_audience(run: Run, audience: Audience) -> str:
    """Write customers of the published run to a file.

    Returns:
        What was written, in a sentence that names no customer.

    Raises:
        ConfigurationError: nothing is published yet; there is no such segment or column; `where` is no condition.
        StorageError: the file can't be written.
    """
    with run.progress.stage("export", "writing the audience") as stage:
        published = _published(run)
        segments = _names_of_segments(published)
        chosen = _chosen(audience.segments, segments)
        rows = _customers(published, _attributes(run), audience)
        if chosen:
            rows = rows.where(F.col(c.SEGMENT_ID).isin(chosen))
        if audience.where is not None:
            rows = rows.where(_condition(audience.where, rows))
        if audience.limit is not None:
            ranked = Window.partitionBy(c.SEGMENT_ID).orderBy(c.RANK_IN_SEGMENT)
            rows = rows.withColumn(_PLACE, F.row_number().over(ranked)).where(F.col(_PLACE) <= audience.limit)
        exported = _exported(rows.orderBy(c.SEGMENT_ID, c.RANK_IN_SEGMENT), audience)
        stage.rows = write_file(exported, audience.path, audience.file_format)
        of = ", ".join(segments[number] for number in chosen) or "all segments"
        stage.result = f"{count(stage.rows)} customers of {of}, run {run.known_run_id}: {audience.path}"
    return stage.result


def _published(run: Run) -> DataFrame:
    """`customer_segments` as it is now, without customers of an erasure that ended midway."""
    if not run.warehouse.exists(t.CUSTOMER_SEGMENTS):
        raise ConfigurationError("nothing is published yet; run `customer-segmentation run` first")
    # At one version, so that all of it is of one run.
    rows = run.warehouse.read(t.CUSTOMER_SEGMENTS, version=run.warehouse.version(t.CUSTOMER_SEGMENTS))
    first = rows.select(c.RUN_ID).first()
    if first is None:
        raise ConfigurationError("the published run has no customers; run `customer-segmentation run` again")
    run.known_run_id = first[0]
    suppressed = run.suppression.suppressed
    if suppressed is None:
        return rows
    return suppressed.marked(rows).where(~F.col(IS_SUPPRESSED)).drop(IS_SUPPRESSED)


def _attributes(run: Run) -> dict[str, DataFrame]:
    """What else is known of the published customers, by table."""
    assert run.known_run_id is not None, "the published run is known"
    tables = {
        t.CUSTOMER_FEATURES.name: run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=run.known_run_id)
    }
    if run.warehouse.exists(t.CUSTOMERS):
        tables[t.CUSTOMERS.name] = run.warehouse.read(t.CUSTOMERS)
    return tables


def _names_of_segments(published: DataFrame) -> dict[int, str]:
    rows = published.select(c.SEGMENT_ID, c.SEGMENT_NAME).distinct().orderBy(c.SEGMENT_ID).collect()
    return {row[c.SEGMENT_ID]: row[c.SEGMENT_NAME] for row in rows}


def _chosen(wanted: Sequence[str], segments: Mapping[int, str]) -> list[int]:
    """The numbers of segments that are given by number or name; what is a number is no name."""
    chosen = []
    for text in wanted:
        meant = text.strip().casefold()
        found = [number for number in segments if str(number) == meant]
        found = found or [number for number, name in segments.items() if name.casefold() == meant]
        if len(found) > 1:
            raise ConfigurationError(
                f"--segment {text:.80}: the segments {', '.join(map(str, found))} have this name; give a number"
            )
        if not found:
            there = ", ".join(f"{name} ({number})" for number, name in segments.items())
            raise ConfigurationError(
                f"--segment {text:.80}: the published run has no such segment; {_meant(text, segments.values())}"
                f"it has {there}"
            )
        chosen += found
    return chosen


def _customers(published: DataFrame, attributes: Mapping[str, DataFrame], audience: Audience) -> DataFrame:
    """The published customers, with those columns of other tables that the audience is about.

    Of columns of one name the first table's counts.
    """
    used = {"--columns": audience.columns, "--where": columns_of(audience.where or "")}
    wanted = {name.lower() for names in used.values() for name in names}
    rows, known = published, list(published.columns)
    for table in attributes.values():
        taken = {name.lower() for name in known}
        more = [name for name in table.columns if name.lower() not in taken]
        joined = [quoted(name) for name in more if name.lower() in wanted]
        if joined:
            rows = rows.join(table.select(c.CUSTOMER_ID, *joined), on=c.CUSTOMER_ID, how="left")
        known += more
    there = {name.lower() for name in known}
    for option, names in used.items():
        for name in names:
            if name.lower() not in there:
                raise ConfigurationError(
                    f"{option}: there is no column {name:.80}; {_meant(name, known)}"
                    f"{', '.join([t.CUSTOMER_SEGMENTS.name, *attributes])} have {', '.join(known)}"
                )
    return rows


def _condition(where: str, rows: DataFrame) -> Column:
    """Whether the condition holds; where it can't be computed it does not."""
    holds = mapped(where, rows)
    try:
        type_ = rows.select(holds).schema[0].dataType
    except AnalysisException as error:
        raise ConfigurationError(f"--where {where!r} can't be computed: {first_line(error)}") from None
    if not isinstance(type_, BooleanType):
        raise ConfigurationError(
            f"--where must be true or false for a customer, but {where!r} is {type_.simpleString()}"
        )
    return F.coalesce(holds, F.lit(False))


def _exported(rows: DataFrame, audience: Audience) -> DataFrame:
    """The columns of the file; nested ones are JSON in a CSV file, which has no others."""
    types = {field.name.lower(): field.dataType for field in rows.schema.fields}
    names = list(audience.columns)
    if not names:
        of_segments = t.CUSTOMER_SEGMENTS.column_names
        names = [
            name for name in of_segments if audience.file_format == "parquet" or not isinstance(types[name], _NESTED)
        ]
    if audience.file_format == "parquet":
        return rows.select(*map(quoted, names))
    columns = {name: F.col(quoted(name)) for name in names}
    as_json = {name: F.to_json(column) for name, column in columns.items() if isinstance(types[name.lower()], _NESTED)}
    return rows.select(*(column.alias(name) for name, column in (columns | as_json).items()))


def _meant(text: str, known: Iterable[str]) -> str:
    meant = closest(text, known)
    return f"did you mean {meant}? " if meant else ""
