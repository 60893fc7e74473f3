"""Which segments of a new model are those of the one before: by the customers that both put together today.

Customers who came after the earlier model's training are left out: growth dissolves no segment, and a group of
newcomers is no part of the segment that had been nearest to it.

Two segments are matched where their Jaccard index, customers in both by customers in either, is at least
`MIN_JACCARD`, and the matching as a whole has the highest sum of them: the assignment problem (Kuhn 1955). A
segment that shares less with every other is dissolved (Hennig 2008). Of equal matchings the one with the nearer centres
counts, so that of two halves of a segment the nearer one goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.stability import jaccard
from customer_segmentation.contract.columns import AS_OF_DATE, IS_OUTLIER, NOISE_ID, SEGMENT_ID, TENURE_DAYS

MIN_JACCARD = 0.5
_TIE = 1e-9
"""What the distance of the furthest centres takes off a Jaccard index: less than any difference of two of them."""


@dataclass(frozen=True)
class Overlap:
    """Customers by their segments in two models.

    previous_ids, ids: the segments of the earlier and of the later model.
    counts: customers whom both know, (previous + 1, later + 1); the last row and column are those in no segment.
    newcomers: (later + 1) the others: the earlier model has them in the nearest segment for want of their own.
    distances: of the centres, (previous, later); None where they can't be compared.
    """

    previous_ids: tuple[int, ...]
    ids: tuple[int, ...]
    counts: np.ndarray
    newcomers: np.ndarray
    distances: np.ndarray | None = None


def overlap(previous: SegmentationModel, model: SegmentationModel, features: DataFrame) -> Overlap:
    """The overlap of two models on today's customers, whom both assign. Runs one job.

    Newcomers are those whose first purchase is not before the earlier model's training. Where the model or the frame
    does not say when that was, they are those whom the earlier model finds unusual (`is_outlier`).

    Args:
        features: in original units, with the columns of both; `as_of_date` and `tenure_days` tell newcomers.
    """
    newcomer = F.col(IS_OUTLIER)
    if previous.trained_as_of > date.min and {AS_OF_DATE, TENURE_DAYS} <= set(features.columns):
        newcomer = F.col(TENURE_DAYS) <= F.date_diff(AS_OF_DATE, F.lit(previous.trained_as_of))
    by_previous = previous.assign(features).withColumns({"_previous": F.col(SEGMENT_ID), "_newcomer": newcomer})
    both = model.assign(by_previous).groupBy("_previous", "_newcomer", SEGMENT_ID).agg(F.count(F.lit(1)))
    counts, newcomers = np.zeros((previous.k + 1, model.k + 1)), np.zeros(model.k + 1)
    rows, columns = ([*ids, NOISE_ID] for ids in (previous.segment_ids, model.segment_ids))
    for earlier, is_new, later, customers in both.collect():
        counted = newcomers if is_new else counts[rows.index(earlier)]
        counted[columns.index(later)] += customers
    distances = None
    if previous.preparation.names == model.preparation.names:
        away = previous.centers_in(model.preparation)[:, None] - model.segment_centers[None]
        distances = np.sqrt((away**2).sum(axis=2))
    return Overlap(previous.segment_ids, model.segment_ids, counts, newcomers, distances)


def matches(shared: Overlap) -> dict[int, int]:
    """The earlier segment that each later one is, by its id; without those that are none of them."""
    indices = jaccard(shared.counts)[:-1, :-1]
    far = np.zeros_like(indices) if shared.distances is None else shared.distances
    gain = indices - _TIE * far / max(float(far.max(initial=0.0)), 1e-300)
    # A pair that is no match gains nothing, so that it takes nothing from one that is.
    pairs = zip(*linear_sum_assignment(np.where(indices >= MIN_JACCARD, gain, 0.0), maximize=True), strict=True)
    return {shared.ids[j]: shared.previous_ids[i] for i, j in pairs if indices[i, j] >= MIN_JACCARD}


def kept_ids(ids: Sequence[int], matched: dict[int, int], *, highest: int) -> tuple[int, ...]:
    """The segments' ids: a matched one keeps that of the segment before, a new one gets the next above the highest.

    Args:
        ids: of the segments by value, from 1.
        matched: from `matches`.
        highest: the highest id that was ever used.
    """
    new = [segment for segment in sorted(ids) if segment not in matched]
    numbers = matched | {segment: highest + position for position, segment in enumerate(new, 1)}
    return tuple(numbers[segment] for segment in ids)
