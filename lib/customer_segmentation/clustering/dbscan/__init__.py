"""Exact, distributed DBSCAN: a kernel for points in memory, boxes that make many of one task, an estimator and a model."""

from customer_segmentation.clustering.dbscan.estimator import DBSCAN
from customer_segmentation.clustering.dbscan.model import DBSCANModel

__all__ = ["DBSCAN", "DBSCANModel"]
