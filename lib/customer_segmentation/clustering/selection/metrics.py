"""Evaluates many partitions of the same customers at once, exactly, on all rows, in two passes.

The first pass takes each segment's count, sum and sum of squared norms, the second what needs the means: everything
else follows on the driver. A pass goes through batches of rows with matrix products, as fast for sixteen partitions as
plain expressions are for one, and returns a row per task. Segments that no score defines are given by a column, see
`evaluate_groups`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded

NO_POINTS = "no points to evaluate a partition by"
BATCH_ROWS = 4096
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
        positions: np.ndarray = self.scores(points).argmin(axis=1)
        return positions


@dataclass(frozen=True)
class ClusterMetrics:
    """How good a partition of points is. Segments without points are left out, as noise is.

    sizes: (k,) points per segment.
    means: (k, d) their means; the given centre where a segment is empty.
    cost: sum of squared distances to the centres; for a mixture minus twice the log likelihood, less
        d ln(2 pi) a point.
    inertia: sum of squared distances to the means.
    silhouette: mean silhouette over squared Euclidean distances, -1 to 1, higher is better (Rousseeuw 1987).
    calinski_harabasz: between by within variance, above 0, higher is better (Caliński & Harabasz 1974).
    davies_bouldin: mean similarity of each segment with the most similar one, 0 or more, lower is better (Davies &
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
    """The sums of one pass: per segment the count, the sum and the sum of squared norms of its points; the cost."""

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    cost: float

    def means(self, centers: np.ndarray) -> np.ndarray:
        """(k, d) means; the given centre where a segment is empty."""
        counts = self.counts[:, None]
        return np.where(counts > 0, self.sums / np.maximum(counts, 1), centers)


def evaluate(points: DataFrame, columns: Sequence[str], partitions: Sequence[Partition]) -> list[ClusterMetrics]:
    """Evaluate each partition on all rows. Runs two jobs, whatever the number of partitions.

    Args:
        points: numeric columns without nulls; read twice, so persisted by the caller.
        columns: coordinates, in the order of the centres'.
        partitions: what to evaluate.

    Returns:
        The metrics of each, to nine significant digits.
    """
    sums = summed(points, columns, partitions)
    means = [own.means(partition.centers) for own, partition in zip(sums, partitions, strict=True)]
    second = _run(points, columns, partitions, _silhouette_pass(_labels_by_score(partitions, means), sums, means))
    return [_metrics(*values) for values in zip(sums, means, second, strict=True)]


def evaluate_groups(
    points: DataFrame, columns: Sequence[str], group: str, segments: Sequence[np.ndarray]
) -> list[ClusterMetrics]:
    """Evaluate segmentations that a column defines, on all rows. Runs two jobs, whatever their number.

    Args:
        points: numeric columns without nulls; read twice, so persisted by the caller.
        columns: coordinates.
        group: column with whole numbers from 0.
        segments: of each segmentation, by group the position of the segment; each position has a group.

    Returns:
        The metrics of each, to nine significant digits. The cost is to the means.
    """
    values = [F.col(sql.column(name)).cast("double") for name in columns]
    row = F.col(sql.column(group)).cast("int").alias("group")
    by_group = points.select(row, *(value.alias(f"x{j}") for j, value in enumerate(values))).groupBy("group")
    sums = [F.sum(f"x{j}").alias(f"x{j}") for j in range(len(values))]
    squared = F.expr(sql.total(f"x{j} * x{j}" for j in range(len(values))))
    by_segment = by_group.agg(F.count(F.lit(1)).alias("n"), *sums, F.sum(squared).alias("q")).toPandas()
    if by_segment.empty:
        raise ValueError(NO_POINTS)
    flat = by_segment.drop(columns="group").to_numpy(dtype=float)
    first = []
    for segment in segments:
        total = np.zeros((int(segment.max()) + 1, flat.shape[1]))
        np.add.at(total, segment[by_segment["group"]], flat)
        first.append(Sums(total[:, 0], total[:, 1:-1], total[:, -1], float("nan")))
    means = [own.means(np.zeros_like(own.sums)) for own in first]
    second = _run(points, [*columns, group], segments, _silhouette_pass(_labels_by_group(segments), first, means))
    metrics = [_metrics(*values) for values in zip(first, means, second, strict=True)]
    return [replace(values, cost=values.inertia) for values in metrics]


def evaluate_in_memory(
    points: np.ndarray, weights: np.ndarray, partitions: Sequence[Partition]
) -> list[ClusterMetrics]:
    """Evaluate each partition of points (n, d) with weights (n,) on the driver."""
    first = zip(sums_pass(partitions)(points, weights), partitions, strict=True)
    sums = [Sums(*_split(flat, partition)) for flat, partition in first]
    means = [own.means(partition.centers) for own, partition in zip(sums, partitions, strict=True)]
    second = _silhouette_pass(_labels_by_score(partitions, means), sums, means)(points, weights)
    return [_metrics(*values) for values in zip(sums, means, second, strict=True)]


def summed(points: DataFrame, columns: Sequence[str], partitions: Sequence[Partition]) -> list[Sums]:
    """The first pass alone: one job. A k-means step is its means."""
    first = zip(_run(points, columns, partitions, sums_pass(partitions)), partitions, strict=True)
    return [Sums(*_split(flat, partition)) for flat, partition in first]


def _split(flat: np.ndarray, partition: Partition) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    k, d = partition.centers.shape
    return flat[:k], flat[k : k + k * d].reshape(k, d), flat[k + k * d : -1], float(flat[-1])


def _metrics(sums: Sums, means: np.ndarray, second: np.ndarray) -> ClusterMetrics:
    filled = sums.counts > 0
    n, k = sums.counts.sum(), int(filled.sum())
    within = np.maximum(sums.squares - sums.counts * (means**2).sum(axis=1), 0.0)
    inertia = float(within.sum())
    silhouette = ratio = similarity = float("nan")
    if 1 < k < n:
        silhouette = float(second[-1] / n)
        overall = sums.sums.sum(axis=0) / n
        between = float((sums.counts * ((means - overall) ** 2).sum(axis=1)).sum())
        ratio = between / inertia * (n - k) / (k - 1) if inertia > 0 else float("nan")
        similarity = _davies_bouldin(second[:-1][filled] / sums.counts[filled], means[filled])
    return ClusterMetrics(
        sizes=sums.counts,
        means=rounded(means),
        cost=float(rounded(sums.cost)),
        inertia=float(rounded(inertia)),
        silhouette=float(rounded(silhouette)),
        calinski_harabasz=float(rounded(ratio)),
        davies_bouldin=float(rounded(similarity)),
        radii=rounded(np.sqrt(within / np.maximum(sums.counts, 1))),
    )


def _davies_bouldin(spreads: np.ndarray, means: np.ndarray) -> float:
    apart = np.sqrt(((means[:, None] - means[None]) ** 2).sum(axis=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        similarity = (spreads[:, None] + spreads[None]) / apart
    np.fill_diagonal(similarity, 0.0)
    worst = similarity.max(axis=1)
    return float(worst.mean()) if np.isfinite(worst).all() else float("nan")


Pass = Callable[[np.ndarray, np.ndarray | None], list[np.ndarray]]
"""Sums over points (n, d) with weights (n,): a flat array per partition."""


Labels = Callable[[np.ndarray, Sequence[np.ndarray]], list[np.ndarray]]
"""From rows, and their squared distances to each partition's means, the position of the segment in each."""


def _run(points: DataFrame, columns: Sequence[str], partitions: Sequence[object], work: Pass) -> list[np.ndarray]:
    """Run a pass over every batch of rows and add up its sums, in an order that does not matter."""
    names = list(columns)

    def summed_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total: list[np.ndarray] | None = None
        for batch in batches:
            rows = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names])
            sums = work(rows, None)
            total = sums if total is None else [left + right for left, right in zip(total, sums, strict=True)]
        if total is not None:
            values = [pa.array(range(len(total)), pa.int64()), pa.array([sums.tolist() for sums in total])]
            yield pa.RecordBatch.from_arrays(values, ["partition", "sums"])

    doubles = points.select(*(F.col(sql.column(name)).cast("double").alias(name) for name in names))
    rows = doubles.mapInArrow(summed_batches, "partition bigint, sums array<double>").collect()
    if not rows:
        raise ValueError(NO_POINTS)
    return [np.sum([row["sums"] for row in rows if row["partition"] == i], axis=0) for i in range(len(partitions))]


# What follows runs in the workers. Each function is made inside another, so that it travels as a value and the
# workers need NumPy and Arrow only.


def _scorer(partitions: Sequence[Partition]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Scores of points for each partition, all centres in one matrix product."""
    by_center = [i for i, partition in enumerate(partitions) if partition.roots is None]
    shaped = [(i, p.centers, p.roots, p.offsets) for i, p in enumerate(partitions) if p.roots is not None]
    edges = np.cumsum([0, *(partitions[i].k for i in by_center)])
    centers = np.concatenate([partitions[i].centers for i in by_center]) if by_center else np.zeros((0, 1))
    factors = np.ascontiguousarray(-2.0 * centers.T)
    norms = (centers**2).sum(axis=1)

    def scores(points: np.ndarray) -> list[np.ndarray]:
        by_partition: dict[int, np.ndarray] = {}
        if by_center:
            squared = points @ factors
            squared += norms
            squared += np.einsum("ij,ij->i", points, points)[:, None]
            np.maximum(squared, 0.0, out=squared)
            for position, i in enumerate(by_center):
                by_partition[i] = squared[:, edges[position] : edges[position + 1]]
        for i, middles, roots, offsets in shaped:
            parts = [((points @ root - middle) ** 2).sum(axis=1) for root, middle in zip(roots, middles, strict=True)]
            by_partition[i] = np.stack(parts, axis=1) + (0.0 if offsets is None else offsets)
        return [by_partition[i] for i in range(len(by_partition))]

    return scores


def sums_pass(partitions: Sequence[Partition]) -> Pass:
    """Counts, sums and squared norms by segment, and the cost: flat, in that order."""
    scores, ks, step = _scorer(partitions), [partition.k for partition in partitions], BATCH_ROWS
    mixed = [partition.roots is not None for partition in partitions]

    def work(points: np.ndarray, weights: np.ndarray | None) -> list[np.ndarray]:
        d = points.shape[1]
        totals = [np.zeros(k * (d + 2) + 1) for k in ks]
        for start in range(0, len(points), step):
            chunk = points[start : start + step]
            weight = np.ones(len(chunk)) if weights is None else weights[start : start + step]
            columns = np.column_stack([weight, chunk * weight[:, None], np.einsum("ij,ij->i", chunk, chunk) * weight])
            for total, k, mixture, score in zip(totals, ks, mixed, scores(chunk), strict=True):
                labels = score.argmin(axis=1)
                lowest = score[np.arange(len(chunk)), labels]
                member = np.zeros((len(chunk), k))
                member[np.arange(len(chunk)), labels] = 1.0
                sums = member.T @ columns
                total[:k] += sums[:, 0]
                total[k : k + k * d] += sums[:, 1:-1].ravel()
                total[k + k * d : -1] += sums[:, -1]
                if mixture:
                    lowest = lowest - 2 * np.log(np.exp((lowest[:, None] - score) / 2).sum(axis=1))
                total[-1] += (lowest * weight).sum()
        return totals

    return work


def _labels_by_score(partitions: Sequence[Partition], means: Sequence[np.ndarray]) -> Labels:
    """Labels by the partitions' scores; where the centres are the means, the distances to these are the scores."""
    scores = _scorer(partitions)
    at_means = [
        partition.roots is None and np.array_equal(partition.centers, mean)
        for partition, mean in zip(partitions, means, strict=True)
    ]

    def labels(rows: np.ndarray, from_means: Sequence[np.ndarray]) -> list[np.ndarray]:
        candidates = zip(at_means, from_means, scores(rows), strict=True)
        return [(squared if is_mean else score).argmin(axis=1) for is_mean, squared, score in candidates]

    return labels


def _labels_by_group(segments: Sequence[np.ndarray]) -> Labels:
    """Labels by a group in the last column of the rows."""

    def labels(rows: np.ndarray, from_means: Sequence[np.ndarray]) -> list[np.ndarray]:
        group = rows[:, -1].astype(np.int64)
        return [segment[group] for segment in segments]

    return labels


def _silhouette_pass(label: Labels, sums: Sequence[Sums], means: Sequence[np.ndarray]) -> Pass:
    """Summed distances to the mean by segment, then the summed silhouettes: flat, in that order."""
    # A point's mean squared distance to a segment's points is its squared distance to their mean and their variance.
    step, d = BATCH_ROWS, means[0].shape[1]
    from_means = _scorer([Partition(mean) for mean in means])
    counts = [own.counts for own in sums]
    variances = [
        np.where(
            own.counts > 0,
            np.maximum(own.squares / np.maximum(own.counts, 1) - (mean**2).sum(axis=1), 0.0),
            np.inf,
        )
        for own, mean in zip(sums, means, strict=True)
    ]

    def work(points: np.ndarray, weights: np.ndarray | None) -> list[np.ndarray]:
        totals = [np.zeros(len(count) + 1) for count in counts]
        for start in range(0, len(points), step):
            chunk = points[start : start + step]
            weight = np.ones(len(chunk)) if weights is None else weights[start : start + step]
            rows = np.arange(len(chunk))
            away = from_means(chunk[:, :d])
            for i, (labels, squared) in enumerate(zip(label(chunk, away), away, strict=True)):
                total, size = totals[i], counts[i][labels]
                total[:-1] += np.bincount(labels, np.sqrt(squared[rows, labels]) * weight, minlength=len(counts[i]))
                mean_squared = squared + variances[i]
                own = mean_squared[rows, labels] * size / np.maximum(size - 1.0, 1.0)
                mean_squared[rows, labels] = np.inf
                other = mean_squared.min(axis=1)
                larger = np.maximum(own, other)
                defined = (larger > 0) & (size > 1) & np.isfinite(other)
                silhouette = np.divide(other - own, larger, out=np.zeros(len(chunk)), where=defined)
                total[-1] += (silhouette * weight).sum()
        return totals

    return work
