"""The algorithms of the library: the only place that lists them."""

from typing import Any

from customer_segmentation.clustering.calibrating import drawn_by_customer
from customer_segmentation.clustering.dbscan.estimator import DBSCAN
from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.dbscan.stability import density_stability, drawn_densities
from customer_segmentation.clustering.dbscan.training import train_density
from customer_segmentation.clustering.fitting import evaluate_partition
from customer_segmentation.clustering.gaussian_mixture.estimator import GaussianMixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.gaussian_mixture.training import follow_mixture
from customer_segmentation.clustering.hierarchy.bootstraps import drawn_trees
from customer_segmentation.clustering.hierarchy.estimator import AgglomerativeClustering
from customer_segmentation.clustering.hierarchy.model import HierarchyModel
from customer_segmentation.clustering.hierarchy.training import evaluate_cut, follow_tree, train_tree
from customer_segmentation.clustering.kmeans.bisecting import BisectingKMeans
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.kmeans.refinement import follow, refit
from customer_segmentation.clustering.registry import AlgorithmSpec, register
from customer_segmentation.clustering.selection import coreset_fits
from customer_segmentation.config.schema import Clustering


def _parameters(settings: Clustering) -> dict[str, Any]:
    return {"max_iterations": settings.max_iterations, "outlier_share": settings.outlier_share}


for _spec in (
    AlgorithmSpec(
        KMeans,
        CentroidModel,
        lambda settings: {**_parameters(settings), "gpu": settings.gpu},
        by_mllib=True,
        by_rapids=True,
        fit_coreset=coreset_fits.kmeans,
        refit=refit,
        follow=follow,
        evaluate=evaluate_partition,
    ),
    AlgorithmSpec(
        BisectingKMeans,
        CentroidModel,
        _parameters,
        by_mllib=True,
        fit_coreset=coreset_fits.bisecting_kmeans,
        follow=follow,
        evaluate=evaluate_partition,
    ),
    AlgorithmSpec(
        GaussianMixture,
        MixtureModel,
        _parameters,
        by_mllib=True,
        fit_coreset=coreset_fits.gaussian_mixture,
        follow=follow_mixture,
        bootstraps=drawn_by_customer,
        evaluate=evaluate_partition,
    ),
    AlgorithmSpec(
        AgglomerativeClustering,
        HierarchyModel,
        lambda settings: {"micro_clusters": settings.micro_clusters, "outlier_share": settings.outlier_share},
        fit_coreset=coreset_fits.ward,
        follow=follow_tree,
        train=train_tree,
        evaluate=evaluate_cut,
        bootstraps=drawn_trees,
    ),
    AlgorithmSpec(
        DBSCAN,
        DBSCANModel,
        lambda settings: {"eps": settings.eps, "min_samples": settings.min_samples},
        needs_k=False,
        train=train_density,
        stability=density_stability,
        bootstraps=drawn_densities,
    ),
):
    register(_spec)
