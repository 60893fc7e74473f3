"""The examples in the docstrings of estimators, models and preparations run, and give what they show."""

import doctest
from importlib import import_module

import pytest
from pyspark.sql import SparkSession

MODULES = [
    "clustering.dbscan.estimator",
    "clustering.gaussian_mixture.estimator",
    "clustering.hierarchy.estimator",
    "clustering.kmeans.bisecting",
    "clustering.kmeans.estimator",
    "clustering.model.base",
    "clustering.model.loading",
    "clustering.selection.comparison",
    "preparation.model",
    "preparation.preparation",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_and_give_what_they_show(spark: SparkSession, name: str) -> None:
    results = doctest.testmod(import_module(f"customer_segmentation.{name}"), extraglobs={"spark": spark})

    assert results.attempted > 0
    assert results.failed == 0
