"""Judges many partitions of the same customers at once, exactly, on all rows, in two passes.

The first pass finds each segment's count, sum and sum of squared norms, the second what needs the means: everything
else follows on the driver. A pass goes through batches of rows with matrix products, as fast for sixteen partitions as
plain expressions are for one, and brings home a row per task. Segments that no centre tells are told by a column, see
`judged_by`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded

ROWS_AT_ONCE = 4096
"""Rows of a matrix product: enough to be quick, few enough for their distances to stay in the processor's cache."""


@dataclass(frozen=True)
class Partition:
    """A way to put any point into one of k segments: the one with the lowest score.

    The score of segment c at x is |x A_c - b_c|^2 + offset_c. With the identity for A it is the squared distance to a
    centre b_c; a Gaussian mixture has the roots of its precision matrices, and in the offsets its log determinants
    and log weights.

    centers: (k, d), b.
    roots: (k, d, d), A; None for the identity.
    offsets: (k,); None for zeros.
    """

    centers: np.ndarray
    roots: np.ndarray | None = None
    offsets: np.ndarray | None = None

    @property
    def k(self) -> int:
        """Number of segments."""
        return len(self.centers)

    def scores(self, points: np.ndarray) -> np.ndarray:
        """(n, k) scores of points (n, d)."""
        return _scorer([self])(points)[0]

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The position of each point's segment; the first of several with the same score."""
        found: np.ndarray = self.scores(points).argmin(axis=1)
        return found


@dataclass(frozen=True)
class Indices:
    """How good a partition is. Segments without points are left out, and noise is none of its business.

    sizes: (k,) points per segment.
    means: (k, d) their means; the given centre where a segment is empty.
    cost: sum of squared distances to the centres; for a mixture minus twice the log likelihood, less
        d ln(2 pi) a point.
    inertia: sum of squared distances to the means.
    silhouette: mean silhouette over squared Euclidean distances, -1 to 1, higher is better (Rousseeuw 1987).
    calinski_harabasz: between by within variance, above 0, higher is better (Caliński & Harabasz 1974).
    davies_bouldin: mean likeness of each segment with the one most like it, 0 or more, lower is better (Davies &
        Bouldin 1979).
    radii: (k,) root mean square distance to the mean.

    The last three are nan where fewer than two segments have points, or no point is left to vary.
    """

    sizes: np.ndarray
    means: np.ndarray
    cost: float
    inertia: float
    silhouette: float
    calinski_harabasz: float
    davies_bouldin: float
    radii: np.ndarray

    @property
    def smallest_share(self) -> float:
        """Share of the smallest segment, 0 to 1."""
        return float(rounded(float(self.sizes.min() / self.sizes.sum())))


@dataclass(frozen=True)
class Sums:
    """What one pass finds of a partition: per segment the count, the sum and the sum of squared norms; the cost."""

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    cost: float

    def means(self, centers: np.ndarray) -> np.ndarray:
        """(k, d) means; the given centre where a segment is empty."""
        counts = self.counts[:, None]
        return np.where(counts > 0, self.sums / np.maximum(counts, 1), centers)


def judged(points: DataFrame, columns: Sequence[str], partitions: Sequence[Partition]) -> list[Indices]:
    """Judge each partition on all rows. Runs two jobs, whatever the number of partitions.

    Args:
        points: numeric columns without nulls; read twice, so held by the caller.
        columns: coordinates, in the order of the centres'.
        partitions: what to judge.

    Returns:
        The indices of each, to nine significant digits.
    """
    sums = summed(points, columns, partitions)
    means = [one.means(partition.centers) for one, partition in zip(sums, partitions, strict=True)]
    looks = _passed(points, columns, partitions, _look(_decided(partitions, means), sums, means))
    return [_indices(*told) for told in zip(sums, means, looks, strict=True)]


def judged_by(points: DataFrame, columns: Sequence[str], group: str, segments: Sequence[np.ndarray]) -> list[Indices]:
    """Judge segmentations that a column tells, on all rows. Runs two jobs, whatever their number.

    Args:
        points: numeric columns without nulls; read twice, so held by the caller.
        columns: coordinates.
        group: column with whole numbers from 0.
        segments: of each segmentation, by group the position of the segment; each position has a group.

    Returns:
        The indices of each, to nine significant digits. The cost is to the means.
    """
    values = [F.col(sql.column(name)).cast("double") for name in columns]
    row = F.col(sql.column(group)).cast("int").alias("group")
    by_group = points.select(row, *(value.alias(f"x{j}") for j, value in enumerate(values))).groupBy("group")
    sums = [F.sum(f"x{j}").alias(f"x{j}") for j in range(len(values))]
    squared = F.expr(sql.total(f"x{j} * x{j}" for j in range(len(values))))
    told = by_group.agg(F.count(F.lit(1)).alias("n"), *sums, F.sum(squared).alias("q")).toPandas()
    if told.empty:
        raise ValueError("no points to judge a partition by")
    flat = told.drop(columns="group").to_numpy(dtype=float)
    found = []
    for segment in segments:
        whole = np.zeros((int(segment.max()) + 1, flat.shape[1]))
        np.add.at(whole, segment[told["group"]], flat)
        found.append(Sums(whole[:, 0], whole[:, 1:-1], whole[:, -1], float("nan")))
    means = [one.means(np.zeros_like(one.sums)) for one in found]
    looks = _passed(points, [*columns, group], segments, _look(_told(segments), found, means))
    judged = [_indices(*one) for one in zip(found, means, looks, strict=True)]
    return [replace(one, cost=one.inertia) for one in judged]


