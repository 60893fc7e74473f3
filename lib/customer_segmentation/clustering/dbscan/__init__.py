"""Exact, distributed DBSCAN: the kernel, boxes that make many tasks of one, estimator and model."""

from customer_segmentation.clustering.dbscan.estimator import DBSCAN
from customer_segmentation.clustering.dbscan.model import DBSCANModel
from customer_segmentation.clustering.dbscan.stored import core_point_rows, core_points_of

__all__ = ["DBSCAN", "DBSCANModel", "core_point_rows", "core_points_of"]
