"""A score that is learnt from what customers did in the horizon before the date: gradient-boosted trees of MLlib."""

from collections.abc import Sequence

import pandas as pd
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.regression import GBTRegressor
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.estimator.layout import hashed_share, in_fixed_order
from customer_segmentation.contract import columns as c
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.garbage import collect_garbage_after
from customer_segmentation.spark.persistence import persisted

MIN_BUYERS = 50
"""Customers who bought in the horizon below which there is too little to learn from."""
MAX_CUSTOMERS = 200_000
"""Customers to learn from: one partition, in which sums are made in one order."""

_TREES, _DEPTH, _LEARNING_RATE, _LEAF = 30, 3, 0.15, 20
"""Shallow trees of large leaves: what they learn has to hold a horizon later."""
_MISSING = -1e12
"""Below all values, so that a tree can part the customers without a value from all others."""
_VECTOR, _TARGET = "_features", "_target"


def learned_spend(
    earlier: DataFrame, spend: DataFrame, now: DataFrame, *, columns: Sequence[str], seed: int
) -> pd.Series | str:
    """The spend of customers in the horizon after a date, as forecast by what followed on a date a horizon earlier.

    Trees are fitted to the square root of the spend, which ranks as well where spend is heavy-tailed as where it is
    not; their squares are scaled to the total that they were fitted to.

    Args:
        earlier: features of customers at the earlier date.
        spend: customer_id and net_spend of those who did something in the horizon after it.
        now: features of customers at the date.
        columns: the features to learn from, numbers; a missing value is a value of its own.
        seed: of the draw of customers to learn from, where there are many.

    Returns:
        The forecast, 0 or more, by customer_id; or why there is none.
    """
    joined = earlier.join(spend, on=c.CUSTOMER_ID, how="left").withColumn("spend", F.coalesce("net_spend", F.lit(0.0)))
    with persisted(_numbers(joined, columns, "spend")) as known:
        counts = known.agg(F.count(F.lit(1)), F.count_if(F.col("spend") > 0)).first()
        assert counts is not None, "an aggregation without grouping has one row"
        customers, buyers = counts
        if buyers < MIN_BUYERS:
            return f"only {buyers} customers bought in the horizon before, {MIN_BUYERS} are needed to learn from"
        share = min(1.0, MAX_CUSTOMERS / customers)
        drawn = hashed_share(known, share=share, seed=seed, by=[c.CUSTOMER_ID]) if share < 1 else known
        target = F.sqrt(F.greatest(F.col("spend"), F.lit(0.0))).alias(_TARGET)
        assembler = VectorAssembler(inputCols=list(columns), outputCol=_VECTOR)
        ordered = in_fixed_order(drawn, rows=1, by=[c.CUSTOMER_ID])
        trees = GBTRegressor(
            featuresCol=_VECTOR,
            labelCol=_TARGET,
            maxIter=_TREES,
            maxDepth=_DEPTH,
            stepSize=_LEARNING_RATE,
            minInstancesPerNode=_LEAF,
            seed=seed,
        )
        with (
            persisted(assembler.transform(ordered).select(c.CUSTOMER_ID, "spend", target, _VECTOR)) as training,
            collect_garbage_after(),
        ):
            model = trees.fit(training)
            squared = F.pow(F.greatest(F.col("prediction"), F.lit(0.0)), 2)
            fitted = model.transform(training).agg(F.sum("spend"), F.sum(squared)).first()
            forecast = model.transform(assembler.transform(_numbers(now, columns)))
            rows = forecast.select(c.CUSTOMER_ID, squared.alias("forecast")).toPandas()
            del model, forecast
    assert fitted is not None, "an aggregation without grouping has one row"
    scale = max(fitted[0], 0.0) / fitted[1] if fitted[1] else 0.0
    by_customer = rows.set_index(c.CUSTOMER_ID)["forecast"].sort_index()
    return pd.Series(rounded(by_customer.to_numpy() * scale), by_customer.index)


def _numbers(frame: DataFrame, columns: Sequence[str], *others: str) -> DataFrame:
    """The columns as doubles; what is missing, no number or infinite is `_MISSING`."""
    values = {name: f"CAST({sql.column(name)} AS DOUBLE)" for name in columns}
    return frame.selectExpr(
        c.CUSTOMER_ID,
        *others,
        *(f"IF(abs({value}) < 1e300D, {value}, {_MISSING}D) AS {sql.column(name)}" for name, value in values.items()),
    )
