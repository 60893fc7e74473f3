"""The spread of a number: its ends, its mean and its quantiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

PROBABILITIES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ACCURACY = 10_000
"""Of the quantiles: a value's place among all is right to one part in this many."""


@dataclass(frozen=True)
class Summary:
    """Spread of the known values of a number.

    minimum, maximum: exact, in the number's own type; None where no value is known.
    quantiles: by probability, as approximate as `ACCURACY` says; empty where no value is known.
    """

    known: int
    minimum: int | float | Decimal | None
    maximum: int | float | Decimal | None
    mean: float | None
    quantiles: Mapping[float, float]

    @property
    def median(self) -> float | None:
        """The middle value."""
        return self.quantiles.get(0.5)


def summary_aggregates(value: Column) -> dict[str, Column]:
    """Aggregates from which `summary_of` makes a summary."""
    return {
        "known": F.count(value),
        "minimum": F.min(value),
        "maximum": F.max(value),
        "mean": F.avg(value.cast("double")),
        "quantiles": F.percentile_approx(value.cast("double"), list(PROBABILITIES), ACCURACY),
    }


def summary_of(row: Mapping[str, Any]) -> Summary:
    """The summary in a row of `summary_aggregates`."""
    quantiles = dict(zip(PROBABILITIES, row["quantiles"] or (), strict=False))
    return Summary(row["known"], row["minimum"], row["maximum"], row["mean"], quantiles)


def summaries(frame: DataFrame, measures: Mapping[str, Column]) -> dict[str, Summary]:
    """The spread of each measure over the rows of a frame, by name. Runs one aggregation."""
    aggregates = [F.struct(*_named(summary_aggregates(value))).alias(name) for name, value in measures.items()]
    row = frame.agg(*aggregates).first()
    assert row is not None, "an aggregation without grouping has one row"
    return {name: summary_of(row[name].asDict()) for name in measures}


def _named(columns: Mapping[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in columns.items()]
