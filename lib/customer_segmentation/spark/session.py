"""Builds or takes the Spark session; nothing else in the library makes one.

Four places to run, distinguished by the environment:

- Spark Connect, when `SPARK_REMOTE` is set (`local[2]` starts a server on this machine);
- Databricks or another notebook, whose session is there already;
- `spark-submit`, where master, jars and memory are the command's;
- otherwise plain local mode, tuned for a small machine.
"""

import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping
from importlib import resources

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from customer_segmentation.config.environment import from_environment
from customer_segmentation.config.schema import Spark
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.spark.class_archive import class_archive_options
from customer_segmentation.spark.jars import delta_jars, package_jars
from customer_segmentation.spark.local_time import require_utc
from customer_segmentation.spark.machine import driver_megabytes
from customer_segmentation.spark.prerequisites import java_problem
from customer_segmentation.spark.settings import setting

APP_NAME = "customer-segmentation"

_log = logging.getLogger(__name__)

_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

_JAVA_OPTIONS = "spark.driver.extraJavaOptions"

# A run is some 250 queries with code of their own, most of them over within seconds: compiling all that code takes half
# the time of two cores. What is inlined into a method is compiled again with it, so less is inlined than by default.
_LESS_INLINED = "-XX:FreqInlineSize=60 -XX:InlineSmallCode=600 -XX:MaxInlineLevel=6"

_PARTITIONS_PER_CORE = 8

