"""Fits a segmentation to all customers by each of the algorithms, and judges it: by centres, by a tree, by density."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.dbscan import DBSCAN
from customer_segmentation.clustering.dbscan.stability import density_stability
from customer_segmentation.clustering.gaussian_mixture.estimator import GaussianMixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.hierarchy import AgglomerativeClustering
from customer_segmentation.clustering.kmeans.bisecting import BisectingKMeans
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.kmeans.refinement import refined
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection import choice as choose
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.clustering.selection.metrics import Indices, Partition, judged, judged_by
from customer_segmentation.clustering.selection.stability import Stability, stability
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import MONETARY, SEGMENT_ID
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.preparation import Preparation, prepared_name, sql
from customer_segmentation.spark.holding import held

REFIT_ITERATIONS = 10
"""Most of MLlib's passes after a choice, a job each: those that move its centres on are many times quicker."""


@dataclass(frozen=True)
class Customers:
    """The customers of a training.

    features: in natural units.
    points: the same, prepared and held.
    core: weighted ones that stand for all, on the driver.
    """

    features: DataFrame
    points: DataFrame
    preparation: Preparation
    core: Coreset

    @property
    def inputs(self) -> list[str]:
        """The columns of the points."""
        return [prepared_name(name) for name in self.preparation.names]


@dataclass(frozen=True)
class Fitted:
    """A segmentation of all customers, with what is to be said of it.

    model: its segments numbered by value.
    indices: over all customers that are in a segment.
    stability: None where it can't be measured.
    choice: what was tried; None where there was nothing to choose.
    quality: figures that only this kind of model has.
    found: what the fit found where the settings say "auto".
    """

    model: SegmentationModel
    indices: Indices
    stability: Stability | None
    choice: choose.Choice | None = None
    quality: dict[str, float] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)


def fitted(customers: Customers, settings: Clustering, *, seed: int) -> Fitted:
    """Choose k where it is not given, fit and judge.

    Raises:
        DataRefusedError: the customers are too few or too alike to be segmented, or all of them are noise.
    """
    return _WAYS.get(settings.algorithm, _by_centres)(customers, settings, seed)


def _by_centres(customers: Customers, settings: Clustering, seed: int) -> Fitted:
    """K-means, bisecting k-means and mixtures: k is tried on the coreset, and what was chosen is fitted anew."""
    points, inputs, core = customers.points, customers.inputs, customers.core
    choice = None
    if settings.k == "auto":
        ks, share = _ks(customers, settings), settings.smallest_share
        algorithms = [settings.algorithm]
        choice = choose.choose(points, inputs, core, ks=ks, algorithms=algorithms, smallest_share=share, seed=seed)
    model = numbered_by_value(_fitted(customers, choice, settings, seed=seed))
    partition = partition_of(model)
    (indices,) = judged(points, inputs, [partition])
    return Fitted(model, indices, stability(core, partition, algorithm=model.algorithm, seed=seed), choice)


def _by_tree(customers: Customers, settings: Clustering, seed: int) -> Fitted:
    """Ward's hierarchy: the tree is built once, and each k is a cut of it."""
    points, inputs, core = customers.points, customers.inputs, customers.core
    ks = _ks(customers, settings) if settings.k == "auto" else [settings.k]
    estimator = AgglomerativeClustering(
        ks[0], micro_clusters=settings.micro_clusters, seed=seed, outlier_distance=settings.outlier_distance
    )
    model = estimator.fit(customers.features, preparation=customers.preparation)
    choice = None
    if settings.k == "auto":
        ks = [k for k in ks if k <= len(model.micro.sites)]
        share = settings.smallest_share
        choice = choose.choose_cut(points, inputs, core, model, ks=ks, smallest_share=share, seed=seed)
        model = model.cut(choice.candidate.k)
    (indices,) = choose.judged_cuts(points, inputs, [model])
    again = stability(core, model, algorithm=model.algorithm, seed=seed)
    quality = {"lost_variance": model.lost_variance_}
    return Fitted(numbered_by_value(model), indices, again, choice, quality)


def _by_density(customers: Customers, settings: Clustering, seed: int) -> Fitted:
    """DBSCAN: the number of segments follows from what is dense."""
    estimator = DBSCAN(settings.eps, settings.min_samples, seed=seed)
    found = estimator.fit(customers.features, preparation=customers.preparation)
    if not found.k:
        raise DataRefusedError(
            f"all {customers.core.rows} customers are noise: nowhere do {settings.min_samples} of them lie within "
            f"eps = {found.eps_:.4g} of one; raise clustering.eps or lower clustering.min_samples"
        )
    model = numbered_by_value(found)
    indices, noise = _judged_by_density(customers, model)
    again = density_stability(customers.core, found, seed=seed)
    auto = {"eps": found.eps_} if settings.eps == "auto" else {}
    return Fitted(model, indices, again, quality={"noise_share": noise / customers.core.rows}, found=auto)


