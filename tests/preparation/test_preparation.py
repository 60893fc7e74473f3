"""Preparations against scikit-learn, and back."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.decomposition import PCA
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, RobustScaler, StandardScaler

from customer_segmentation.clustering import Preparation
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import OneHotFeature, PreparationModel, PreparedFeature

NAMES = ["a", "b", "c"]


def drawn(seed: int, rows: int = 250) -> np.ndarray:
    """Three columns: skewed and positive, skewed to both sides, even."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(rows, 3)) @ generator.normal(size=(3, 3))
    return np.column_stack([np.exp(mixed[:, 0]), np.sinh(mixed[:, 1] / 2), mixed[:, 2]])


def framed(spark: SparkSession, points: np.ndarray) -> DataFrame:
    return spark.createDataFrame(pd.DataFrame(points, columns=NAMES))


def values(frame: DataFrame, preparation: PreparationModel) -> np.ndarray:
    rows = preparation.transform(frame).select(*(f"`z_{name}`" for name in preparation.names)).toPandas()
    return rows.to_numpy(dtype=float)


def assert_comes_back(preparation: PreparationModel, prepared: np.ndarray, points: np.ndarray) -> None:
    natural = [list(preparation.inverse_transform(row).values()) for row in prepared]
    assert np.array(natural) == pytest.approx(points, rel=1e-6, abs=1e-6)
    assert PreparationModel.from_dict(json.loads(json.dumps(preparation.to_dict()))).to_dict() == preparation.to_dict()


@pytest.mark.parametrize("seed", [1, 2])
def test_standard_and_robust_scaling_equal_scikit_learns(spark: SparkSession, seed: int) -> None:
    points = drawn(seed)
    points = np.column_stack([np.log(points[:, 0]), np.arcsinh(points[:, 1]), points[:, 2]])  # near to normal
    frame = framed(spark, points)

    for scaling, peer in (("standard", StandardScaler()), ("robust", RobustScaler())):
        preparation = Preparation(columns=NAMES, scaling=scaling).fit(frame)
        prepared = values(frame, preparation)
        assert prepared == pytest.approx(peer.fit_transform(points), rel=1e-6, abs=1e-7)
        assert [f.spread for f in preparation.features_] == pytest.approx(prepared.std(axis=0))
        assert_comes_back(preparation, prepared, points)


@pytest.mark.parametrize("skewed", ["none", "log"])
def test_robust_scaling_gives_no_feature_more_than_twice_the_variance_of_another(
    spark: SparkSession, skewed: str
) -> None:
    draw = np.random.default_rng(11)
    rows = 3_000
    columns = {
        "even": draw.normal(size=rows),
        "two_ends": np.where(draw.random(rows) < 0.5, -1.0, 1.0) + 0.01 * draw.normal(size=rows),
        "mostly_zero": np.where(draw.random(rows) < 0.9, 0.0, draw.exponential(5.0, rows)),
        "hardly_ever": np.where(np.arange(rows) < 3, 1.0, 0.0),
        "just_over_a_quarter": np.where(draw.random(rows) < 0.73, 0.0, draw.exponential(5.0, rows)),
        "heavy_tail": draw.standard_t(1.5, rows),
        "skewed": np.exp(2 * draw.normal(size=rows)),
        "far_away": 1e9 + draw.standard_t(2, rows),
        "often_missing": np.where(draw.random(rows) < 0.7, np.nan, draw.standard_t(2, rows)),
    }
    frame = spark.createDataFrame(pd.DataFrame(columns))

    preparation = Preparation(columns=list(columns), skewed=skewed).fit(frame)

    assert preparation.dropped_ == {}
    variances = {feature.name: feature.spread**2 for feature in preparation.features_}
    assert max(variances.values()) <= 2 * min(variances.values()) * (1 + 1e-8), variances
    assert max(variances.values()) <= 2 * sum(variances.values()) / len(variances), variances
    # Between the bounds it is the interquartile range: that of a normal feature is as it would be without them.
    low, high = np.percentile(columns["even"], [25, 75])
    if skewed == "none":
        assert preparation.features_[0].scale == pytest.approx(high - low, rel=1e-6)
    prepared = preparation.transform(frame).select("z_often_missing").toPandas()["z_often_missing"]
    assert prepared.var(ddof=0) <= variances["often_missing"]  # what is missing adds none


