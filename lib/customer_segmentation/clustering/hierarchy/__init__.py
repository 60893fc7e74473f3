"""Hierarchical clustering: micro-clusters over all customers, a Ward tree over them, cuts of the tree."""

from customer_segmentation.clustering.hierarchy.estimator import AgglomerativeClustering
from customer_segmentation.clustering.hierarchy.model import HierarchyModel

__all__ = ["AgglomerativeClustering", "HierarchyModel"]
