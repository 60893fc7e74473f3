"""Clustering of customers behind one small interface: an estimator fits a model, a model assigns segments."""

from customer_segmentation.clustering import algorithms  # noqa: F401 # fills the registry
from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel
from customer_segmentation.clustering.estimator.base import SegmentationEstimator
from customer_segmentation.clustering.gaussian_mixture.estimator import GaussianMixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.hierarchy import AgglomerativeClustering, HierarchyModel
from customer_segmentation.clustering.kmeans.bisecting import BisectingKMeans
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.model.loading import load_model, model_from_json
from customer_segmentation.clustering.registry import ALGORITHMS, AlgorithmSpec, register
from customer_segmentation.clustering.selection.comparison import compare
from customer_segmentation.preparation import Preparation, PreparationModel

__all__ = [
    "ALGORITHMS",
    "DBSCAN",
    "AgglomerativeClustering",
    "AlgorithmSpec",
    "BisectingKMeans",
    "CentroidModel",
    "DBSCANModel",
    "GaussianMixture",
    "HierarchyModel",
    "KMeans",
    "MixtureModel",
    "Preparation",
    "PreparationModel",
    "SegmentationEstimator",
    "SegmentationModel",
    "compare",
    "load_model",
    "model_from_json",
    "register",
]
