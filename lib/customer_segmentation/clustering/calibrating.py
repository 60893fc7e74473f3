"""Calibrates the confidence of any model: in how many bootstraps of its customers would each be in its segment?

Each bootstrap is clustered by the algorithm of the model, into as many segments, and its segments are matched one to
one with those of the model so that as many customers as possible are in matching ones (Kuhn 1955). The share of the
bootstraps in which a customer is in the segment that matches its own is what the confidence estimates (Hennig 2007
does the same by segment); customers who were not drawn are assigned to what the others made.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.model.calibration import calibration_of
from customer_segmentation.clustering.registry import ALGORITHMS
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.stability import contingency
from customer_segmentation.clustering.threads import one_thread
from customer_segmentation.contract.errors import DataRejectedError

BOOTSTRAPS = 50
OUTLIER_SHARE = 0.01
SAMPLE_SIZE = 10_000
"""Customers that a fit is calibrated by."""
MAX_DRAWN = 4_000
"""Most customers of a bootstrap that an algorithm without weights is fitted to."""
N_INIT = 3

Model = TypeVar("Model", bound=SegmentationModel)


def calibrated(
    model: Model, coreset: Coreset, *, seed: int, bootstraps: int = BOOTSTRAPS, outlier_share: float = OUTLIER_SHARE
) -> Model:
    """The model with a calibration by these customers of its fit.

    The same model where its algorithm can't be fitted to a sample, or has put nobody into a segment.

    Args:
        coreset: in prepared units, without values that can't be measured.
        bootstraps: how many; 0: none, the model stays as it is.
        outlier_share: of the customers, 0 and below 1.
    """
    spec = ALGORITHMS[model.algorithm]
    drawn = spec.bootstraps or (drawn_by_weight if spec.fit_coreset else None)
    if drawn is None or not bootstraps or not model.k:
        return model
    segments, _, margins, distances = model.scorer(np.ascontiguousarray(coreset.points.T))
    with one_thread():
        shares = membership_shares(segments, drawn(coreset, model, bootstraps, seed), coreset.weights)
    is_in = segments >= 0
    if shares is None or not is_in.any():
        return model
    segments, margins, distances, shares, weights = (
        values[is_in] for values in (segments, margins, distances, shares, coreset.weights)
    )
    unseen = model.unseen_distances(segments, distances, coreset.rows)
    calibration = calibration_of(segments, margins, unseen, shares, weights, k=model.k, outlier_share=outlier_share)
    return replace(model, calibration=calibration)


def membership_shares(segments: np.ndarray, bootstraps: Iterable[np.ndarray], weights: np.ndarray) -> np.ndarray | None:
    """The share of the bootstraps that have each customer in its segment, 0 to 1; None where there are no bootstraps.

    Args:
        segments: (n,) positions, -1 for none: that is in no bootstrap the same.
        bootstraps: of each (n,) positions of its own segments, -1 for none.
        weights: (n,) how many customers each stands for.
    """
    agreeing, count = np.zeros(len(segments)), 0
    for labels in bootstraps:
        agreeing += matched(segments, labels, weights) == segments
        count += 1
    return np.where(segments < 0, 0.0, agreeing / count) if count else None


def matched(segments: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The labels in the numbers of the segments that match theirs one to one, -2 for those that match none.

    Args:
        segments, labels: (n,) positions in two segmentations, -1 for none.
        weights: (n,) what a matching one counts.
    """
    size = int(max(segments.max(), labels.max())) + 1
    inside = (segments >= 0) & (labels >= 0)
    overlap = contingency(segments[inside], labels[inside], weights[inside], size)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    number = np.full(size + 1, -2)  # the last one is that of -1
    number[columns] = np.where(overlap[rows, columns] > 0, rows, -2)
    positions: np.ndarray = number[labels]
    return positions


def drawn_by_weight(coreset: Coreset, model: SegmentationModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """Bootstraps by the algorithm's `fit_coreset`: as many customers are drawn as there are, as weights of the points.

    So the bootstraps differ as those of all customers would, however few the points.
    """
    generator = np.random.default_rng(seed)
    chances = coreset.weights / coreset.weights.sum()
    for b in range(count):
        weights = generator.multinomial(coreset.rows, chances)
        points, drawn = coreset.points[weights > 0], weights[weights > 0].astype(float)
        yield from _fitted(Coreset(points, drawn, coreset.rows), model, coreset.points, seed + b)


def drawn_by_customer(coreset: Coreset, model: SegmentationModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """Labels of bootstraps that are drawn customer by customer, at most `MAX_DRAWN`, for an algorithm without weights.

    Each has one start: of several the likeliest is often another local optimum, which says nothing of the customers.
    """
    generator = np.random.default_rng(seed)
    chances = coreset.weights / coreset.weights.sum()
    size = min(MAX_DRAWN, coreset.rows)
    for b in range(count):
        points = coreset.points[generator.choice(len(coreset.points), size, p=chances)]
        yield from _fitted(Coreset(points, np.ones(size), size), model, coreset.points, seed + b, n_init=1)


def _fitted(
    bootstrap: Coreset, model: SegmentationModel, points: np.ndarray, seed: int, *, n_init: int = N_INIT
) -> Iterator[np.ndarray]:
    """The labels of the points by a fit of the bootstrap; none where it can't be fitted."""
    fit = ALGORITHMS[model.algorithm].fit_coreset
    assert fit is not None, f"{model.algorithm} is fitted on coresets"
    k = min(model.k, len(np.unique(bootstrap.points, axis=0)))
    try:
        yield fit(bootstrap, [k], n_init, seed)[0].labels(points)
    except DataRejectedError:
        return
