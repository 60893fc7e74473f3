"""How useful a segmentation would have been: what its segments say of the spend of a time that has passed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.backtest.metrics import Order, Outcome
from customer_segmentation.backtest.outcomes import NET_SPEND
from customer_segmentation.clustering.estimator.layout import hashed_share
from customer_segmentation.clustering.selection.metrics import Partition
from customer_segmentation.contract import columns as c
from customer_segmentation.preparation import PreparationModel


@dataclass(frozen=True)
class Hindsight:
    """Customers as they were at an earlier date, and their net spend from then on.

    features: of the customers at the earlier date.
    spend: customer_id and net_spend of those who did something since.
    sample_size: about as many of the customers count at most, drawn by a hash of their ids.
    seed: of the draw.
    """

    features: DataFrame
    spend: DataFrame
    sample_size: int
    seed: int

    def __call__(self, preparation: PreparationModel, partitions: Sequence[Partition]) -> list[float]:
        """The Gini coefficient of each partition: of the mean past spend of the customers' segments, see `Outcome`.

        Args:
            preparation: that the partitions are made for.
            partitions: of the same. Runs two jobs for all of them.
        """
        share = min(1.0, self.sample_size / max(self.features.count(), 1))
        drawn = hashed_share(self.features, share=share, seed=self.seed, by=[c.CUSTOMER_ID])
        known = preparation.transform(drawn).join(self.spend.select(c.CUSTOMER_ID, NET_SPEND), c.CUSTOMER_ID, "left")
        past = F.col(c.MONETARY).cast("double").alias("_past")
        rows = known.select(c.CUSTOMER_ID, past, NET_SPEND, *preparation.outputs).toPandas().sort_values(c.CUSTOMER_ID)
        if rows.empty:  # nobody was a customer then
            return [math.nan] * len(partitions)
        points, spent = rows[preparation.outputs].to_numpy(dtype=np.float64), rows["_past"].to_numpy()
        outcome = Outcome(np.ones((1, len(rows))), rows[NET_SPEND].fillna(0.0).to_numpy(dtype=np.float64))
        return [_gini(outcome, partition.labels(points), spent) for partition in partitions]


def _gini(outcome: Outcome, labels: np.ndarray, spent: np.ndarray) -> float:
    means = np.bincount(labels, spent) / np.maximum(np.bincount(labels), 1)
    return float(outcome.ranking(Order(means[labels]))["gini"][0])
