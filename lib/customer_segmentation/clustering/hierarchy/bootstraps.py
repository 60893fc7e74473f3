"""Ward's method on bootstraps of the customers, for the calibration of a hierarchy."""

from collections.abc import Iterator

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial import cKDTree

from customer_segmentation.clustering.hierarchy.ward import labels
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.coreset import Coreset

MAX_DRAWN = 2_000
"""Most customers of a bootstrap: the distances between all of them are in memory."""


def drawn_trees(coreset: Coreset, model: SegmentationModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """The segments of all points by cuts of the trees of bootstraps: that of the nearest customer who was drawn."""
    generator = np.random.default_rng(seed)
    chances = coreset.weights / coreset.weights.sum()
    size = min(MAX_DRAWN, coreset.rows)
    for _ in range(count):
        drawn = coreset.points[np.sort(generator.choice(len(coreset.points), size, p=chances))]
        k = min(model.k, len(np.unique(drawn, axis=0)))
        segments = labels(linkage(drawn, "ward"), k) if k > 1 else np.zeros(size, dtype=np.int64)
        yield segments[cKDTree(drawn).query(coreset.points)[1]]
