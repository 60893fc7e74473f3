"""Clustering of customers behind one small interface: an estimator fits a model, a model assigns segments."""

from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel
from customer_segmentation.clustering.gaussian_mixture.estimator import GaussianMixture
from customer_segmentation.clustering.gaussian_mixture.model import MixtureModel
from customer_segmentation.clustering.hierarchy import AgglomerativeClustering, HierarchyModel
from customer_segmentation.clustering.kmeans.bisecting import BisectingKMeans
from customer_segmentation.clustering.kmeans.estimator import KMeans
from customer_segmentation.clustering.kmeans.model import CentroidModel
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.clustering.model.loading import load_model, model_from_json
from customer_segmentation.preparation import Preparation

__all__ = [
    "DBSCAN",
    "AgglomerativeClustering",
    "BisectingKMeans",
    "CentroidModel",
    "DBSCANModel",
    "GaussianMixture",
    "HierarchyModel",
    "KMeans",
    "MixtureModel",
    "Preparation",
    "SegmentationModel",
    "load_model",
    "model_from_json",
]
