"""Clustering of customers behind one small interface: an estimator fits a model, a model assigns segments."""

from customer_segmentation.clustering.base import SegmentationModel
from customer_segmentation.clustering.bisecting import BisectingKMeans
from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel
from customer_segmentation.clustering.gaussian import GaussianMixture
from customer_segmentation.clustering.hierarchy import AgglomerativeClustering, HierarchyModel
from customer_segmentation.clustering.kmeans import KMeans
from customer_segmentation.clustering.mixture import MixtureModel
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation
from customer_segmentation.clustering.saved import load_model, model_from_json

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
