"""What a person's frame has besides clean numbers: every estimator gives a sound result, or names the column."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from customer_segmentation.clustering import (
    DBSCAN,
    AgglomerativeClustering,
    BisectingKMeans,
    GaussianMixture,
    KMeans,
    Preparation,
    SegmentationModel,
    load_model,
)
from customer_segmentation.clustering.gaussian_mixture.expectation import positive_definite
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.coreset_fits import gaussian_mixture
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.contract.errors import ConfigurationError, CustomerSegmentationError, DataRejectedError

N = 40
LOW = np.arange(N) < N // 2
IDS = [f"C{i:02}" for i in range(N)]

Estimator = KMeans | BisectingKMeans | GaussianMixture | DBSCAN | AgglomerativeClustering
ESTIMATORS: dict[str, Estimator] = {
    "KMeans": KMeans(2, n_init=1),
    "BisectingKMeans": BisectingKMeans(2, max_iterations=4),
    "GaussianMixture": GaussianMixture(2, n_init=0),
    "DBSCAN": DBSCAN(eps=0.9, min_samples=4),
    "AgglomerativeClustering": AgglomerativeClustering(2),
}


def two_kinds(seed: int) -> np.ndarray:
    """Two kinds of customers, far apart."""
    generator = np.random.default_rng(seed)
    return np.where(LOW, 0.0, 20.0) + generator.uniform(-0.5, 0.5, N)


def framed(spark: SparkSession, **columns: object) -> DataFrame:
    return spark.createDataFrame(pd.DataFrame({"customer_id": IDS, **columns}))


def with_nan(frame: DataFrame, *names: str) -> DataFrame:
    """NaN for null, whatever createDataFrame made of it."""
    return frame.selectExpr(*(f"coalesce({x}, double('NaN')) AS {x}" if x in names else x for x in frame.columns))


def sizes(assigned: DataFrame) -> list[int]:
    return sorted((row["count"] for row in assigned.groupBy("segment_id").count().collect()), reverse=True)


def assigned(model: SegmentationModel, frame: DataFrame) -> pd.DataFrame:
    """The assignment by customer, checked: everybody is in it once, all figures are finite."""
    rows = model.assign(frame).toPandas().set_index("customer_id").sort_index()
    assert len(rows) == frame.count()
    assert rows.segment_id.notna().all()
    assert rows.confidence.astype(float).between(0, 1).all()
    assert all(np.isfinite(driver["effect"]) for drivers in rows.drivers for driver in drivers)
    return rows


@pytest.mark.parametrize("scaling", ["robust", "standard"])
@pytest.mark.parametrize("more", [{"winsorise": (0.1, 0.9), "skewed": ["orders"]}, {"skewed": {"gap": "yeo_johnson"}}])
def test_a_preparation_takes_nan_for_a_missing_value(spark: SparkSession, scaling: str, more: dict) -> None:
    frame = framed(spark, orders=two_kinds(1), gap=np.abs(two_kinds(2))).selectExpr(
        "customer_id", "orders", "if(orders < 10, null, gap) AS gap", "CAST(null AS DOUBLE) AS nothing"
    )
    columns = ["orders", "gap", "nothing"]

    found = Preparation(columns=columns, scaling=scaling, **more).fit(with_nan(frame, "gap", "nothing"))

    assert found == Preparation(columns=columns, scaling=scaling, **more).fit(frame)
    assert found.names == ["orders", "gap"]
    assert found.dropped_ == {"nothing": "has no values"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_nan_is_as_null_and_infinity_an_outlier_in_a_fit_and_in_an_assignment(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    frame = framed(spark, orders=two_kinds(1), gap=two_kinds(2)).selectExpr(
        "customer_id", "orders", "if(orders < 10, null, gap) AS gap"
    )
    preparation = Preparation(columns=["orders", "gap"], scaling="standard").fit(frame)
    odd = frame.selectExpr(
        "customer_id",
        "CASE customer_id WHEN 'C01' THEN double('Infinity') WHEN 'C02' THEN -1e300D ELSE orders END AS orders",
        "gap",
    )

    model = ESTIMATORS[name].fit(with_nan(frame, "gap"), preparation=preparation)
    model.save(spark, str(tmp_path / "model"))
    loaded = load_model(spark, str(tmp_path / "model"))

    expected = assigned(ESTIMATORS[name].fit(frame, preparation=preparation), frame)
    assert sorted(expected.segment_id.value_counts()) == [N // 2, N // 2]
    columns = ["segment_id", "confidence", "is_outlier"]
    for one in (model, loaded):
        assert assigned(one, with_nan(frame, "gap"))[columns].equals(expected[columns])
        found = assigned(one, odd)
        unmeasured = found.loc[["C01", "C02"]]
        assert unmeasured.is_outlier.all()
        assert (unmeasured.confidence == 0).all()
        assert found.drop(["C01", "C02"])[columns].equals(expected.drop(["C01", "C02"])[columns])
    for bad in ({"columns": ["gap", "orders"]}, {"preparation": preparation}):
        with pytest.raises(DataRejectedError, match=rf"{name}.fit: orders has 2 values that can't be measured"):
            ESTIMATORS[name].fit(odd, **bad)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"winsorise": (0.1, 0.9)}, {"skewed": ["a"]}, {"skewed": {"a": "yeo_johnson"}}])
@pytest.mark.parametrize("value", ["double('Infinity')", "-1e300D"])
def test_infinity_behind_bounds_and_transforms_is_no_ordinary_value(
    spark: SparkSession, more: dict, value: str
) -> None:
    frame = framed(spark, a=two_kinds(1), b=two_kinds(2))
    odd = frame.selectExpr("customer_id", f"if(customer_id = 'C07', {value}, a) AS a", "b")

    with pytest.raises(DataRejectedError, match=r"Preparation.fit: a has 1 value that can't be measured"):
        Preparation(columns=["b", "a"], **more).fit(odd)
    model = AgglomerativeClustering(2).fit(frame, preparation=Preparation(columns=["b", "a"], **more).fit(frame))
    row = assigned(model, odd).loc["C07"]
    assert row.is_outlier
    assert row.confidence == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["KMeans", "DBSCAN"])
def test_infinity_in_a_feature_that_was_left_out_makes_an_outlier_too(spark: SparkSession, name: str) -> None:
    frame = framed(spark, a=two_kinds(1), twin=2 * two_kinds(1), word=["x"] * N)
    odd = frame.selectExpr("customer_id", "a", "if(customer_id = 'C07', double('Infinity'), twin) AS twin", "word")
    preparation = Preparation(columns=["a", "twin"], attributes=["word"], scaling="standard").fit(frame)
    model = ESTIMATORS[name].fit(frame, preparation=preparation)

    rows = assigned(model, odd)

    assert preparation.names == ["a"]
    assert rows.is_outlier["C07"]
    columns = ["segment_id", "confidence", "is_outlier"]
    for other in (frame, frame.drop("twin", "word")):
        assert rows.drop("C07")[columns].equals(assigned(model, other).drop("C07")[columns])


@pytest.mark.slow
def test_infinity_makes_an_outlier_of_one_customer_behind_components_too(spark: SparkSession) -> None:
    frame = framed(spark, a=two_kinds(1), b=two_kinds(2), c=two_kinds(3))
    odd = frame.selectExpr("customer_id", "if(customer_id = 'C07', double('-Infinity'), a) AS a", "b", "c")
    preparation = Preparation(columns=["a", "b", "c"], variance=0.9).fit(frame)

    with pytest.raises(DataRejectedError, match=r"fit: a has 1 value that"):
        KMeans(2).fit(odd, preparation=preparation)
    rows = assigned(KMeans(2, n_init=1).fit(frame, preparation=preparation), odd)
    assert rows.is_outlier["C07"]
    assert rows.drop("C07").groupby("segment_id").size().tolist() in ([19, 20], [20, 19])


NO_NUMBERS = {
    "CAST(a AS STRING)": ("string", "attributes"),
    "'gold'": ("string", "attributes"),
    "date'2024-01-01'": ("date", "days since"),
    "timestamp'2024-01-01 00:00:00'": ("timestamp", "days since"),
    "array(a)": ("array<double>", "make columns"),
    "map('x', a)": ("map<string,double>", "make columns"),
    "struct(a)": ("struct<a:double>", "make columns"),
    "CAST('x' AS BINARY)": ("binary", "number"),
    "INTERVAL '1' DAY": ("interval day", "number"),
}


def test_what_is_no_number_is_rejected_with_its_name_its_type_and_what_to_do(spark: SparkSession) -> None:
    clean = framed(spark, a=two_kinds(1)).selectExpr("customer_id", "a", "a AS `my.tier`")
    preparation = Preparation(columns=["my.tier"]).fit(clean)
    models = [DBSCAN(3.0, 4).fit(clean, columns=["my.tier"]), KMeans(2, n_init=1).fit(clean, columns=["my.tier"])]

    for expression, (kind, remedy) in NO_NUMBERS.items():
        frame = clean.selectExpr("customer_id", "a", f"{expression} AS `my.tier`")
        attempts: list[Callable[[], object]] = [partial(Preparation(columns=["a", "my.tier"]).fit, frame)]
        attempts += [partial(model.assign, frame) for model in models]
        attempts += [partial(one.fit, frame, columns=["a", "my.tier"]) for one in ESTIMATORS.values()]
        attempts += [partial(one.fit, frame, preparation=preparation) for one in ESTIMATORS.values()]
        for attempt in attempts:
            with pytest.raises(DataRejectedError) as raised:
                attempt()
            assert f"my.tier is of type {kind}, which is no number" in str(raised.value)
            assert remedy in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["boolean", "decimal(38,10)", "tinyint", "bigint", "float"])
def test_every_kind_of_number_is_one(spark: SparkSession, kind: str) -> None:
    value = "a > 10" if kind == "boolean" else f"CAST(a AS {kind})"
    frame = framed(spark, a=two_kinds(1)).selectExpr("customer_id", f"{value} AS good")

    for estimator in (AgglomerativeClustering(2), DBSCAN(3.0 if kind != "boolean" else 0.5, 4)):
        assert sizes(estimator.fit(frame, columns=["good"]).assign(frame)) == [N // 2, N // 2]
        preparation = Preparation(columns=["good"], scaling="standard").fit(frame)
        assert preparation.names == ["good"]


NAMES = [
    *("avg.order value", "spend (€)", "a`b", 'q"uote', "it's", "größe", "日本", "a,b;c", "a=b", "a\\b", "a\tb", "$x"),
    *("weight", "point", "features", "_features", "_cluster", "_x0", "_x1", "z_a", "_scored", "_found", "_point"),
    *("_rank", "_weight", "_box", "_id", "count", "distinct", "least", "rows", "position", "segment", "_segment"),
    *("probability", "prediction", "select", "1st", "value", "id", "x.y.z", "`", "--", "/*"),
]


@pytest.mark.slow
@pytest.mark.parametrize("names", [NAMES[i : i + 8] for i in range(0, len(NAMES), 8)], ids=repr)
def test_columns_of_any_name_work_and_are_given_as_they_are(spark: SparkSession, names: list[str]) -> None:
    frame = framed(spark, **{name: two_kinds(i) for i, name in enumerate(names)}, **{"Caf.é": ["x"] * N})
    preparation = Preparation(columns=names, skewed=names[:3]).fit(frame)

    for model in (
        AgglomerativeClustering(2).fit(frame, columns=names),
        DBSCAN(1.0, 4).fit(frame, preparation=preparation),
    ):
        rows = model.assign(frame)
        assert rows.columns[: len(frame.columns)] == frame.columns
        assert sizes(rows) == [N // 2, N // 2]
        drivers = {driver["feature"] for row in rows.select("drivers").collect() for driver in row[0]}
        assert drivers
        assert drivers <= {*names}


@pytest.mark.slow
def test_mllib_takes_columns_of_any_name(spark: SparkSession) -> None:
    frame = framed(spark, **{"avg.order `value`": two_kinds(1), "_features": two_kinds(2), "_x0": two_kinds(3)})

    for name in ("KMeans", "BisectingKMeans", "GaussianMixture"):
        model = ESTIMATORS[name].fit(frame, columns=["avg.order `value`", "_features", "_x0"])
        assert sizes(model.assign(frame)) == [N // 2, N // 2]


@pytest.mark.slow
def test_names_that_can_not_be_distinguished_or_are_not_there_are_rejected(spark: SparkSession) -> None:
    frame = framed(spark, Monetary=two_kinds(1), b=two_kinds(2))
    repeated = frame.selectExpr("customer_id", "Monetary", "b", "b AS B")
    model = KMeans(2, n_init=1).fit(frame, columns=["Monetary"])

    for attempt in (
        lambda: KMeans(2).fit(frame, columns=["monetery"]),
        lambda: Preparation(columns=["monetary"]).fit(frame),
        lambda: Preparation(columns=[], attributes=["MONETARY"]).fit(frame),
        lambda: model.assign(frame.withColumnRenamed("Monetary", "monetery")),
    ):
        with pytest.raises(ConfigurationError, match=r"not among the columns .*; did you mean [Mm]onet.ry\?"):
            attempt()
    for attempt in (
        lambda: DBSCAN().fit(repeated, columns=["b"]),
        lambda: Preparation(columns=["b"]).fit(repeated),
        lambda: model.assign(repeated),
    ):
        with pytest.raises(DataRejectedError, match="the columns b, B have the same name"):
            attempt()
    assert KMeans(2, n_init=1).fit(repeated, columns=["Monetary"]).k == 2
    for name in ("segment_id", "Confidence", "drivers", " ", "a${b}"):
        renamed = frame.withColumnRenamed("b", name)
        for estimator in (KMeans(2), DBSCAN()):
            with pytest.raises(ConfigurationError, match="rename the column"):
                estimator.fit(renamed, columns=["Monetary", name])
        with pytest.raises(ConfigurationError, match="rename the column"):
            Preparation(columns=[name]).fit(renamed)
    with pytest.raises(ConfigurationError, match="must be a list of column names; found 'b'"):
        KMeans(2).fit(frame, columns="b")  # type: ignore[arg-type] # what a person may write
    with pytest.raises(ConfigurationError, match="skewed has c"):
        Preparation(columns=["b"], skewed=["c"]).fit(frame)


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_customers_with_several_rows_or_without_an_id_are_rejected(spark: SparkSession, estimator: Estimator) -> None:
    frame = framed(spark, a=two_kinds(1))

    with pytest.raises(DataRejectedError, match="3 customers have more than one row of the same customer_id") as told:
        estimator.fit(frame.union(frame.where("customer_id < 'C03'")), columns=["a"])
    assert "C0" not in str(told.value)
    with pytest.raises(DataRejectedError, match="customer_id is null in 1 row;"):
        estimator.fit(frame.selectExpr("nullif(customer_id, 'C05') AS customer_id", "a"), columns=["a"])
    with pytest.raises(DataRejectedError, match="customer_id is of type array<string>"):
        estimator.fit(frame.selectExpr("array(customer_id) AS customer_id", "a"), columns=["a"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_values_far_from_zero_keep_their_differences(spark: SparkSession, name: str) -> None:
    whole = np.round(two_kinds(1))
    near, far = framed(spark, a=whole, b=two_kinds(9)), framed(spark, a=whole + 1e15, b=two_kinds(9))

    model = ESTIMATORS[name].fit(far, columns=["a", "b"])

    expected = assigned(ESTIMATORS[name].fit(near, columns=["a", "b"]), near)
    assert assigned(model, far).segment_id.tolist() == expected.segment_id.tolist()


@pytest.mark.parametrize("more", [{}, {"scaling": "standard"}, {"winsorise": (0.1, 0.9)}])
def test_a_preparation_of_values_far_from_zero_keeps_their_differences(spark: SparkSession, more: dict) -> None:
    whole = np.round(10 * two_kinds(1))
    near, far = framed(spark, a=whole), framed(spark, a=whole + 1e15)

    found, expected = (
        Preparation(columns=["a"], **more).fit(frame).transform(frame).toPandas()["z_a"].to_numpy()
        for frame in (far, near)
    )

    # Doubles that large lie an eighth apart: bounds and deviations are no closer than that.
    tolerance = np.spacing(1e15) / np.std(whole)
    assert found - found[0] == pytest.approx(expected - expected[0], abs=tolerance)
    assert abs(found).max() < 3


def test_transforms_and_scales_that_leave_no_difference_drop_the_feature_and_say_so(spark: SparkSession) -> None:
    noise = np.where(LOW, 0.3, 0.1 + 0.2)
    frame = framed(
        spark,
        far=np.round(two_kinds(1)) + 1e15,
        tiny=two_kinds(1) * 1e-300,
        b=two_kinds(2),
        rounding=np.where(np.arange(N) == 3, 100.0, noise),
    )

    preparation = Preparation(columns=["far", "tiny", "b", "rounding"], skewed=["far"]).fit(frame)

    assert preparation.names == ["b", "rounding"]
    assert "once transformed" in preparation.dropped_["far"]
    assert "differ by less than 1e-100" in preparation.dropped_["tiny"]
    assert abs(preparation.transform(frame).toPandas()["z_rounding"]).max() < 100
    with pytest.raises(DataRejectedError, match="no feature tells the customers apart: tiny has values that differ"):
        KMeans(2).fit(frame, preparation=Preparation(columns=["tiny"]).fit(frame))
    with pytest.raises(DataRejectedError, match="tiny has values that differ by less than 1e-100"):
        KMeans(2).fit(frame, columns=["tiny", "b"])
    with pytest.raises(DataRejectedError, match=r"Preparation.fit: there are no customers"):
        Preparation(columns=["b"]).fit(frame.limit(0))


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, int(os.environ.get("DIRT_SEEDS", "5"))))]

DIRT: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "equal": lambda g, x: np.full(N, 5.0),
    "two values": lambda g, x: g.integers(0, 2, N).astype(float),
    "rounding": lambda g, x: np.where(x > 10, 0.3, 0.1 + 0.2),
    "close": lambda g, x: 1.0 + g.integers(0, 3, N) * 2.0**-52,
    "far": lambda g, x: np.round(x) + 1e15,
    "huge": lambda g, x: x * 10.0 ** g.integers(80, 99),
    "too huge": lambda g, x: x * 1e200,
    "small": lambda g, x: x * 10.0 ** -g.integers(20, 95),
    "subnormal": lambda g, x: x * 1e-310,
    "outlier": lambda g, x: np.where(np.arange(N) == g.integers(N), 10.0 ** g.integers(6, 90), x),
    "infinite": lambda g, x: np.where(g.uniform(size=N) < 0.1, np.inf, x),
    "missing": lambda g, x: np.where(g.uniform(size=N) < 0.5, np.nan, x),
    "all missing": lambda g, x: np.full(N, np.nan),
    "twin": lambda g, x: 3 * x - 7,
    "clean": lambda g, x: x,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_any_mixture_of_dirt_gives_a_sound_result_or_the_librarys_own_error(spark: SparkSession, seed: int) -> None:
    generator = np.random.default_rng(seed)
    kinds = generator.choice(list(DIRT), 3).tolist()
    names = ["a", "b.c", "d"]
    print(f"seed {seed}: {dict(zip(names, kinds, strict=True))}")
    columns = {name: DIRT[kind](generator, two_kinds(seed)) for name, kind in zip("abd", kinds, strict=True)}
    frame = with_nan(framed(spark, **columns), "a", "b", "d").withColumnRenamed("b", "b.c")

    for name, estimator in ESTIMATORS.items():
        how = generator.choice([None, {}, {"scaling": "standard"}, {"skewed": names}, {"skewed": "yeo_johnson"}])
        print(name, how)
        message = ""
        try:
            if how is None:
                model = estimator.fit(frame, columns=names)
            else:
                model = estimator.fit(frame, preparation=Preparation(columns=names, **how).fit(frame))
        except CustomerSegmentationError as error:
            message = str(error)
        if message:
            assert any(f" {word}" in f" {message}" for word in (*names, "customers", "segments")), message
        else:
            assigned(model, frame)


@pytest.mark.slow
def test_categories_in_any_case_missing_and_odd_ones_are_each_one(spark: SparkSession, tmp_path: Path) -> None:
    cities = ["Bonn", "bonn", "", None, "NaN", "it's", "a\\b", "${x}", "a`b.c", "🍞"] * 4
    frame = spark.createDataFrame(
        list(zip(IDS, two_kinds(1).tolist(), cities, strict=True)), "customer_id string, a double, `home.city` string"
    )
    preparation = Preparation(columns=["a"], attributes=["home.city"], weights={"home.city": 0.1}).fit(frame)

    model = DBSCAN(1.0, 4).fit(frame, preparation=preparation)

    assert len({name.lower() for name in preparation.names}) == len(preparation.names) == 9
    for name in ("KMeans", "AgglomerativeClustering"):
        assert sizes(ESTIMATORS[name].fit(frame, preparation=preparation).assign(frame)) == [N // 2, N // 2]
    new = spark.createDataFrame(
        [("N1", 0.0, "Dessau"), ("N2", 0.0, None), ("N3", 0.0, ""), ("N4", 0.0, "NaN")], frame.schema
    )
    model.save(spark, str(tmp_path / "model"))
    for one in (model, load_model(spark, str(tmp_path / "model"))):
        rows = assigned(one, new)
        assert rows.segment_id.nunique() == 1
        assert rows.confidence["N2"] == rows.confidence["N3"] == rows.confidence["N4"]


@pytest.mark.parametrize("seed", range(4))
def test_a_covariance_without_extent_gets_some_and_others_stay_as_they_are(seed: int) -> None:
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    floors = 10.0 ** generator.uniform(-8, 8, 4)
    root = generator.normal(size=(4, 4))
    sound = (root @ root.T + np.eye(4)) * np.sqrt(floors[:, None] * floors)
    flat = 1e6 * np.sqrt(floors[:, None] * floors)  # all features one

    mended = positive_definite(np.stack([sound, flat]), floors)

    assert (mended[0] == sound).all()
    rounded = np.array([float(f"{x:.9g}") for x in mended[1].ravel()]).reshape(4, 4)
    np.linalg.cholesky(rounded)
    assert np.diag(mended[1]) == pytest.approx(np.diag(flat), rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_a_mixture_on_the_driver_is_found_where_covariances_are_singular(seed: int) -> None:
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(40, 1)) * 10.0 ** generator.integers(0, 14)
    core = Coreset(np.hstack([x, 2 * x, x + generator.integers(0, 2, (40, 1))]), np.ones(40), 40)

    with one_thread():
        (partition,) = gaussian_mixture(core, [3], 1, seed)

    assert np.isfinite(partition.scores(core.points)).all()


@pytest.mark.slow
def test_a_mixture_of_twins_and_one_extreme_customer_keeps_its_shape_or_says_what_to_do(spark: SparkSession) -> None:
    x = two_kinds(4)
    outlier = np.where(np.arange(N) == 3, 1e9, x)
    frame = framed(spark, a=outlier, twin=2 * x + 1, b=x)

    model = GaussianMixture(2, n_init=1).fit(frame, columns=["b", "twin"])

    assert np.linalg.eigvalsh(model.covariances_).min() > 0
    assigned(model, frame)
    with pytest.raises(DataRejectedError, match=r"lower clustering.k"):
        GaussianMixture(2, n_init=1).fit(frame, columns=["a", "b"])
