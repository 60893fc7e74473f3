"""What several tests of pages look at."""

import io
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.stages import explore_data
from tests.generated import configured, quiet


@pytest.fixture(scope="package")
def root(spark: SparkSession, generated: Path) -> Path:
    """The warehouse of the generated data, explored."""
    explore_data(quiet(spark, configured(generated, "tables")), Console(file=io.StringIO()))
    return generated / "tables"