@pytest.mark.parametrize("seed", [3, 4])
def test_yeo_johnson_equals_scikit_learns_power_transformer(spark: SparkSession, seed: int) -> None:
    points = drawn(seed)
    frame = framed(spark, points)

    preparation = Preparation(columns=NAMES, skewed="yeo_johnson", scaling="standard").fit(frame)

    peer = PowerTransformer(method="yeo-johnson").fit(points)
    assert [f.yeo_johnson_lambda for f in preparation.features_] == pytest.approx(peer.lambdas_, abs=1e-4)
    prepared = values(frame, preparation)
    assert prepared == pytest.approx(peer.transform(points), rel=1e-3, abs=1e-3)
    assert_comes_back(preparation, prepared, points)


@pytest.mark.parametrize("power", [-1.5, -1e-12, 0.0, 0.7, 1.0, 2.0, 2.0 + 1e-12, 3.1])
def test_each_lambda_gives_the_value_of_the_definition_and_back(frame: Callable[..., DataFrame], power: float) -> None:
    from scipy.stats import yeojohnson

    known = np.array([-30.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 8.0])
    feature = PreparedFeature("a", False, 0.2, 1.5, 1.0, yeo_johnson_lambda=power)

    prepared = values(frame([(x,) for x in known.tolist()], "a double"), PreparationModel((feature,), {}))[:, 0]

    assert prepared == pytest.approx((yeojohnson(known, power) - 0.2) / 1.5, rel=1e-7, abs=1e-9)
    assert [feature.inverse_transform(z) for z in prepared] == pytest.approx(known, rel=1e-6, abs=1e-8)


def test_what_no_value_gives_has_a_finite_inverse() -> None:
    for power in (-1.0, 0.0, 3.0):
        feature = PreparedFeature("a", False, 0.0, 1.0, 1.0, yeo_johnson_lambda=power)
        assert np.isfinite([feature.inverse_transform(1e6), feature.inverse_transform(-1e6)]).all()


@pytest.mark.parametrize("variance", [0.6, 0.95, 1.0])
def test_components_equal_scikit_learns_and_keep_its_distances(spark: SparkSession, variance: float) -> None:
    points = drawn(5)
    frame = framed(spark, points)

    plain = Preparation(columns=NAMES, scaling="standard").fit(frame)
    preparation = Preparation(columns=NAMES, scaling="standard", variance=variance).fit(frame)

    scaled, prepared = values(frame, plain), values(frame, preparation)
    peer = PCA().fit(scaled)
    kept = int(np.searchsorted(np.cumsum(peer.explained_variance_ratio_), variance - 1e-9)) + 1
    components = preparation.components_
    assert components is not None
    assert len(components.axes) == kept
    assert np.abs(components.axes @ peer.components_[:kept].T) == pytest.approx(np.eye(kept), abs=1e-6)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in components.axes)
    assert components.variances == pytest.approx(peer.explained_variance_ * (len(points) - 1) / len(points))
    scores = PCA(kept).fit_transform(scaled)
    assert np.abs(components.scores(scaled)) == pytest.approx(np.abs(scores), abs=1e-6)
    apart = np.linalg.norm(scores[:40, None] - scores[None, :40], axis=2)
    assert np.linalg.norm(prepared[:40, None] - prepared[None, :40], axis=2) == pytest.approx(apart, abs=1e-6)
    assert [f.spread for f in preparation.features_] == pytest.approx(prepared.std(axis=0))
    turned_back = PCA(kept).fit(scaled).inverse_transform(scores)
    assert_comes_back(preparation, prepared, turned_back * points.std(axis=0) + points.mean(axis=0))
    assert preparation.to_dict()["features"] == plain.to_dict()["features"]


def test_one_hot_equals_scikit_learns_with_the_rare_together(frame: Callable[..., DataFrame]) -> None:
    cities = ["Bonn"] * 5 + ["Ulm's"] * 3 + ["St. Gallen"] * 3 + ["Rom"] * 2 + [None] + ["a\\b"]
    data = frame([(city,) for city in cities], "city string")

    preparation = Preparation(columns=[], attributes=["city"], categories=4).fit(data)

    prepared = values(data, preparation) * 2**0.5
    texts = np.array([[city or ""] for city in cities])
    peer = OneHotEncoder(max_categories=4, sparse_output=False).fit(texts)
    order = ["Bonn", "St. Gallen", "Ulm's"]  # by frequency, ties by the text; the others last
    columns = [peer.categories_[0].tolist().index(city) for city in order]
    told = peer.get_feature_names_out(["city"]).tolist()
    expected = peer.transform(texts)
    wanted = [told.index(f"city_{peer.categories_[0][i]}") for i in columns]
    assert prepared == pytest.approx(np.column_stack([expected[:, wanted], expected[:, -1]]))
    assert preparation.names == ["city=Bonn", "city=St  Gallen", "city=Ulm's", "city=(other)"]
    assert preparation.inputs == ["city"]
    shares = preparation.inverse_transform(values(data, preparation).mean(axis=0))
    assert list(shares.values()) == pytest.approx([5 / 15, 3 / 15, 3 / 15, 4 / 15])
    assert PreparationModel.from_dict(json.loads(json.dumps(preparation.to_dict()))) == preparation


