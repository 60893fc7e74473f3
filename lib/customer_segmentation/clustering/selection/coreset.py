"""A few thousand weighted customers that stand for all: what clusters them well clusters everyone well."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract.errors import DataRejectedError
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded

MARGIN = 3.0
"""Standard deviations by which the expected size stays below the size asked for: the draw is of random size."""


@dataclass(frozen=True)
class Coreset:
    """Weighted points.

    points: (m, d).
    weights: (m,), how many customers each stands for; they add up to `rows`.
    rows: customers.
    """

    points: np.ndarray
    weights: np.ndarray
    rows: int

    def unweighted(self, size: int, *, seed: int) -> np.ndarray:
        """At most `size` of the points without weights, drawn with equal chances of all customers."""
        generator = np.random.default_rng(seed)
        kept: np.ndarray = self.points[generator.uniform(size=len(self.points)) * self.weights.max() <= self.weights]
        return kept if len(kept) <= size else kept[np.sort(generator.choice(len(kept), size, replace=False))]


def coreset(points: DataFrame, columns: Sequence[str], *, size: int, seed: int, by: str) -> Coreset:
    """Draw a lightweight coreset (Bachem, Lucic, Krause 2018): half uniformly, half by squared distance to the mean.

    The draw depends on a hash of each customer's id, not on partitions or order: the same customers are drawn for a
    seed. Runs two jobs.

    Args:
        points: coordinates without nulls, and the id; read twice, so persisted by the caller.
        columns: the coordinates.
        size: the most points; all of them, with weight 1, where there are no more.
        by: column with the id.

    Raises:
        DataRejectedError: there are no rows.
    """
    values = [f"CAST({sql.column(name)} AS DOUBLE)" for name in columns]
    moments = points.agg(
        F.count(F.lit(1)).alias("rows"),
        *(F.avg(F.expr(value)).alias(f"mean_{i}") for i, value in enumerate(values)),
        *(F.var_pop(F.expr(value)).alias(f"variance_{i}") for i, value in enumerate(values)),
    ).first()
    assert moments is not None, "an aggregation without grouping has one row"
    rows = moments["rows"]
    if not rows:
        raise DataRejectedError("there are no customers to segment")
    means = rounded(np.array([moments[f"mean_{i}"] for i in range(len(values))]))
    spread = float(rounded(sum(moments[f"variance_{i}"] for i in range(len(values)))))
    chance = "1D"
    if rows > size:
        squared = sql.total(
            sql.squared_difference(value, sql.double(mean)) for value, mean in zip(values, means, strict=True)
        )
        relative = f"(0.5D + 0.5D * {squared} / {sql.double(spread)})" if spread > 0 else "1D"
        chance = f"least(1D, {sql.double((size - MARGIN * size**0.5) / rows)} * {relative})"
    uniform = f"(shiftrightunsigned(xxhash64({int(seed)}L, {sql.column(by)}), 11) / {sql.double(2.0**53)})"
    drawn = (
        points.selectExpr(f"{sql.column(by)} AS id", f"array({', '.join(values)}) AS point", f"{chance} AS chance")
        .withColumn("drawn", F.expr(uniform.replace(sql.column(by), "id")))
        .where("drawn < chance")
        .toPandas()
        .sort_values("id", ignore_index=True)
    )
    drawn = drawn.assign(order=drawn["drawn"] / drawn["chance"]).nsmallest(size, "order").sort_index()
    weights = 1.0 / drawn["chance"].to_numpy(dtype=float)
    matrix = np.array(drawn["point"].tolist(), dtype=float).reshape(-1, len(values))
    return Coreset(matrix, weights * (rows / weights.sum()), rows)
