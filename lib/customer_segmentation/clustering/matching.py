"""Which segments of a new model are those of the one before: by the customers that both put together today.

Two segments are matched where their Jaccard index, customers in both by customers in either, is at least
`MIN_JACCARD`, and the matching as a whole has the highest sum of them: the assignment problem (Kuhn 1955). A
segment that shares less with every other is dissolved (Hennig 2008). Of equal matchings the one with the nearer centres
counts, so that of two halves of a segment the nearer one goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection.stability import jaccard
from customer_segmentation.contract.columns import IS_OUTLIER, NOISE_ID, SEGMENT_ID

MIN_JACCARD = 0.5
_TIE = 1e-9
"""What the distance of the furthest centres takes off a Jaccard index: less than any difference of two of them."""


@dataclass(frozen=True)
class Overlap:
    """Customers by their segments in two models.

    previous_ids, ids: the segments of the earlier and of the later model.
    counts: customers, (previous + 1, later + 1). The last column are those in no segment; the last row too, with
        those whom the earlier model finds unusual (`is_outlier`): the nearest segment has them for want of their own.
    distances: of the centres, (previous, later); None where they can't be compared.
    """

    previous_ids: tuple[int, ...]
    ids: tuple[int, ...]
    counts: np.ndarray
    distances: np.ndarray | None = None


def overlap(previous: SegmentationModel, model: SegmentationModel, features: DataFrame) -> Overlap:
    """The overlap of two models on today's customers, whom both assign. Runs one job.

    Args:
        features: in original units, with the columns of both.
    """
    before = F.when(F.col(IS_OUTLIER), F.lit(NOISE_ID)).otherwise(F.col(SEGMENT_ID))
    by_previous = previous.assign(features).withColumn("_previous", before)
    both = model.assign(by_previous).groupBy("_previous", SEGMENT_ID).agg(F.count(F.lit(1)))
    counts = np.zeros((previous.k + 1, model.k + 1))
    rows, columns = ([*ids, NOISE_ID] for ids in (previous.segment_ids, model.segment_ids))
    for earlier, later, customers in both.collect():
        counts[rows.index(earlier), columns.index(later)] = customers
    distances = None
    if previous.preparation.names == model.preparation.names:
        away = previous.centers_in(model.preparation)[:, None] - model.segment_centers[None]
        distances = np.sqrt((away**2).sum(axis=2))
    return Overlap(previous.segment_ids, model.segment_ids, counts, distances)


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
