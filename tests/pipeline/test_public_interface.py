"""The public interface, as a person writes it in a notebook."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

import customer_segmentation as cs
from tests.absent import absent
from tests.deployment.places import environment
from tests.generated import ROOT

CSV = ROOT.parent / "shared" / "data" / "online_retail" / "online_retail.csv.gz"


def segment_online_retail(spark: SparkSession, folder: Path) -> pd.DataFrame:
    """From order lines to profiles and charts in ten lines; what the lines give is checked on the way."""
    frame = spark.read.csv(str(CSV), header=True, quote='"', escape='"')

    lines = cs.order_lines(
        frame,
        customer_id="CustomerID",
        order_id="InvoiceNo",
        ordered_at="InvoiceDate",
        quantity="Quantity",
        unit_price="UnitPrice",
    )
    features = cs.customer_features(lines.accepted, as_of="2011-12-10").persist()
    scores = cs.rfm_scores(features)
    preparation = cs.Preparation(columns=["recency_days", "frequency", "monetary"], skewed="log").fit(features)
    table = cs.compare(
        features,
        [
            cs.KMeans(k=5),
            cs.BisectingKMeans(k=5),
            cs.GaussianMixture(k=5),
            cs.DBSCAN(),
            cs.AgglomerativeClustering(k=5),
        ],
        preparation=preparation,
    )
    model = cs.KMeans(k=5).fit(features, preparation=preparation)
    segments = model.assign(features)
    profile = cs.profile(segments)
    chart = cs.plots.profile(segments)
    model.save(spark, str(folder / "model"))
    loaded = cs.load_model(spark, str(folder / "model"))

    customers = features.count()
    assert lines.counts.lines == 541_909
    assert lines.counts.add_up
    assert scores.where("rfm_segment IS NULL").count() == 0
    assert list(table["segments"])[:3] == [5, 5, 5]
    assert table["silhouette"].between(-1, 1).all()
    assert {"segment_id", "confidence", "is_outlier", "drivers"} <= set(segments.columns)
    assert profile["customers"].sum() == customers
    assert len(profile) == 5
    assert chart.to_dict()["title"]["text"]
    differences = loaded.transform(features).select("customer_id", "segment_id", "confidence")
    assert differences.exceptAll(segments.select("customer_id", "segment_id", "confidence")).count() == 0
    features.unpersist()
    return profile


@pytest.fixture
def online_retail() -> None:
    if not CSV.exists():
        absent(f"needs {CSV}")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("online_retail")
def test_ten_lines_segment_a_shop(spark: SparkSession, tmp_path: Path) -> None:
    assert segment_online_retail(spark, tmp_path)["segment_id"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("online_retail")
def test_ten_lines_segment_a_shop_over_connect(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.test_public_interface", str(tmp_path / "connect")],
        env=environment(SPARK_REMOTE="local[2]"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr[-3_000:]


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(cs.__all__) == cs.__all__ or set(cs.__all__) <= set(dir(cs))
    for name in cs.__all__:
        assert getattr(cs, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        cs.no_such_name  # noqa: B018


def test_the_package_is_imported_without_spark() -> None:
    code = "import sys, customer_segmentation; sys.exit('pyspark' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


if __name__ == "__main__":
    from customer_segmentation.config.schema import Spark
    from customer_segmentation.spark.session import get_session

    segment_online_retail(get_session(Spark(driver_memory="3g", shuffle_partitions=4)), Path(sys.argv[1]))
