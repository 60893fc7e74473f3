"""Prepares features for distances: an estimator learns plain numbers from all rows, its model gives plain SQL.

`preparation` is the estimator and `model` what it fits, `learning` how the numbers are learnt; `columns` is a prepared
column with its inverse, `transforms` what reduces skew, `pca` the principal components. `frames` validates what a
frame has, `estimator` is the base of all estimators.
"""

from customer_segmentation.preparation.columns import OneHotFeature, PCAFeature, PreparedFeature
from customer_segmentation.preparation.model import (
    PreparationModel,
    coordinate_names,
    identity_preparation,
    prepared_name,
)
from customer_segmentation.preparation.pca import PCA
from customer_segmentation.preparation.preparation import Preparation

__all__ = [
    "PCA",
    "OneHotFeature",
    "PCAFeature",
    "Preparation",
    "PreparationModel",
    "PreparedFeature",
    "coordinate_names",
    "identity_preparation",
    "prepared_name",
]