def test_customers_of_two_categories_are_one_apart(frame: Callable[..., DataFrame]) -> None:
    data = frame([("x", 1.0), ("y", 2.0), (None, 2.0)], "city string, a double")

    preparation = Preparation(columns=["a"], attributes=["city"], weights={"city": 3.0, "a": 2.0}).fit(data)

    prepared = values(data, preparation)
    plain = values(data, Preparation(columns=["a"]).fit(data))
    assert preparation.names == ["a", "city=(none)", "city=x", "city=y"]
    assert np.linalg.norm(prepared[0, 1:] - prepared[1, 1:]) == pytest.approx(3.0)
    assert prepared[:, 0] == pytest.approx(2 * plain[:, 0])


def test_winsorised_values_are_moved_to_the_quantiles(spark: SparkSession) -> None:
    points = drawn(6)
    frame = framed(spark, points)

    preparation = Preparation(
        columns=NAMES,
        skewed={"a": "log", "b": "yeo_johnson"},
        scaling="standard",
        winsorise=(0.05, 0.9),
    ).fit(frame)

    held = np.clip(points, *np.percentile(points, [5, 90], axis=0))
    power = PowerTransformer(method="yeo-johnson", standardize=False).fit(held[:, 1:2])
    shaped = np.column_stack([np.log1p(held[:, 0]), power.transform(held[:, 1:2]), held[:, 2]])
    prepared = values(frame, preparation)
    assert prepared == pytest.approx(StandardScaler().fit_transform(shaped), rel=1e-3, abs=1e-3)
    assert_comes_back(preparation, prepared, held)


@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_a_missing_value_counts_as_the_median(frame: Callable[..., DataFrame], scaling: str) -> None:
    known = [0.0, 1.0, 2.0, 50.0, 900.0]
    data = frame([(x,) for x in [*known, None]], "a double")

    preparation = Preparation(
        columns=["a"],
        skewed=["a"],
        scaling=scaling,
        winsorise=(0.0, 0.8),
        weights={"a": 2},
    ).fit(data)

    assert preparation.missing() == pytest.approx({"a": 2.0})
    prepared = values(data, preparation)[:, 0]
    assert prepared[-1] == pytest.approx(prepared[2], abs=1e-8)


