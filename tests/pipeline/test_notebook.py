"""The notebook runs from top to bottom on small data, through the public interface alone."""

import ast
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from pyspark.sql import SparkSession

import customer_segmentation as cs
from notebooks.render import DOCS, NOTEBOOK, evaluate, read_cells
from tests.generated import CUSTOMERS, LINES

CODE = [cell for cell in read_cells() if cell["cell_type"] == "code"]
COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "category", "quantity", "unit_price", "discount")


@pytest.fixture(scope="module")
def executed(spark: SparkSession, generated: Path) -> dict[str, Any]:
    """What every name of the notebook holds at its end; `shown` are the results of the cells."""
    names: dict[str, Any] = {}
    shown = []
    for cell in CODE:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(NOTEBOOK.parent)
            shown.append(evaluate("".join(cell["source"]), names))
        if "parameters" in cell["metadata"].get("tags", []):
            names |= {
                "SOURCE": {"path": f"{generated}/data/transactions", "format": "parquet"},
                "PRODUCTS": None,
                "COLUMNS": {name: name for name in COLUMNS},
                "AS_OF": "2025-01-01",
                "MODEL": f"{generated}/notebook/model",
            }
    return names | {"shown": [value for value in shown if value is not None]}


@pytest.mark.long
@pytest.mark.slow
def test_lines_and_customers_are_accounted_for(executed: dict[str, Any]) -> None:
    counts = executed["lines"].counts

    assert counts.lines >= LINES
    assert counts.add_up
    assert set(executed["reasons"]["reason"]) == set(counts.by_reason)
    assert 0 < counts.rejected <= executed["reasons"]["lines"].sum()
    assert 0 < executed["features"].count() <= CUSTOMERS
    assert executed["monthly"]["sales"].gt(0).all()
    assert executed["scores"].where("rfm_segment IS NULL").count() == 0


@pytest.mark.long
@pytest.mark.slow
def test_five_algorithms_are_compared_side_by_side(executed: dict[str, Any]) -> None:
    comparison = executed["comparison"]

    names = [estimator.split("(")[0] for estimator in comparison["estimator"]]
    assert names == ["KMeans", "BisectingKMeans", "GaussianMixture", "DBSCAN", "AgglomerativeClustering"]
    assert comparison.loc[comparison["estimator"].str.contains("k=4"), "segments"].tolist() == [4, 4, 4, 4]
    assert executed["by_k"]["segments"].tolist() == [3, 4, 5, 6, 7, 8]
    assert executed["by_k"]["silhouette"].between(-1, 1).all()


@pytest.mark.long
@pytest.mark.slow
def test_each_segment_has_a_profile_drivers_and_an_action(executed: dict[str, Any]) -> None:
    profile, drivers, plan = executed["profile"], executed["drivers"].toPandas(), executed["plan"]

    assert profile["segment_id"].tolist() == [1, 2, 3, 4]
    assert profile["customers"].sum() == executed["features"].count()
    assert profile["revenue_share"].sum() == pytest.approx(1)
    assert profile["segment_name"].notna().all()
    assert set(drivers["segment_name"]) == set(profile["segment_name"])
    assert set(drivers["feature"]) <= set(executed["FEATURES"])
    assert (
        plan.set_index("segment_name")["action"].to_dict()
        == executed["named"].set_index("segment_name")["action"].to_dict()
    )
    assert plan["action"].nunique() > 1
    assert plan["insight"].str.contains("high|low").any()


@pytest.mark.long
@pytest.mark.slow
def test_the_loaded_model_assigns_as_the_fitted_one(executed: dict[str, Any]) -> None:
    fitted = executed["segments"].select("customer_id", "segment_id")

    assert executed["loaded"].to_json() == executed["model"].to_json()
    assert executed["reassigned"].exceptAll(fitted).count() == 0


@pytest.mark.long
@pytest.mark.slow
def test_its_pictures_are_charts_that_can_be_drawn(executed: dict[str, Any]) -> None:
    charts = [value for value in executed["shown"] if isinstance(value, alt.TopLevelMixin)]

    assert len(charts) == len(list(DOCS.glob("notebook/*.png"))) == 10
    assert all(chart.to_dict() for chart in charts)


def test_it_takes_nothing_of_the_library_but_the_public_interface() -> None:
    imported, used = set(), set()
    for node in ast.walk(ast.parse("\n".join("".join(cell["source"]) for cell in CODE))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cs":
            used.add(node.attr)

    assert not [name for name in imported if name.startswith("customer_segmentation.")]
    assert "customer_segmentation" in imported
    assert used <= set(cs.__all__)


def test_no_output_is_kept_in_it() -> None:
    assert all(not cell.get("outputs") and cell["execution_count"] is None for cell in CODE)


def test_its_first_code_cell_has_the_parameters() -> None:
    tagged = [cell["metadata"].get("tags", []) for cell in CODE]

    assert tagged[0] == ["parameters"]
    assert not any(tagged[1:])


def test_the_rendered_copy_has_the_cells_of_the_notebook_and_small_pictures() -> None:
    page = (DOCS / "notebook.md").read_text()

    assert all(f"```python\n{''.join(cell['source'])}\n```" in page for cell in CODE)
    for picture in DOCS.glob("notebook/*.png"):
        assert f"](notebook/{picture.name})" in page
        assert picture.stat().st_size < 150_000