def _judged_by_density(customers: Customers, model: SegmentationModel) -> tuple[Indices, int]:
    """The indices over the customers in segments, and how many are in none."""
    position = np.zeros(model.k + 1, dtype=np.int64)  # by segment id, from 1
    position[list(model.segment_ids)] = np.arange(model.k)
    prepared = customers.preparation.transform(customers.features)
    assigned = model.assign(prepared).select(SEGMENT_ID, *map(sql.column, customers.inputs))
    with held(assigned) as rows:
        inside = rows.where(f"{SEGMENT_ID} > 0")
        (indices,) = judged_by(inside, customers.inputs, SEGMENT_ID, [position])
    return indices, customers.core.rows - int(indices.sizes.sum())


def _ks(customers: Customers, settings: Clustering) -> list[int]:
    """The numbers of segments to try: below that of different customers."""
    distinct = len(np.unique(customers.core.points, axis=0))
    ks = [k for k in range(settings.k_min, settings.k_max + 1) if k < distinct]
    if not ks:
        raise DataRefusedError(
            f"the customers take only {distinct} different values in the features "
            f"{', '.join(customers.preparation.names)}: too few for clustering.k_min = {settings.k_min} segments"
        )
    return ks


def _fitted(
    customers: Customers, choice: choose.Choice | None, settings: Clustering, *, seed: int
) -> SegmentationModel:
    features, preparation = customers.features, customers.preparation
    if choice is not None and settings.algorithm == "kmeans":
        return refitted(features, customers.points, preparation, choice, settings, seed=seed)
    k = choice.candidate.k if choice is not None else int(settings.k)
    return _ESTIMATORS[settings.algorithm](k, settings, seed).fit(features, preparation=preparation)


def refitted(
    features: DataFrame,
    points: DataFrame,
    preparation: Preparation,
    choice: choose.Choice,
    settings: Clustering,
    *,
    seed: int,
) -> CentroidModel:
    """What was chosen, fitted to all customers: by MLlib from one start, then moved on, from there and the coreset.

    Of the two ends the one with the lower cost is kept, so the model is never worse than either.

    Args:
        features: customers in natural units.
        points: the same, prepared and held.
    """
    iterations = min(settings.max_iterations, REFIT_ITERATIONS)
    k, distance = choice.candidate.k, settings.outlier_distance
    estimator = KMeans(k, max_iterations=iterations, starts=1, seed=seed, outlier_distance=distance)
    model = estimator.fit(features, preparation=preparation)
    inputs = [prepared_name(name) for name in preparation.names]
    starts = [model.centers_, choice.partition.centers]
    centers, radii, cost = refined(points, inputs, starts, passes=settings.max_iterations)
    return replace(model, centers_=centers, radii_=tuple(radii.tolist()), cost_=cost)


def partition_of(model: SegmentationModel) -> Partition:
    """The model's segments as a partition of any point, in the order of its segment ids."""
    if not isinstance(model, MixtureModel):
        return Partition(model.segment_centers)
    found = model.densities_
    normalisation = model.means_.shape[1] * np.log(2 * np.pi)
    return Partition(found.offsets, found.factors.transpose(0, 2, 1), -2 * found.constants - normalisation)


def _kmeans(k: int, settings: Clustering, seed: int) -> KMeans:
    return KMeans(k, max_iterations=settings.max_iterations, seed=seed, outlier_distance=settings.outlier_distance)


def _bisecting_kmeans(k: int, settings: Clustering, seed: int) -> BisectingKMeans:
    return BisectingKMeans(
        k, max_iterations=settings.max_iterations, seed=seed, outlier_distance=settings.outlier_distance
    )


def _gaussian_mixture(k: int, settings: Clustering, seed: int) -> GaussianMixture:
    return GaussianMixture(k, max_iterations=settings.max_iterations, seed=seed)


_ESTIMATORS: dict[str, Callable[[int, Clustering, int], KMeans | BisectingKMeans | GaussianMixture]] = {
    "kmeans": _kmeans,
    "bisecting_kmeans": _bisecting_kmeans,
    "gaussian_mixture": _gaussian_mixture,
}


_WAYS: dict[str, Callable[[Customers, Clustering, int], Fitted]] = {
    "agglomerative": _by_tree,
    "dbscan": _by_density,
}


def numbered_by_value(model: SegmentationModel) -> SegmentationModel:
    """Number the segments from 1 by net spend at the centre, or by the first feature where spend is none of them."""
    centers = model.natural_centers()
    names = model.preparation.names
    by = MONETARY if MONETARY in names else names[0]
    order = sorted(model.segment_ids, key=lambda segment: -centers[segment][by])
    return replace(model, segment_ids=tuple(1 + order.index(segment) for segment in model.segment_ids))
