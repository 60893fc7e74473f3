"""One Spark session for the suite, tuned for small data, and helpers that many tests use."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from customer_segmentation.config.schema import Spark
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages.generate import generate_data
from tests.deployment.connect_server import connect_server
from tests.generated import configured, quiet
from tests.postgres import DRIVER

TEST_SETTINGS = Spark(
    master="local[2]",
    driver_memory="3g",
    shuffle_partitions=2,
    packages=[DRIVER],
    # Only what changes no result and no plan: the heap is small and a core is busy, so memory is collected by one
    # thread, and a file beside each commit that sums up the table is written for nobody.
    conf={
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
        "spark.databricks.delta.writeChecksumFile.enabled": False,
        # As a command over few rows has it, see `spark.code_generation`.
        "spark.sql.codegen.wholeStage": False,
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        # Tests make a thousand tables and go back to few: by default the plans of all stay in memory for an hour.
        "spark.databricks.delta.delta.log.cacheSize": 100,
    },
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--connect", action="store_true", help="run the tests against a Spark Connect server")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--connect"):
        return
    for item in items:
        classic = item.get_closest_marker("classic")
        if classic is not None:
            item.add_marker(pytest.mark.skip(reason=f"classic Spark only: {classic.args[0]}"))


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    os.environ.pop("SPARK_REMOTE", None)
    where = str(tmp_path_factory.mktemp("spark-warehouse"))
    settings = TEST_SETTINGS.model_copy(update={"conf": {**TEST_SETTINGS.conf, "spark.sql.warehouse.dir": where}})
    if not request.config.getoption("--connect"):
        session = get_session(settings)
        yield session
        session.stop()
        return
    with connect_server(**settings.model_dump(exclude_none=True)) as address:
        os.environ["SPARK_REMOTE"] = address
        try:
            session = get_session(settings.model_copy(update={"conf": {}}))
            yield session
            session.stop()
        finally:
            del os.environ["SPARK_REMOTE"]


@pytest.fixture(scope="session")
def generated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with generated data (`data`) and the warehouse of one run over it (`tables`)."""
    folder = tmp_path_factory.mktemp("generated")
    config = configured(folder, "tables")
    generate_data(quiet(spark, config))
    run_pipeline(quiet(spark, config), Console(file=io.StringIO()))
    return folder


@pytest.fixture
def frame(spark: SparkSession) -> Callable[[list[tuple], str], DataFrame]:
    """Makes a literal frame from rows and a DDL schema."""
    return lambda rows, schema: spark.createDataFrame(rows, schema)