def test_columns_that_tell_nothing_new_are_dropped_and_said(frame: Callable[..., DataFrame]) -> None:
    generator = np.random.default_rng(8)
    x, y = generator.normal(size=(2, 60))
    rows = [(a, 3 * a + 7, -a, b, 4.0, None, "same") for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    data = frame(rows, "a double, twin double, mirror double, b double, one double, none double, text string")

    preparation = Preparation(
        columns=["a", "twin", "b", "mirror", "one", "none"],
        scaling="standard",
        attributes=["text"],
    ).fit(data)

    assert preparation.names == ["a", "b"]
    assert preparation.dropped_ == {
        "twin": "says the same as a (correlation +1)",
        "mirror": "says the same as a (correlation -1)",
        "one": "has the same value for every customer",
        "none": "has no values",
        "text": "has the same value for every customer",
    }


@pytest.mark.slow
def test_a_preparation_does_not_depend_on_how_the_rows_lie(spark: SparkSession) -> None:
    points = drawn(9)
    frame = framed(spark, points).selectExpr("*", "CAST(CAST(c AS INT) AS STRING) AS text")

    def fitted(data: DataFrame) -> str:
        preparation = Preparation(
            columns=NAMES,
            skewed={"a": "log", "b": "yeo_johnson"},
            winsorise=(0.01, 0.99),
            attributes=["text"],
            categories=3,
            variance=0.9,
        ).fit(data)
        return json.dumps(preparation.to_dict())

    assert fitted(frame) == fitted(frame.repartition(7)) == fitted(frame.orderBy("b").coalesce(1))


def test_the_ml_stage_prepares_as_the_plain_expressions_do(spark: SparkSession) -> None:
    frame = framed(spark, drawn(10)).selectExpr("*", "CAST(CAST(c AS INT) AS STRING) AS text")
    preparation = Preparation(
        columns=NAMES,
        skewed={"a": "yeo_johnson"},
        winsorise=(0.1, 1.0),
        attributes=["text"],
        variance=0.8,
    ).fit(frame)

    by_stage = preparation.stage().transform(frame).toPandas()

    pd.testing.assert_frame_equal(by_stage, preparation.transform(frame).toPandas())


GOOD = {
    "features": [
        {"name": "a", "log": False, "center": 0.0, "scale": 1.0, "spread": 1.0},
        {"name": "t=x", "attribute": "t", "values": ["x"], "others": False, "scale": 1.0, "spread": 0.5},
    ],
    "dropped": {},
    "components": {"means": [0.0, 0.0], "axes": [[1.0, 0.0]], "variances": [1.0, 0.5]},
}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("features"),
        lambda data: data.update(extra=1),
        lambda data: data["features"][0].update(scale=0.0),
        lambda data: data["features"][0].update(center=float("nan")),
        lambda data: data["features"][0].update(power=float("inf")),
        lambda data: data["features"][0].update(power=1.0, log=True),
        lambda data: data["features"][0].update(low=2.0, high=1.0),
        lambda data: data["features"][0].update(cls="os.system"),
        lambda data: data["features"][0].update(name=3),
        lambda data: data["features"][0].update(spread="wide"),
        lambda data: data["features"][1].update(values=[]),
        lambda data: data["features"][1].update(values=[1]),
        lambda data: data["features"][1].update(attribute=None),
        lambda data: data["features"].pop(),
        lambda data: data["components"].pop("axes"),
        lambda data: data["components"].update(axes=[[1.0, 1.0]]),
        lambda data: data["components"].update(axes=[[1.0, float("nan")]]),
        lambda data: data["components"].update(means=[0.0]),
        lambda data: data["components"].update(means="ab"),
    ],
)
def test_nonsense_is_no_preparation(damage: Callable[[dict], None]) -> None:
    data = json.loads(json.dumps(GOOD))
    assert PreparationModel.from_dict(data).names == ["a", "t=x"]
    damage(data)

    with pytest.raises((ValueError, KeyError, TypeError)):
        PreparationModel.from_dict(data)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scaling": "minmax"}, "scaling"),
        ({"winsorise": (0.9, 0.1)}, "winsorise"),
        ({"categories": 1}, "categories"),
        ({"variance": 0}, "variance"),
        ({"weights": {"z": 1}}, "weights has 'z'"),
        ({"weights": {"a": 0}}, "weights.a"),
        ({"skewed": None}, "skewed must be a transform, a list of columns or a dictionary of transforms; found None"),
        ({"winsorise": "0.1"}, "winsorise must be two rising quantiles"),
        ({"winsorise": (None, 0.9)}, "winsorise must be two rising quantiles"),
        ({"variance": "most"}, "variance"),
        ({"weights": {"a": "heavy"}}, "weights.a"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4,294,967,295"),
        ({"skewed": {"a": "both"}}, "skewed: a must be one of none, log, yeo_johnson; found 'both'"),
    ],
)
def test_wrong_arguments_are_rejected_before_any_job_runs(arguments: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Preparation(columns=["a"], **arguments).fit(None)  # no frame is touched


def test_an_indicator_is_made_of_its_attribute() -> None:
    assert OneHotFeature("city=Bonn", "city", ("Bonn",), False, 1.0, 0.5).column == "city"


def test_a_preparation_is_fitted_by_its_class_as_in_the_first_release(frame: Callable[..., DataFrame]) -> None:
    customers = frame([(1.0, 2.0), (4.0, 2.0), (9.0, 2.0)], "orders double, same double")

    by_class = Preparation.fit(customers, columns=["orders", "same"], skewed=["orders"], scaling="standard")

    assert by_class == Preparation(columns=["orders", "same"], skewed=["orders"], scaling="standard").fit(customers)
    assert by_class.features == by_class.features_
    assert by_class.dropped == {"same": "has the same value for every customer"}