def judged_in_memory(points: np.ndarray, weights: np.ndarray, partitions: Sequence[Partition]) -> list[Indices]:
    """The same for points (n, d) with weights (n,) on the driver."""
    sums = [Sums(*_split(found, p)) for found, p in zip(_sum(partitions)(points, weights), partitions, strict=True)]
    means = [one.means(partition.centers) for one, partition in zip(sums, partitions, strict=True)]
    looks = _look(_decided(partitions, means), sums, means)(points, weights)
    return [_indices(*told) for told in zip(sums, means, looks, strict=True)]


def summed(points: DataFrame, columns: Sequence[str], partitions: Sequence[Partition]) -> list[Sums]:
    """The first pass alone: one job. A k-means step is its means."""
    found = _passed(points, columns, partitions, _sum(partitions))
    return [Sums(*_split(flat, partition)) for flat, partition in zip(found, partitions, strict=True)]


def _split(flat: np.ndarray, partition: Partition) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    k, d = partition.centers.shape
    return flat[:k], flat[k : k + k * d].reshape(k, d), flat[k + k * d : -1], float(flat[-1])


def _indices(sums: Sums, means: np.ndarray, look: np.ndarray) -> Indices:
    filled = sums.counts > 0
    n, k = sums.counts.sum(), int(filled.sum())
    within = np.maximum(sums.squares - sums.counts * (means**2).sum(axis=1), 0.0)
    inertia = float(within.sum())
    silhouette = ratio = likeness = float("nan")
    if 1 < k < n:
        silhouette = float(look[-1] / n)
        overall = sums.sums.sum(axis=0) / n
        between = float((sums.counts * ((means - overall) ** 2).sum(axis=1)).sum())
        ratio = between / inertia * (n - k) / (k - 1) if inertia > 0 else float("nan")
        likeness = _davies_bouldin(look[:-1][filled] / sums.counts[filled], means[filled])
    return Indices(
        sizes=sums.counts,
        means=rounded(means),
        cost=float(rounded(sums.cost)),
        inertia=float(rounded(inertia)),
        silhouette=float(rounded(silhouette)),
        calinski_harabasz=float(rounded(ratio)),
        davies_bouldin=float(rounded(likeness)),
        radii=rounded(np.sqrt(within / np.maximum(sums.counts, 1))),
    )


