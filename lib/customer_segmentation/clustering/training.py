"""Trains a segmentation: prepare, choose, fit on all customers, judge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering import choose
from customer_segmentation.clustering.base import SegmentationModel
from customer_segmentation.clustering.bisecting import BisectingKMeans
from customer_segmentation.clustering.coreset import Coreset, coreset
from customer_segmentation.clustering.gaussian import GaussianMixture
from customer_segmentation.clustering.indices import Partition, judged
from customer_segmentation.clustering.kmeans import KMeans
from customer_segmentation.clustering.mixture import MixtureModel
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation, prepared_name
from customer_segmentation.clustering.refining import refined
from customer_segmentation.clustering.stability import stability
from customer_segmentation.clustering.structure import Structure, structure
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import CUSTOMER_ID, MONETARY
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.contract.features import FAMILIES, FEATURE_BY_NAME
from customer_segmentation.spark.holding import held

REFIT_ITERATIONS = 10
"""Most of MLlib's passes after a choice, a job each: those that move its centres on are many times quicker."""


@dataclass(frozen=True)
class Training:
    """What a training gave.

    choice: what was tried and chosen; None where k was configured.
    quality: figures over all customers: silhouette, calinski_harabasz, davies_bouldin (see `Indices`), cost,
        smallest_share; and on the coreset: stability (mean adjusted Rand index of bootstraps), hopkins, and structure
        (0 none, 1 weak, 2 clear).
    stability: mean bootstrap Jaccard index by segment id.
    structure: whether there are segments to be found at all.
    """

    model: SegmentationModel
    choice: choose.Choice | None
    quality: dict[str, float]
    stability: dict[int, float]
    structure: Structure

    def candidate_rows(self) -> list[dict[str, Any]]:
        """The candidates as rows of `model_runs.candidates`."""
        return choose.rows(self.choice)


def train(features: DataFrame, settings: Clustering, *, seed: int) -> Training:
    """Prepare the features, choose k where it is not given, fit and judge.

    Args:
        features: rows of `customer_features`, with the attributes that the settings name.
        settings: the `clustering` section.

    Returns:
        The training; segments are numbered from 1 by their centre's net spend, the highest first.

    Raises:
        DataRefusedError: the customers are too few or too alike to be segmented.
    """
    preparation = prepared_by(features, settings, seed=seed)
    if not preparation.features:
        raise DataRefusedError("no feature tells the customers apart: " + _told(preparation.dropped))
    inputs = [prepared_name(name) for name in preparation.names]
    points = preparation.transform(features).select(CUSTOMER_ID, *(f"`{name}`" for name in inputs))
    with held(points) as kept:
        core = coreset(kept, inputs, size=settings.sample_size, seed=seed, by=CUSTOMER_ID)
        choice = _chosen(kept, inputs, core, preparation, settings, seed=seed) if settings.k == "auto" else None
        model = _numbered_by_value(_fitted(features, kept, preparation, choice, settings, seed=seed))
        partition = partition_of(model)
        (found,) = judged(kept, inputs, [partition])
    again = stability(core, partition, algorithm=model.algorithm, seed=seed)
    seen = structure(core, k=model.k, rand=again.rand, seed=seed)
    quality = {
        "silhouette": found.silhouette,
        "calinski_harabasz": found.calinski_harabasz,
        "davies_bouldin": found.davies_bouldin,
        "cost": found.cost,
        "smallest_share": found.smallest_share,
        "stability": again.rand,
        "hopkins": seen.hopkins,
        "structure": float(seen.grade),
    }
    known = {name: value for name, value in quality.items() if np.isfinite(value)}
    return Training(model, choice, known, dict(zip(model.segment_ids, again.segments.tolist(), strict=True)), seen)


def prepared_by(features: DataFrame, settings: Clustering, *, seed: int) -> Preparation:
    """The preparation that the settings ask for, learnt from these features."""
    asked = settings.preparation
    shape_of = {name: asked.shapes.get(name, asked.skewed) for name in settings.features}
    for name in settings.features:
        if FEATURE_BY_NAME[name].shape != "skewed" and name not in asked.shapes:
            shape_of[name] = "none"
    weights = {
        feature.name: asked.weights[family]
        for family, features_ in FAMILIES.items()
        if family in asked.weights
        for feature in features_
    }
    weights |= {name: weight for name, weight in asked.weights.items() if name not in FAMILIES}
    used = {*settings.features, *asked.attributes}
    return Preparation.fit(
        features,
        columns=settings.features,
        skewed=[name for name, shape in shape_of.items() if shape == "log"],
        powered=[name for name, shape in shape_of.items() if shape == "yeo_johnson"],
        scaling=asked.scaling,
        winsorise=None if asked.winsorise is None else (asked.winsorise[0], asked.winsorise[1]),
        attributes=asked.attributes,
        categories=asked.categories,
        weights={name: weight for name, weight in weights.items() if name in used},
        variance=asked.variance,
        seed=seed,
    )


def _chosen(
    points: DataFrame, inputs: list[str], core: Coreset, preparation: Preparation, settings: Clustering, *, seed: int
) -> choose.Choice:
    choice = choose.choose(
        points,
        inputs,
        core,
        ks=range(settings.k_min, settings.k_max + 1),
        algorithms=[settings.algorithm],
        smallest_share=settings.smallest_share,
        seed=seed,
    )
    if choice is None:
        raise DataRefusedError(
            f"the customers take only {len(np.unique(core.points, axis=0))} different values in the features "
            f"{', '.join(preparation.names)}: too few for clustering.k_min = {settings.k_min} segments"
        )
    return choice


def _fitted(
    features: DataFrame,
    points: DataFrame,
    preparation: Preparation,
    choice: choose.Choice | None,
    settings: Clustering,
    *,
    seed: int,
) -> SegmentationModel:
    if choice is not None and settings.algorithm == "kmeans":
        return refitted(features, points, preparation, choice, settings, seed=seed)
    k = int(settings.k) if choice is None else choice.candidate.k
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


def _numbered_by_value(model: SegmentationModel) -> SegmentationModel:
    """Number the segments from 1 by net spend at the centre, or by the first feature where spend is none of them."""
    centers = model.natural_centers()
    names = model.preparation.names
    by = MONETARY if MONETARY in names else names[0]
    order = sorted(model.segment_ids, key=lambda segment: -centers[segment][by])
    return replace(model, segment_ids=tuple(1 + order.index(segment) for segment in model.segment_ids))


def _told(dropped: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in dropped.items())
