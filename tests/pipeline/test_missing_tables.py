"""What is said where a table was never written that a command reads: which one, and the command that writes it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Config
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.stages import Run, build_features, maintain
from tests.features.test_history import Ledger
from tests.generated import quiet
from tests.order_lines import line

pytestmark = pytest.mark.slow

RunOf = Callable[..., Run]


@pytest.fixture
def run_of(spark: SparkSession, tmp_path: Path) -> RunOf:
    """A run of a shop with order lines and, where they are given, other sources."""

    def make(**sources: object) -> Run:
        columns = dict.fromkeys(("customer_id", "order_id", "ordered_at", "amount"), "x")
        settings = {
            "as_of": "2024-07-01",
            "sources": {"transactions": {"path": "-", "columns": columns}, **sources},
            "tables": {"root": str(tmp_path / "tables")},
        }
        return quiet(spark, Config.model_validate(settings))

    return make


def test_a_source_that_was_configured_since_is_to_be_ingested_first(run_of: RunOf) -> None:
    Ledger(run_of()).change([line()], [])

    with pytest.raises(
        ConfigurationError, match=r"there is no table \S*/customers yet; run `customer-segmentation ingest` first"
    ):
        build_features(run_of(customers={"path": "-", "columns": {"customer_id": "x"}}))


def test_tables_are_kept_tidy_where_an_ingest_ended_before_its_first_returns(run_of: RunOf) -> None:
    Ledger(run_of()).change([line()], [], matched=False)
    run = run_of()

    maintain(run)

    assert [table.name for table in run.warehouse.tables()] == ["transactions", "ingest_batches"]
