"""Clustering of customers behind one small interface: an estimator fits a model, a model assigns segments."""

from customer_segmentation.clustering.dbscan import DBSCAN, DBSCANModel
from customer_segmentation.clustering.kmeans import KMeans
from customer_segmentation.clustering.model import CentroidModel
from customer_segmentation.clustering.preparation import Preparation

__all__ = ["DBSCAN", "CentroidModel", "DBSCANModel", "KMeans", "Preparation"]
