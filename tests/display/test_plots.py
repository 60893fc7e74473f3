"""The charts for a notebook: what they draw of small frames, and what they say of frames that they can't draw."""

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vl_convert
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation import plots
from customer_segmentation.contract.errors import ConfigurationError, CustomerSegmentationError
from customer_segmentation.insight.profiles import profile
from customer_segmentation.plots.components import principal_components

CUSTOMERS = "customer_id string, segment_id int, recency_days int, frequency double, monetary decimal(18,2)"


@pytest.fixture(scope="module")
def segments(spark: SparkSession) -> DataFrame:
    rows = [
        ("a", 1, 3, 10.0, Decimal("100.00")),
        ("b", 1, 5, 12.0, Decimal("300.00")),
        ("c", 2, 90, 1.0, Decimal("20.00")),
        ("d", 2, 110, 2.0, Decimal("40.00")),
        ("e", -1, 400, 90.0, Decimal("940.00")),
    ]
    frame: DataFrame = spark.createDataFrame(rows, CUSTOMERS).cache()
    return frame


def drawn(chart: Any) -> dict[str, Any]:
    """The specification of a chart that can be drawn."""
    assert vl_convert.vegalite_to_svg(chart.to_dict())
    specification: dict[str, Any] = chart.to_dict()
    return specification


def values(specification: dict[str, Any], part: Any = None) -> list[dict[str, Any]]:
    """All rows of data in a specification, or in a part of it."""
    part = specification if part is None else part
    if isinstance(part, list):
        return [row for each in part for row in values(specification, each)]
    if not isinstance(part, dict):
        return []
    source = part.get("data", {})
    rows = source.get("values") or specification.get("datasets", {}).get(source.get("name"), [])
    return rows + [row for key in ("layer", "concat", "hconcat") for row in values(specification, part.get(key, []))]


def test_a_profile_is_drawn_in_standard_deviations_largest_segment_first_and_noise_last(segments: DataFrame) -> None:
    specification = drawn(plots.profile(segments))

    cells = [row for row in values(specification) if "column" in row]
    assert list(dict.fromkeys(row["name"] for row in cells)) == ["Segment 1 (2)", "Segment 2 (2)", "Unclassified (1)"]
    frequency = np.array([10, 12, 1, 2, 90.0])
    label = next(row["label"] for row in cells if (row["name"], row["column"]) == ("Unclassified (1)", "Frequency"))
    assert label == f"{(90 - frequency.mean()) / frequency.std():+.1f}"


def test_a_long_name_has_the_room_it_needs_in_a_profile(segments: DataFrame) -> None:
    name = "Low-value occasional buyers, expensive items"

    specification = drawn(plots.profile(segments.withColumn("segment_name", F.lit(name)).where("segment_id = 1")))

    axis = specification["layer"][0]["encoding"]["y"]["axis"]
    assert axis["labelLimit"] >= 6.5 * len(f"{name} (2)")
    assert axis["minExtent"] <= 0.6 * specification["width"]


def test_a_profile_is_drawn_from_its_table_as_from_its_frame(segments: DataFrame) -> None:
    assert drawn(plots.profile(profile(segments))) == drawn(plots.profile(segments))


def test_of_many_features_those_are_shown_that_differ_most(segments: DataFrame) -> None:
    specification = drawn(plots.profile(segments, max_features=2))

    assert len({row["column"] for row in values(specification) if "column" in row}) == 2
    assert "the 2 features of 3 that differ most" in specification["title"]["subtitle"]


def test_the_rfm_grid_counts_and_sums_the_customers_of_a_cell(frame: Callable[..., DataFrame]) -> None:
    scored = frame(
        [(5, 5, Decimal("10.00")), (5, 5, Decimal("20.00")), (1, 2, Decimal("3.00"))],
        "r_score int, f_score int, monetary decimal(18,2)",
    )

    cells = {(row["r"], row["f"]): row for row in values(drawn(plots.rfm(scored, currency="$"))) if "r" in row}

    assert (cells[5, 5]["customers"], cells[5, 5]["revenue"]) == ("2", "$30")
    assert (cells[1, 2]["customers"], cells[1, 2]["revenue"]) == ("1", "$3")
    assert cells[3, 3]["customers"] == "0"


def test_the_rfm_grid_scores_customers_that_have_no_scores(segments: DataFrame) -> None:
    cells = [row for row in values(drawn(plots.rfm(segments))) if "r" in row]

    assert sum(int(row["customers"]) for row in cells) == 5
    assert next(row for row in cells if (row["r"], row["f"]) == (1, 5))["customers"] == "1"


def test_the_best_estimator_of_each_metric_stands_out() -> None:
    table = pd.DataFrame(
        {
            "estimator": ["KMeans(k=5)", "DBSCAN()"],
            "segments": [5, 3],
            "silhouette": [0.4, 0.2],
            "davies_bouldin": [1.5, 0.9],
            "stability": [0.9, np.nan],
            "seconds": [3, 20],
        }
    )

    specification = drawn(plots.compare(table))
    strongest = {
        panel["title"]["text"]: {row["name"] for row in values(specification, panel) if row["strength"] == 1.0}
        for panel in specification["hconcat"]
    }
    assert strongest == {
        "Segments": set(),
        "Silhouette": {"KMeans(k=5)"},
        "Davies-Bouldin": {"DBSCAN()"},
        "Stability": {"KMeans(k=5)"},
        "Seconds": {"KMeans(k=5)"},
    }


