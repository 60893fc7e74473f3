"""K-means by Spark RAPIDS ML. It needs graphics processors, so that here a package with its interface stands for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from customer_segmentation.clustering import KMeans
from customer_segmentation.clustering.kmeans.rapids import PACKAGE, rapids_problem
from tests.clustering.test_clustering import as_frame, blobs

COLUMNS = ["x0", "x1", "x2"]
INTERFACE = """
import numpy as np
from pyspark.ml.clustering import KMeans as OfSpark

asked = []


class KMeans:
    def __init__(self, *, k, maxIter, seed, featuresCol, float32_inputs):
        asked.append({"k": k, "maxIter": maxIter, "seed": seed, "float32_inputs": float32_inputs})
        self.fitting = OfSpark(k=k, maxIter=maxIter, seed=seed, featuresCol=featuresCol)

    def fit(self, frame):
        return Model(self.fitting.fit(frame).clusterCenters())


class Model:
    def __init__(self, centers):
        self.cluster_centers_ = [list(center) for center in reversed(centers)]

    def clusterCenters(self):
        return [np.array(center) for center in self.cluster_centers_]

    @property
    def summary(self):
        raise RuntimeError("no training summary")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The package's name, findable but not imported yet."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "clustering.py").write_text(INTERFACE)
    monkeypatch.syspath_prepend(tmp_path)
    yield PACKAGE
    for module in (PACKAGE, f"{PACKAGE}.clustering"):
        sys.modules.pop(module, None)


@pytest.mark.slow
@pytest.mark.classic("Spark RAPIDS ML needs a classic session")
def test_where_it_is_installed_it_fits_what_the_configuration_asks_for(spark: SparkSession, package: str) -> None:
    points, _ = blobs(3)
    frame = as_frame(spark, points)
    ours = KMeans(k=4, n_init=2, bootstraps=0).fit(frame, columns=COLUMNS)
    assert package not in sys.modules, "it must not be imported where nobody asked for it"

    theirs = KMeans(k=4, n_init=2, seed=2**31 + 42, bootstraps=0, gpu=True).fit(frame, columns=COLUMNS)

    asked = sys.modules[f"{package}.clustering"].asked
    assert [each["seed"] for each in asked] == [42, 43]
    assert all(each | {"seed": 0} == {"k": 4, "maxIter": 50, "seed": 0, "float32_inputs": False} for each in asked)
    np.testing.assert_allclose(theirs.centers_, ours.centers_, rtol=1e-9)
    assert theirs.cost_ == pytest.approx(ours.cost_, rel=1e-9)


@pytest.mark.slow
def test_where_it_is_not_installed_nothing_changes(spark: SparkSession) -> None:
    points, _ = blobs(4)
    frame = as_frame(spark, points)

    ours, asked = (KMeans(k=4, n_init=1, bootstraps=0, gpu=gpu).fit(frame, columns=COLUMNS) for gpu in (False, True))

    assert rapids_problem(spark) == f"{PACKAGE} is not installed"
    assert ours.to_json() == asked.to_json()
