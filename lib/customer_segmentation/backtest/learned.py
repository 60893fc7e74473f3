"""A score that is learnt from what was done in the horizon before the date: a line, and trees on what it misses."""

from collections.abc import Sequence

import numpy as np
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
from customer_segmentation.spark.mllib import mllib_problem
from customer_segmentation.spark.persistence import persisted

LINE = (c.MONETARY, "spend_short", "spend_medium", "spend_long", c.FREQUENCY, c.RECENCY_DAYS, c.TENURE_DAYS)
"""What spend goes on with in a line, as square roots: how much, of late and before, how often, since when."""
MIN_BUYERS = 50
"""Customers who bought in the horizon below which there is too little to learn from."""
MAX_CUSTOMERS = 200_000
"""Customers to learn from: one partition, in which sums are made in one order."""

_TREES, _DEPTH, _LEARNING_RATE, _LEAF = 20, 3, 0.1, 50
"""Few, shallow trees of large leaves: what they learn has to hold a horizon later."""
_HELD_OUT = 3
"""One in so many customers is not shown to the trees."""
_MISSING = -1e12
"""Below all values, so that a tree can part the customers without a value from all others."""
_VECTOR, _LINE, _TREE, _SPEND, _HELD = "_features", "_line", "prediction", "_spend", "_held"


def learned_spend(
    earlier: DataFrame, spend: DataFrame, now: DataFrame, *, columns: Sequence[str], line: Sequence[str], seed: int
) -> pd.Series | str:
    """The spend of customers in the horizon after a date, as forecast by what followed on a date a horizon earlier.

    The square root of spend, which tames its heavy tail, is fitted by least squares to square roots of a few features,
    since trees can't follow a line to where few customers are; then MLlib's gradient-boosted trees are fitted to what
    the line misses. They count as much as they explain of customers who were held out, which may be nothing: MLlib
    does not shrink its first tree. Squares of the forecasts are scaled to the total that they were fitted to.

    Args:
        earlier: features of customers at the earlier date.
        spend: customer_id and net_spend of those who did something in the horizon after it.
        now: features of customers at the date.
        columns: the features that trees are fitted to, numbers; a missing value is a value of its own.
        line: those of them that the line is fitted to, 0 or more each; a missing or negative value is 0.
        seed: of the draw of customers to learn from, where there are many, and of those held out.

    Returns:
        The forecast, 0 or more, by customer_id; or why there is none.
    """
    problem = mllib_problem(earlier.sparkSession)
    if problem is not None:
        return f"its trees are MLlib's, which can't be used here ({problem})"
    joined = earlier.join(spend, on=c.CUSTOMER_ID, how="left").withColumn(_SPEND, F.coalesce("net_spend", F.lit(0.0)))
    numbers = _numbers(joined, columns, _SPEND)
    counts = numbers.agg(F.count(F.lit(1)), F.count_if(F.col(_SPEND) > 0)).first()
    assert counts is not None, "an aggregation without grouping has one row"
    customers, buyers = counts
    if buyers < MIN_BUYERS:
        return f"only {buyers} customers bought in the horizon before, {MIN_BUYERS} are needed to learn from"
    drawn = hashed_share(numbers, share=min(1.0, MAX_CUSTOMERS / customers), seed=seed, by=[c.CUSTOMER_ID])
    held = F.pmod(F.xxhash64(F.lit(seed + 1), c.CUSTOMER_ID), F.lit(_HELD_OUT)) == 0
    ordered = in_fixed_order(drawn.withColumn(_HELD, held), rows=1, by=[c.CUSTOMER_ID])
    assembler = VectorAssembler(inputCols=list(columns), outputCol=_VECTOR)
    trees = GBTRegressor(
        featuresCol=_VECTOR,
        labelCol="_target",
        predictionCol=_TREE,
        maxIter=_TREES,
        maxDepth=_DEPTH,
        stepSize=_LEARNING_RATE,
        minInstancesPerNode=_LEAF,
        seed=seed,
    )
    with persisted(ordered) as training, collect_garbage_after():
        line_sql = _fitted_line(training.select(c.CUSTOMER_ID, _SPEND, *line).toPandas(), line)
        target = f"sqrt(greatest({_SPEND}, 0D)) - {_LINE} AS _target"
        # Vectors are made after the rows are kept: not every platform keeps them.
        with persisted(training.selectExpr("*", f"{line_sql} AS {_LINE}").selectExpr("*", target)) as known:
            prepared = assembler.transform(known)
            model = trees.fit(prepared.where(~F.col(_HELD)))
            fitted = _by_id(model.transform(prepared).select(c.CUSTOMER_ID, _SPEND, _HELD, _LINE, "_target", _TREE))
        unseen = assembler.transform(_numbers(now, columns).selectExpr("*", f"{line_sql} AS {_LINE}"))
        forecast = _by_id(model.transform(unseen).select(c.CUSTOMER_ID, _LINE, _TREE))
        del model
    held_out = fitted[fitted[_HELD]]
    explained, squares = (held_out[_TREE] * held_out["_target"]).sum(), (held_out[_TREE] ** 2).sum()
    share = float(rounded(np.clip(explained / squares, 0.0, 1.0))) if squares > 0 else 0.0
    total = _squared(fitted, share).sum()
    scale = max(fitted[_SPEND].sum(), 0.0) / total if total > 0 else 0.0
    return pd.Series(rounded(_squared(forecast, share) * scale), forecast.index)


def _numbers(frame: DataFrame, columns: Sequence[str], *others: str) -> DataFrame:
    """The columns as doubles; what is missing, no number or infinite is `_MISSING`."""
    values = {name: f"CAST({sql.column(name)} AS DOUBLE)" for name in columns}
    return frame.selectExpr(
        c.CUSTOMER_ID,
        *others,
        *(f"IF(abs({value}) < 1e300D, {value}, {_MISSING}D) AS {sql.column(name)}" for name, value in values.items()),
    )


def _fitted_line(training: pd.DataFrame, line: Sequence[str]) -> str:
    """The square root of spend by square roots of features, least squares, as Spark SQL."""
    training = training.sort_values(c.CUSTOMER_ID)
    roots = np.sqrt(np.maximum(training[[*line]].to_numpy(dtype=np.float64), 0.0))
    design = np.column_stack([np.ones(len(roots)), roots])
    solution = np.linalg.lstsq(design, np.sqrt(np.maximum(training[_SPEND].to_numpy(), 0.0)), rcond=None)[0]
    constant, *slopes = rounded(solution).tolist()
    terms = (
        f"{sql.double(slope)} * sqrt(greatest({sql.column(name)}, 0D))"
        for slope, name in zip(slopes, line, strict=True)
    )
    return " + ".join([sql.double(constant), *terms])


def _by_id(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas().set_index(c.CUSTOMER_ID).sort_index()


def _squared(frame: pd.DataFrame, share: float) -> np.ndarray:
    return np.maximum(frame[_LINE].to_numpy() + share * frame[_TREE].to_numpy(), 0.0) ** 2
