"""The examples in docstrings run, in the suite's session."""

import doctest
from importlib import import_module

import pytest
from pyspark.sql import SparkSession

MODULES = ("customer_segmentation.ingest.order_lines",)
"""Modules with examples; the session is `spark` in them."""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(spark: SparkSession, name: str) -> None:
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

    outcome = doctest.testmod(import_module(name), extraglobs={"spark": spark}, optionflags=options)

    assert outcome.attempted > 0
    assert outcome.failed == 0