_SMALL_MACHINE = {
    # Delta replays a table's log in 50 tasks by default; on a few cores that is most of the time of a small read.
    "spark.databricks.delta.snapshotPartitions": "1",
    # VACUUM would list the folders of a table in ten thousand tasks.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # What the page of a session that has none would show: by default of a thousand queries, jobs and stages each.
    "spark.sql.ui.retainedExecutions": "10",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Each query is described in text before it runs, for a page that is not there.
    "spark.sql.ui.explainMode": "simple",
    # What is kept is read a few times and dropped: to compress it costs more than it saves.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # Pages of Parquet have checksums of their own, for files whose side files are gone.
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    # The virtual machine compiles no method of more than 8,000 bytes, and one of nearly as many for seconds: a stage of
    # many columns is quicker in several.
    "spark.sql.codegen.hugeMethodLimit": "4000",
    # A run has several hundred stages that Spark compiles code for, many of them alike; by default it keeps 100.
    "spark.sql.codegen.cache.maxEntries": "1000",
    # Every column expression would otherwise inspect the Python stack for where it was written.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}


_WHAT_RESULTS_REST_ON = {
    "spark.sql.session.timeZone": "UTC",
    # What is too large for its column, or no number, is an error and not a missing value.
    "spark.sql.ansi.enabled": "true",
    # A value in the name of a folder, such as store=007, is the same whatever folders are read beside it.
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}


def runs_locally() -> bool:
    """Whether this process makes a plain local session: paths without a scheme are this machine's files."""
    elsewhere = ("SPARK_REMOTE", "PYSPARK_GATEWAY_PORT", "DATABRICKS_RUNTIME_VERSION")
    return not any(os.environ.get(name) for name in elsewhere)


def is_on_this_machine() -> bool:
    """Whether Spark runs in this process' own virtual machine, or in a server that this process starts.

    A path without a scheme is then a file of this machine for Spark too.
    """
    remote = os.environ.get("SPARK_REMOTE", "")
    return remote.startswith("local") if remote else runs_locally()


def get_session(settings: Spark | None = None, *, record_classes: bool = False) -> SparkSession:
    """The session to work in: the one that is there, that of a Spark Connect server, or a local one that is started.

    Its time zone is UTC and its arithmetic ANSI SQL's, that of a session that was there included.

    Args:
        settings: the `spark` section; `master`, `driver_memory` and `packages` count in plain local mode only. None:
            the defaults.
        record_classes: whether a virtual machine that is started here leaves the classes that it loads for those
            after it, see `class_archive`; worth it for one that runs the whole pipeline.

    Raises:
        CustomerSegmentationError: no Java, or one that is too old; Delta is not in the session's jars; its time zone is
            another than UTC, and can't be set.
    """
    settings = settings or Spark()
    remote = os.environ.get("SPARK_REMOTE", "")
    if remote.startswith("local"):
        spark = _connect(remote, _on_this_machine(settings))
    elif not remote and runs_locally() and SparkSession.getActiveSession() is None:
        master = {"spark.master": settings.master or "local[*]"}
        spark = _classic(_with_class_archive(_on_this_machine(settings), record=record_classes) | master)
    else:
        spark = _connect(remote, _anywhere(settings)) if remote else _classic(_anywhere(settings))
        _set_what_differs(spark, _own(settings))
    _require_delta(spark)
    require_utc(spark, APP_NAME)
    return spark


def _classic(conf: Mapping[str, str]) -> SparkSession:
    return SparkSession.builder.appName(APP_NAME).config(map={**conf}).getOrCreate()


def _connect(url: str, conf: Mapping[str, str]) -> SparkSession:
    with warnings.catch_warnings():
        # A server started here takes the static settings at its start and then rejects them as "can't be modified";
        # serverless compute rejects all but a few.
        warnings.filterwarnings("ignore", message="(?s).*(CANNOT_MODIFY|CONFIG_NOT_AVAILABLE)")
        return SparkSession.builder.remote(url).config(map={**conf}).getOrCreate()


def _set_what_differs(spark: SparkSession, own: Mapping[str, str]) -> None:
    """Set what a session that was there already did not take from its builder, as those of Databricks Connect don't.

    What can't be set stays as it is: a static setting, or one that serverless compute does not know.

    Args:
        own: what the configuration asks for; a warning names each setting of it that stays another.
    """
    for name, value in {**_WHAT_RESULTS_REST_ON, **own}.items():
        if setting(spark, name) == value:
            continue
        try:
            spark.conf.set(name, value)
        except PySparkException:
            if name in own:
                _log.warning("the setting %s of the section spark has no effect: this session can't change it", name)


def _anywhere(settings: Spark) -> dict[str, str]:
    """What the library needs and the configuration asks for, wherever Spark runs."""
    on_databricks = bool(os.environ.get("DATABRICKS_RUNTIME_VERSION"))
    return {**_WHAT_RESULTS_REST_ON, **({} if on_databricks else _DELTA), **_own(settings)}


def _own(settings: Spark) -> dict[str, str]:
    """What the configuration asks for."""
    own = {key: _text(value) for key, value in settings.conf.items()} | from_environment(settings.environment)
    if settings.shuffle_partitions is not None:
        own["spark.sql.shuffle.partitions"] = str(settings.shuffle_partitions)
    return own


def _on_this_machine(settings: Spark) -> dict[str, str]:
    """And what Spark needs to run here alone; sets the environment that its processes start in."""
    problem = java_problem()
    if problem:
        raise CustomerSegmentationError(problem)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Workers need what the driver has, pyarrow among it, not what the first python3 on the PATH has.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = {
        **_SMALL_MACHINE,
        "spark.driver.memory": settings.driver_memory or f"{driver_megabytes()}m",
        # Small ones are put together as they come; one that is too large for a core's memory can't be parted.
        "spark.sql.shuffle.partitions": str(_PARTITIONS_PER_CORE * (os.cpu_count() or 2)),
        **_anywhere(settings),
    }
    delta = [] if "delta-spark" in conf.get("spark.jars", "") else delta_jars()
    jars = [*map(str, [*delta, *package_jars(settings.packages)]), conf.get("spark.jars", "")]
    conf["spark.jars"] = ",".join(filter(None, jars))
    log_config = resources.files("customer_segmentation.spark") / "log4j2.properties"
    own = conf.get(_JAVA_OPTIONS, "")
    # Nobody waits for an answer in between: what counts is how much is done in all.
    collector = "" if re.search(r"-XX:\+Use\w+GC\b", own) else "-XX:+UseParallelGC"
    options = f"-Duser.timezone=UTC -Dlog4j2.configurationFile={log_config} {collector} {_LESS_INLINED} {own}"
    return conf | {_JAVA_OPTIONS: options.strip()}


def _with_class_archive(conf: Mapping[str, str], *, record: bool) -> dict[str, str]:
    """The settings of a session with the archive of classes, but where they name one of their own."""
    options = conf.get(_JAVA_OPTIONS, "")
    if "SharedArchiveFile" in options or "ArchiveClassesAtExit" in options:
        return {**conf}
    archive = class_archive_options(conf.get("spark.jars", ""), record=record)
    return {**conf, _JAVA_OPTIONS: f"{archive} {options}".strip()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require_delta(spark: SparkSession) -> None:
    if os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        return
    try:
        extensions = spark.conf.get("spark.sql.extensions", "") or ""
    except PySparkException:  # a server that does not tell
        return
    if _DELTA["spark.sql.extensions"] not in extensions:
        raise CustomerSegmentationError(
            f"this Spark session has no Delta: spark.sql.extensions is {extensions or 'not set'!s}. Start it with "
            f"Delta's jars and spark.sql.extensions={_DELTA['spark.sql.extensions']}"
        )
