"""A shop whose files come in batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.stages import Run
from tests.generated import quiet
from tests.ingest.batches import COLUMNS


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    def make(*, root: str = "tables", **source: Any) -> Run:
        relation = {"path": str(tmp_path / "in"), "columns": COLUMNS, **source}
        settings = {
            "sources": {"transactions": relation},
            "checks": {"max_rejected_share": 1.0},
            "tables": {"root": str(tmp_path / root)},
        }
        return quiet(spark, Config.model_validate(settings))

    return make
