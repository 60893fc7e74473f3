"""The command: reads what was ingested, writes `backtests`, and what follows from it in later runs."""

import io
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.stages import assign_segments, backtest_segments, build_features, write_report
from tests.generated import configured, quiet
from tests.warehouse import contents, read

SETTINGS = ("backtest.horizons=[90]", "backtest.folds=1", "backtest.bootstraps=50")


@pytest.fixture
def tables(generated: Path, tmp_path: Path) -> Path:
    """The generated data, and a warehouse of its own with the run over it."""
    shutil.copytree(generated / "data", tmp_path / "data")
    shutil.copytree(generated / "tables", tmp_path / "tables")
    return tmp_path


@pytest.mark.long
@pytest.mark.slow
def test_a_backtest_is_written_told_and_followed_and_the_same_again(spark: SparkSession, tables: Path) -> None:
    config = configured(tables, "tables", *SETTINGS)
    out = io.StringIO()

    run = quiet(spark, config)
    backtest_segments(run, Console(file=out, width=120))
    once = contents(tables / "tables", "backtests")
    backtest_segments(quiet(spark, config), Console(file=io.StringIO()))

    rows = read(tables / "tables", "backtests")
    assert contents(tables / "tables", "backtests") == once
    assert (rows.run_id == run.backtest_id).all()
    assert not rows.duplicated(list(t.BACKTESTS.key)).any()
    scores = set(rows.score)
    assert {
        "past_spend",
        "rfm_cell",
        "rfm_grid",
        "segments",
        "rank_in_segment",
        "learned",
        "gaussian_mixture",
    } <= scores
    ginis = rows[(rows.metric == "gini") & rows.as_of_date.isna()]
    assert ginis.value.between(-1, 1).all()
    assert (ginis.low <= ginis.high).all()
    assert "Ranking by net spend in the next 90 days" in out.getvalue()

    # As if orders had ranked customers best: ranks in segments follow them.
    better = rows[(rows.score == "frequency") & (rows.metric == "gini_gain")].index
    rows.loc[better, ["value", "low", "high"]] = (0.5, 0.4, 0.6)
    changed = rows.astype(object).where(rows.notna(), None).to_dict("records")
    for row in changed:
        row["segment_id"] = None if row["segment_id"] is None else int(row["segment_id"])
        row["tested_at"] = row["tested_at"].to_pydatetime()
    run.warehouse.replace_rows(t.BACKTESTS, changed, column=c.RUN_ID, value=run.backtest_id)
    later = quiet(spark, config)
    assert later.ranked_by == "frequency"
    build_features(later)
    assign_segments(later)

    features, segments = read(tables / "tables", "customer_features"), read(tables / "tables", "customer_segments")
    both = segments.merge(features[features.run_id == later.run_id], on="customer_id")
    for _, members in both.groupby("segment_id"):
        ranked = members.sort_values("rank_in_segment")
        expected = members.sort_values(["frequency", "monetary", "customer_id"], ascending=[False, False, True])
        assert ranked.customer_id.tolist() == expected.customer_id.tolist()

    page = write_report(quiet(spark, config), Console(file=io.StringIO()))
    assert 'id="ranking"' in page.read_text()


@pytest.mark.slow
def test_too_short_a_history_writes_nothing_and_says_what_there_is(spark: SparkSession, tables: Path) -> None:
    config = configured(tables, "tables", "backtest.horizons=[800]")

    with pytest.raises(DataRejectedError, match="days of orders"):
        backtest_segments(quiet(spark, config), Console(file=io.StringIO()))

    assert not (tables / "tables" / "backtests").exists()
