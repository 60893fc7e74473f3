"""Trains a segmentation: prepare, choose, fit on all customers, judge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from customer_segmentation.clustering.fitting import Customers, fitted
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.selection import choice as choose
from customer_segmentation.clustering.selection.clusterability import Structure, structure
from customer_segmentation.clustering.selection.coreset import coreset
from customer_segmentation.config.schema import Clustering
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import DataRefusedError
from customer_segmentation.contract.features import FAMILIES, FEATURE_BY_NAME
from customer_segmentation.preparation import Preparation, prepared_name, sql
from customer_segmentation.spark.holding import held


@dataclass(frozen=True)
class Training:
    """What a training gave.

    choice: what was tried and chosen; None where k was configured or follows from the customers.
    quality: figures over all customers that are in a segment: silhouette, calinski_harabasz, davies_bouldin (see
        `Indices`), cost, smallest_share; on the coreset: stability (mean adjusted Rand index of bootstraps), hopkins,
        and structure (0 none, 1 weak, 2 clear); noise_share of DBSCAN, lost_variance of a tree. What is not defined or
        can't be measured is not there.
    stability: mean bootstrap Jaccard index by segment id; empty where it can't be measured.
    structure: whether there are segments to be found at all.
    found: what the fit found where the settings say "auto", by the setting's name.
    """

    model: SegmentationModel
    choice: choose.Choice | None
    quality: dict[str, float]
    stability: dict[int, float]
    structure: Structure
    found: dict[str, float]

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
        DataRefusedError: the customers are too few or too alike to be segmented, or all of them are noise.
    """
    preparation = prepared_by(features, settings, seed=seed)
    if not preparation.features:
        raise DataRefusedError("no feature tells the customers apart: " + _told(preparation.dropped))
    inputs = [prepared_name(name) for name in preparation.names]
    points = preparation.transform(features).select(CUSTOMER_ID, *map(sql.column, inputs))
    with held(points) as kept:
        core = coreset(kept, inputs, size=settings.sample_size, seed=seed, by=CUSTOMER_ID)
        fit = fitted(Customers(features, kept, preparation, core), settings, seed=seed)
    model, indices, again = fit.model, fit.indices, fit.stability
    rand = again.rand if again else float("nan")
    seen = structure(core, k=model.k, rand=rand, seed=seed)
    quality = {
        "silhouette": indices.silhouette,
        "calinski_harabasz": indices.calinski_harabasz,
        "davies_bouldin": indices.davies_bouldin,
        "cost": indices.cost,
        "smallest_share": indices.smallest_share,
        "stability": rand,
        "hopkins": seen.hopkins,
        "structure": float(seen.grade),
        **fit.quality,
    }
    known = {name: value for name, value in quality.items() if np.isfinite(value)}
    by_segment = dict(zip(model.segment_ids, again.segments.tolist(), strict=True)) if again else {}
    return Training(model, fit.choice, known, by_segment, seen, fit.found)


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


def _told(dropped: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in dropped.items())
