"""Upkeep: what is old leaves the tables, small files are written together, and files that nobody needs are removed.

Killed at any moment it is finished by the next one: runs are marked as expired before their rows go, and every step
removes what is not to be kept, whatever an earlier one left.
"""

from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import Window
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.display.formatting import count
from customer_segmentation.stages.builds import build_of
from customer_segmentation.stages.ingest.batch_log import read_log
from customer_segmentation.stages.ingest.verification import LINE_TABLES
from customer_segmentation.stages.leftovers import forget_log, remove_leftovers
from customer_segmentation.stages.model_registry import ORDERED_BY, with_service
from customer_segmentation.stages.publication import COMPLETE, EXPIRED
from customer_segmentation.stages.run import Run
from customer_segmentation.storage import literal

_STATE = {t.RETURNS, t.CUSTOMER_DAYS, t.CUSTOMER_HISTORY, t.INGEST_CHANGES, t.INGESTED_FILES, t.TABLE_BUILDS}
"""Tables of which nobody reads an earlier version: each day rewrites much of them."""

_STEPS_KEPT = 10
"""Of each table in `table_builds`; the newest committed one and those planned since are read."""

_STATE_HOURS = 1
_FILE_BYTES = 128 * 2**20
_SMALL_FILES = 8
"""Files more than a table's size asks for, from which on they are written together."""


def maintain(run: Run) -> None:
    """Remove what the settings of `maintenance` don't keep, and tidy the files of all tables.

    Raises:
        ConfigurationError: there are no tables yet.
    """
    run.warehouse.require(t.INGEST_BATCHES, command="ingest")
    root = run.warehouse.folder
    before = _bytes_below(root)
    with run.progress.stage("expire", "removing old runs and models") as stage:
        kept = _kept_runs(run)
        runs = _expire_runs(run, kept)
        models = _expire_models(run)
        _expire_steps(run)
        _expire_explorations(run)
        _expire_files(run)
        stage.result = (
            f"{count(len(kept))} runs stay, {count(runs)} expired; {count(models)} models expired"
            if kept
            else "no run is complete yet"
        )
    tables = run.warehouse.tables()
    with run.progress.stage("compact", "writing small files together") as stage:
        compacted = [table for table in tables if _has_small_files(run, table)]
        for table in compacted:
            run.warehouse.compact(table, file_bytes=_FILE_BYTES)
        stage.result = f"{count(len(compacted))} of {count(len(tables))} tables"
    with run.progress.stage("vacuum", "removing files that no version needs") as stage:
        remove_leftovers(run)
        hours = 24 * run.config.maintenance.keep_versions_days
        for table in tables:
            _keep_versions(run, table, hours=min(hours, _STATE_HOURS) if table in _STATE else hours)
            run.warehouse.vacuum(table)
            if hours == 0:
                _forget_log(run, table)
        sizes = [run.warehouse.size(table) for table in tables]
        stage.result = (
            f"{count(sum(files for files, _ in sizes))} files of {_megabytes(sum(size for _, size in sizes))}"
        )
        if root is not None:
            stage.result += (
                f" are current; the folder went from {_megabytes(before)} to {_megabytes(_bytes_below(root))}"
            )


def _kept_runs(run: Run) -> set[str]:
    """The complete runs that stay: the newest ones, the published one, and those that it is or was compared with."""
    if not run.warehouse.exists(t.PIPELINE_RUNS):
        return set()
    complete = run.warehouse.rows(t.PIPELINE_RUNS, column="status", value=COMPLETE)
    rows = complete.orderBy(F.desc("finished_at"), c.RUN_ID).select(c.RUN_ID, "previous_run_id").collect()
    previous = {row[c.RUN_ID]: row["previous_run_id"] for row in rows}
    current = run.publication.current_run_id()
    needed = {current, previous.get(current or ""), run.publication.replaced()}
    newest = [row[c.RUN_ID] for row in rows[: run.config.maintenance.keep_runs]]
    return {run_id for run_id in previous if run_id in needed or run_id in newest}


def _expire_runs(run: Run, kept: set[str]) -> int:
    """Remove the customers of all other runs, finished or not; how many finished ones have expired."""
    if not kept:
        return 0
    complete = run.warehouse.rows(t.PIPELINE_RUNS, column="status", value=COMPLETE)
    expired = complete.where(_is_not_in(c.RUN_ID, kept)).count()
    if expired:
        run.warehouse.update(
            t.PIPELINE_RUNS,
            {"status": literal(EXPIRED)},
            where=f"status = {literal(COMPLETE)} AND {_is_not_in(c.RUN_ID, kept)}",
        )
    # Features of a run that is under way, and those that were computed for several dates last, have no run that is
    # complete.
    under_way = {run.run_id}
    series = build_of(run.warehouse, t.CUSTOMER_FEATURES).committed or {"runs": []}
    old = _is_not_in(c.RUN_ID, kept | under_way | set(series["runs"]))
    if c.MADE_FROM in run.warehouse.read(t.CUSTOMER_FEATURES).columns:
        old += f" AND NOT coalesce({c.MADE_FROM} = {literal(run.features_id)}, false)"
    _delete(run, t.CUSTOMER_FEATURES, old)
    _delete(run, t.CUSTOMER_SEGMENTS_HISTORY, _is_not_in(c.RUN_ID, kept))
    if run.warehouse.exists(t.VALUE_MODELS):
        features = run.warehouse.read(t.CUSTOMER_FEATURES)
        made_from = {row[0] for row in features.select(c.MADE_FROM).distinct().collect() if row[0] is not None}
        _delete(run, t.VALUE_MODELS, _is_not_in(c.MADE_FROM, made_from | {run.features_id}))
    if run.warehouse.exists(t.BACKTESTS):
        _delete(run, t.BACKTESTS, _is_not_in(c.RUN_ID, _kept_backtests(run)))
    return expired