def test_a_map_has_a_point_per_customer_and_a_label_per_segment(segments: DataFrame) -> None:
    rows = values(drawn(plots.map(segments)))

    assert len([row for row in rows if "colour" in row]) == 5
    assert {row["segment"] for row in rows} == {"Segment 1", "Segment 2", "Unclassified"}


def test_customers_in_no_segment_are_on_no_map(segments: DataFrame) -> None:
    unassigned = segments.withColumn("segment_id", F.lit(None).cast("int"))

    assert drawn(plots.map(segments.unionByName(unassigned))) == drawn(plots.map(segments))


def test_the_rfm_grid_has_as_many_scores_as_there_are(segments: DataFrame) -> None:
    finer = drawn(plots.rfm(segments.withColumns({"r_score": F.lit(9), "f_score": F.lit(8)})))

    assert sum(int(row["customers"]) for row in values(finer) if "r" in row) == segments.count()


def test_a_map_of_a_sample_shows_the_same_customers_each_time(segments: DataFrame) -> None:
    first, second = (drawn(plots.map(part, sample=3)) for part in (segments, segments.repartition(4)))

    assert first == second
    assert len([row for row in values(first) if "colour" in row]) == 3


def test_a_histogram_holds_every_customer_that_has_a_value(frame: Callable[..., DataFrame]) -> None:
    features = frame(
        [("a", 1.0, None), ("b", 2.0, 5), ("c", float("nan"), 5), ("d", 40.0, 9)],
        "customer_id string, `odd name.` double, visits int",
    ).withColumn("a`b", F.lit(1e40))

    panels = plots.distributions(features).to_dict()["concat"]

    titles = [panel["title"] for panel in panels]
    assert [title["text"] for title in titles] == ["Odd name.", "Visits", "A`b"]
    assert titles[0]["subtitle"].startswith("median 2")


def test_correlations_are_of_ranks(frame: Callable[..., DataFrame]) -> None:
    features = frame([(1.0, 1.0, 9.0), (2.0, 40.0, 5.0), (3.0, 900.0, 1.0)], "a double, b double, c double")

    cells = {(row["name"], row["column"]): row["label"] for row in values(drawn(plots.correlations(features)))}

    assert cells["A", "B"] == cells["A", "A"] == "1.00"
    assert cells["A", "C"] == "-1.00"


@pytest.mark.parametrize("seed", range(5))
def test_principal_components_are_those_of_the_correlation_matrix(seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame(draw.normal(size=(50, 4)) @ draw.normal(size=(4, 4)), columns=list("abcd"))

    components = principal_components(rows)

    eigenvalues = np.linalg.eigvalsh(rows.corr())[::-1]
    assert components.shares == pytest.approx(tuple(eigenvalues[:2] / 4), abs=1e-6)
    assert components.points.var(axis=0) == pytest.approx(eigenvalues[:2])


def test_a_missing_value_is_the_median_and_a_constant_feature_changes_nothing() -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0, None], "b": [2.0, 4.0, 9.0, 3.0], "constant": 7.0})

    points = principal_components(rows).points

    assert points == pytest.approx(principal_components(rows.fillna(2.0)[["a", "b"]]).points)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda frame: plots.profile(frame.drop("segment_id")), "segment_id not among the columns"),
        (lambda frame: plots.map(frame, ["frequency"]), "needs 2 numeric features or more; found 1"),
        (lambda frame: plots.map(frame, ["frequency", "shoe_size"]), "shoe_size not among the columns"),
        (lambda frame: plots.map(frame.limit(0)), "two customers or more"),
        (lambda frame: plots.correlations(frame.select("customer_id")), "needs 2 numeric features or more; found 0"),
        (lambda frame: plots.rfm(frame.select("customer_id")), "r_score, f_score not among the columns"),
        (lambda frame: plots.compare(pd.DataFrame({"k": [1]})), "estimator not among the columns k"),
        (lambda frame: plots.compare(pd.DataFrame({"estimator": ["KMeans"]})), "none of the columns segments"),
        (lambda frame: plots.profile(profile(frame.limit(0))), "the table has no rows"),
    ],
)
def test_what_can_not_be_drawn_is_an_error_that_names_what_is_missing(
    draw: Callable[[DataFrame], Any], message: str, segments: DataFrame
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        draw(segments)


def test_without_altair_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("customer_segmentation.plots.charts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(plots, "charts", None, raising=False)
    monkeypatch.delattr(plots, "charts")
    monkeypatch.setitem(sys.modules, "altair", None)

    with pytest.raises(CustomerSegmentationError, match=r"need altair, .*pip install altair vl-convert-python"):
        plots.compare(pd.DataFrame({"estimator": ["KMeans"], "silhouette": [0.4]}))
