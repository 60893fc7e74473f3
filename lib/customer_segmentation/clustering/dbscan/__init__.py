"""Exact, distributed DBSCAN: the kernel, a partition of space that makes many tasks of one, estimator and model."""

from customer_segmentation.clustering.dbscan.core_points import core_point_rows, core_points_of
from customer_segmentation.clustering.dbscan.estimator import DBSCAN
from customer_segmentation.clustering.dbscan.model import DBSCANModel

__all__ = ["DBSCAN", "DBSCANModel", "core_point_rows", "core_points_of"]