def _davies_bouldin(spreads: np.ndarray, means: np.ndarray) -> float:
    apart = np.sqrt(((means[:, None] - means[None]) ** 2).sum(axis=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        likeness = (spreads[:, None] + spreads[None]) / apart
    np.fill_diagonal(likeness, 0.0)
    worst = likeness.max(axis=1)
    return float(worst.mean()) if np.isfinite(worst).all() else float("nan")


Pass = Callable[[np.ndarray, np.ndarray | None], list[np.ndarray]]
"""Adds up what a pass wants of points (n, d) with weights (n,): a flat array per partition."""


Labels = Callable[[np.ndarray, Sequence[np.ndarray]], list[np.ndarray]]
"""Tells of rows, and of their squared distances to each partition's means, the position of the segment in each."""


def _passed(points: DataFrame, columns: Sequence[str], partitions: Sequence[object], work: Pass) -> list[np.ndarray]:
    """Run the work over every batch of rows and add up what it gives, in an order that does not matter."""
    names = list(columns)

    def batches(found: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total: list[np.ndarray] | None = None
        for batch in found:
            rows = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names])
            here = work(rows, None)
            total = here if total is None else [one + other for one, other in zip(total, here, strict=True)]
        if total is not None:
            told = [pa.array(range(len(total)), pa.int64()), pa.array([one.tolist() for one in total])]
            yield pa.RecordBatch.from_arrays(told, ["partition", "sums"])

    wanted = points.select(*(F.col(sql.column(name)).cast("double").alias(name) for name in names))
    told = wanted.mapInArrow(batches, "partition bigint, sums array<double>").collect()
    if not told:
        raise ValueError("no points to judge a partition by")
    return [np.sum([row["sums"] for row in told if row["partition"] == i], axis=0) for i in range(len(partitions))]


# What follows runs in the workers. Each function is made inside another, so that it travels as a value and the
# workers need NumPy and Arrow only.


def _scorer(partitions: Sequence[Partition]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Scores of points for each partition, all centres in one matrix product."""
    plain = [i for i, one in enumerate(partitions) if one.roots is None]
    shaped = [(i, one.centers, one.roots, one.offsets) for i, one in enumerate(partitions) if one.roots is not None]
    edges = np.cumsum([0, *(partitions[i].k for i in plain)])
    centers = np.concatenate([partitions[i].centers for i in plain]) if plain else np.zeros((0, 1))
    turned = np.ascontiguousarray(-2.0 * centers.T)
    norms = (centers**2).sum(axis=1)

    def scores(points: np.ndarray) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        if plain:
            own = np.einsum("ij,ij->i", points, points)[:, None]
            every = points @ turned
            every += norms
            every += own
            np.maximum(every, 0.0, out=every)
            for position, i in enumerate(plain):
                found[i] = every[:, edges[position] : edges[position + 1]]
        for i, middles, roots, offsets in shaped:
            parts = [((points @ root - middle) ** 2).sum(axis=1) for root, middle in zip(roots, middles, strict=True)]
            found[i] = np.stack(parts, axis=1) + (0.0 if offsets is None else offsets)
        return [found[i] for i in range(len(found))]

    return scores


def _sum(partitions: Sequence[Partition]) -> Pass:
    """Counts, sums and squared norms by segment, and the cost: flat, in that order."""
    scores, ks, step = _scorer(partitions), [one.k for one in partitions], ROWS_AT_ONCE
    mixed = [one.roots is not None for one in partitions]

    def work(points: np.ndarray, weights: np.ndarray | None) -> list[np.ndarray]:
        d = points.shape[1]
        totals = [np.zeros(k * (d + 2) + 1) for k in ks]
        for start in range(0, len(points), step):
            some = points[start : start + step]
            heavy = np.ones(len(some)) if weights is None else weights[start : start + step]
            told = np.column_stack([heavy, some * heavy[:, None], np.einsum("ij,ij->i", some, some) * heavy])
            for total, k, mixture, score in zip(totals, ks, mixed, scores(some), strict=True):
                labels = score.argmin(axis=1)
                lowest = score[np.arange(len(some)), labels]
                member = np.zeros((len(some), k))
                member[np.arange(len(some)), labels] = 1.0
                sums = member.T @ told
                total[:k] += sums[:, 0]
                total[k : k + k * d] += sums[:, 1:-1].ravel()
                total[k + k * d : -1] += sums[:, -1]
                if mixture:
                    lowest = lowest - 2 * np.log(np.exp((lowest[:, None] - score) / 2).sum(axis=1))
                total[-1] += (lowest * heavy).sum()
        return totals

    return work


def _decided(partitions: Sequence[Partition], means: Sequence[np.ndarray]) -> Labels:
    """Labels by the partitions' scores; where the centres are the means, the distances to these are the scores."""
    scores = _scorer(partitions)
    same = [
        one.roots is None and np.array_equal(one.centers, mean) for one, mean in zip(partitions, means, strict=True)
    ]

    def labels(rows: np.ndarray, from_means: Sequence[np.ndarray]) -> list[np.ndarray]:
        told = zip(same, from_means, scores(rows), strict=True)
        return [(squared if is_mean else score).argmin(axis=1) for is_mean, squared, score in told]

    return labels


def _told(segments: Sequence[np.ndarray]) -> Labels:
    """Labels by a group in the last column of the rows."""

    def labels(rows: np.ndarray, from_means: Sequence[np.ndarray]) -> list[np.ndarray]:
        group = rows[:, -1].astype(np.int64)
        return [segment[group] for segment in segments]

    return labels


def _look(decide: Labels, sums: Sequence[Sums], means: Sequence[np.ndarray]) -> Pass:
    """Summed distances to the mean by segment, then the summed silhouettes: flat, in that order."""
    # A point's mean squared distance to a segment's points is its squared distance to their mean and their variance.
    step, d = ROWS_AT_ONCE, means[0].shape[1]
    from_means = _scorer([Partition(one) for one in means])
    counts = [one.counts for one in sums]
    variances = [
        np.where(
            one.counts > 0,
            np.maximum(one.squares / np.maximum(one.counts, 1) - (mean**2).sum(axis=1), 0.0),
            np.inf,
        )
        for one, mean in zip(sums, means, strict=True)
    ]

    def work(points: np.ndarray, weights: np.ndarray | None) -> list[np.ndarray]:
        totals = [np.zeros(len(one) + 1) for one in counts]
        for start in range(0, len(points), step):
            some = points[start : start + step]
            heavy = np.ones(len(some)) if weights is None else weights[start : start + step]
            rows = np.arange(len(some))
            away = from_means(some[:, :d])
            for i, (labels, squared) in enumerate(zip(decide(some, away), away, strict=True)):
                total, size = totals[i], counts[i][labels]
                total[:-1] += np.bincount(labels, np.sqrt(squared[rows, labels]) * heavy, minlength=len(counts[i]))
                mean_squared = squared + variances[i]
                own = mean_squared[rows, labels] * size / np.maximum(size - 1.0, 1.0)
                mean_squared[rows, labels] = np.inf
                other = mean_squared.min(axis=1)
                larger = np.maximum(own, other)
                defined = (larger > 0) & (size > 1) & np.isfinite(other)
                silhouette = np.divide(other - own, larger, out=np.zeros(len(some)), where=defined)
                total[-1] += (silhouette * heavy).sum()
        return totals

    return work
