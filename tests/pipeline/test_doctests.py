"""The examples in docstrings run, in the suite's session, and give what they show."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import customer_segmentation

LIBRARY = Path(customer_segmentation.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in LIBRARY.rglob("*.py")
    if ">>>" in file.read_text(encoding="utf-8")
)
"""Modules with examples; the session is `spark` in them."""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(spark: SparkSession, name: str) -> None:
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

    outcome = doctest.testmod(import_module(name), extraglobs={"spark": spark}, optionflags=options)

    assert outcome.attempted > 0
    assert outcome.failed == 0
