"""Real, dirty order lines through the configuration a user would write: every line accounted for, as pandas counts."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from customer_segmentation.config import load_config
from customer_segmentation.stages import ingest_sources
from customer_segmentation.stages.ingest import RowCounts, committed_batch
from tests.absent import absent
from tests.generated import ROOT, quiet
from tests.warehouse import read

pytestmark = pytest.mark.slow

CSV = ROOT.parent / "shared" / "data" / "online_retail" / "online_retail.csv.gz"
FEES = {"POST", "DOT", "C2", "M", "m", "D", "S", "B", "PADS", "CRUK", "BANK CHARGES", "AMAZONFEE"}


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """The lines as they are written."""
    if not CSV.exists():
        absent(f"needs {CSV}")
    return pd.read_csv(CSV, dtype=str)


@pytest.fixture(scope="module")
def ingested(
    spark: SparkSession, lines: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RowCounts]:
    root = tmp_path_factory.mktemp("online_retail")
    config = load_config(
        [ROOT / "conf" / "online_retail.yml"], [f"sources.transactions.path={CSV}", f"tables.root={root}"]
    )
    run = quiet(spark, config)
    ingest_sources(run)
    return root, committed_batch(run).counts


@pytest.fixture(scope="module")
def reasons(lines: pd.DataFrame) -> pd.DataFrame:
    """The reasons to reject each line, a column each, found without Spark."""
    quantity, price = lines.Quantity.astype(int), lines.UnitPrice.astype(float)
    cancelled = lines.InvoiceNo.str.startswith("C")
    is_fee = lines.StockCode.isin(FEES) | lines.StockCode.str.lower().str.startswith("gift_")
    return pd.DataFrame(
        {
            "missing_customer": lines.CustomerID.isna(),
            "zero_price": (quantity * price).round(2) == 0,
            "negative_price": (price < 0) & (quantity > 0) & ~cancelled,
            "fee_product": is_fee,
            # A line is what is mapped of it: two pairs differ in the words for one product alone.
            "duplicate": lines.drop(columns="Description").duplicated(),
        }
    )


def test_the_facts_about_the_data_hold(lines: pd.DataFrame, reasons: pd.DataFrame) -> None:
    cancelled = lines.InvoiceNo.str.startswith("C")

    assert len(lines) == 541_909
    assert reasons.missing_customer.sum() == 135_080
    assert (cancelled.sum(), (cancelled & lines.CustomerID.isna()).sum()) == (9_288, 383)
    assert (lines.duplicated().sum(), reasons.duplicate.sum()) == (5_268, 5_270)
    assert (lines.UnitPrice.astype(float) == 0).sum() == 2_515


def test_every_line_is_accepted_or_refused_for_what_pandas_finds(
    lines: pd.DataFrame, reasons: pd.DataFrame, ingested: tuple[Path, RowCounts]
) -> None:
    root, counts = ingested

    assert counts.lines == len(lines) == counts.accepted + counts.rejected
    assert counts.filtered_out == 0
    assert counts.by_reason == {code: count for code, count in reasons.sum().to_dict().items() if count}
    assert counts.rejected == reasons.any(axis=1).sum()
    assert len(read(root, "rejected_transactions")) == counts.rejected


def test_cancelled_orders_and_negative_quantities_are_returns(
    lines: pd.DataFrame, reasons: pd.DataFrame, ingested: tuple[Path, RowCounts]
) -> None:
    good = lines[~reasons.any(axis=1)]
    back = good.InvoiceNo.str.startswith("C") | (good.Quantity.astype(int) < 0)
    value = (good.Quantity.astype(float) * good.UnitPrice.astype(float)).round(2)

    accepted = read(ingested[0], "transactions")

    assert accepted.is_return.sum() == back.sum() > 8_000
    assert float(accepted.amount.sum()) == pytest.approx(value.sum(), abs=0.01)
    assert float(accepted[accepted.is_return].amount.sum()) == pytest.approx(value[back].sum(), abs=0.01)