def _kept_backtests(run: Run) -> set[str]:
    """The newest backtests, and the newest of each set of settings: runs of these rank by what it found."""
    figures = run.warehouse.read(t.BACKTESTS)
    tested = figures.groupBy(c.RUN_ID, "configuration").agg(F.max("tested_at").alias("tested_at"))
    newest = tested.orderBy(F.desc("tested_at"), c.RUN_ID).collect()
    of_settings = {row["configuration"]: row[c.RUN_ID] for row in reversed(newest)}
    return {*of_settings.values(), *(row[c.RUN_ID] for row in newest[: run.config.maintenance.keep_runs])}


def _expire_models(run: Run) -> int:
    """Remove the models that neither a kept run has nor are the newest of their settings; how many.

    `segment_lineage` keeps what became of their segments.
    """
    if not run.warehouse.exists(t.MODEL_RUNS):
        return 0
    used = set()
    if run.warehouse.exists(t.PIPELINE_RUNS):
        complete = run.warehouse.rows(t.PIPELINE_RUNS, column="status", value=COMPLETE)
        used = {row[0] for row in complete.select(c.MODEL_VERSION).distinct().collect()}
    models = with_service(run.warehouse, run.warehouse.read(t.MODEL_RUNS))
    place = F.row_number().over(Window.partitionBy("configuration").orderBy(*map(F.desc, ORDERED_BY)))
    rows = models.select(c.MODEL_VERSION, place.alias("place")).collect()
    newest = {row[0] for row in rows if row["place"] <= run.config.maintenance.keep_models}
    expired = {row[0] for row in rows} - newest - used
    if expired:
        _delete(run, t.MODEL_RUNS, _is_not_in(c.MODEL_VERSION, newest | used))
    for table in (t.MODEL_CORE_POINTS, t.MODEL_REQUESTS):
        if run.warehouse.exists(table):
            _delete(run, table, _is_not_in(c.MODEL_VERSION, newest | used))
    return len(expired)


def _expire_steps(run: Run) -> None:
    """Remove the steps of `table_builds` that are read no more; none where no ingest has come that far yet."""
    if not run.warehouse.exists(t.TABLE_BUILDS):
        return
    place = F.row_number().over(Window.partitionBy("table_name").orderBy(F.desc("recorded_at")))
    steps = run.warehouse.read(t.TABLE_BUILDS).withColumn("place", place).where(F.col("place") == _STEPS_KEPT)
    old = [
        f"(table_name = {literal(row['table_name'])} AND recorded_at < timestamp_micros({row['at']}))"
        for row in steps.select("table_name", F.unix_micros("recorded_at").alias("at")).collect()
    ]
    if old:
        _delete(run, t.TABLE_BUILDS, " OR ".join(old))


def _expire_explorations(run: Run) -> None:
    """Remove all but the explorations as of the latest dates, as many as runs are kept."""
    for table in (t.DATA_PROFILE, t.DATA_DISTRIBUTIONS):
        if run.warehouse.exists(table):
            explored = run.warehouse.read(table).select(c.RUN_ID, c.AS_OF_DATE).distinct()
            latest = explored.orderBy(F.desc(c.AS_OF_DATE), c.RUN_ID).limit(run.config.maintenance.keep_runs)
            _delete(run, table, _is_not_in(c.RUN_ID, {row[c.RUN_ID] for row in latest.collect()}))


def _expire_files(run: Run) -> None:
    """Remove the files of `ingested_files` that were read before all lines were read again."""
    if run.warehouse.exists(t.INGESTED_FILES):
        committed = read_log(run).committed
        if committed is not None:
            _delete(run, t.INGESTED_FILES, f"batch_number < {committed.base_number}")


def _delete(run: Run, table: t.Table, condition: str) -> None:
    """Delete rows, with no commit where there are none."""
    if not run.warehouse.read(table).where(condition).isEmpty():
        run.warehouse.delete_where(table, condition)


def _is_not_in(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(map(literal, sorted(values)))
    return f"{column} NOT IN ({listed})" if listed else "true"


def _keep_versions(run: Run, table: t.Table, *, hours: int) -> None:
    """Have the table keep the files of the versions of the last hours, and its log of as many days."""
    wanted: dict[str, str | None] = {
        "delta.deletedFileRetentionDuration": f"interval {hours} hours",
        "delta.logRetentionDuration": f"interval {max(hours, 24)} hours",
    }
    if not wanted.items() <= run.warehouse.properties(table).items():
        run.warehouse.set_properties(table, wanted)


def _forget_log(run: Run, table: t.Table) -> None:
    """Have the table's log begin as late as it may: Delta itself keeps the commits of a day, whatever is set.

    By the commits of order lines since the last batch the next ingest finds what somebody else changed.
    """
    if table not in LINE_TABLES:
        forget_log(run.warehouse, table)
        return
    committed = read_log(run).committed
    version = None if committed is None else committed.table_versions.get(table.name)
    if version is not None:
        forget_log(run.warehouse, table, needed_from=version)


def _has_small_files(run: Run, table: t.Table) -> bool:
    files, size = run.warehouse.size(table)
    if files < _SMALL_FILES:
        return False
    by = table.partitioned_by
    partitions = run.warehouse.read(table).select(*by).distinct().count() if by else 0
    return files >= partitions + size // (_FILE_BYTES // 2) + _SMALL_FILES


def _bytes_below(root: Path | None) -> int:
    """The bytes of all files below a folder of this machine."""
    return 0 if root is None else sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
