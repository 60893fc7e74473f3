"""Prepares features for clustering: plain, checked numbers that give plain SQL, and an inverse to tell centres by.

`features` is one prepared column and its inverse, `shapes` what takes skew off, `learning` how the numbers are
learnt from all rows, and `whole` the preparation itself.
"""

from customer_segmentation.preparation.columns import (
    Blended,
    Indicator,
    Prepared,
    PreparedFeature,
    measured_sql,
)
from customer_segmentation.preparation.model import Preparation, coordinate_names, prepared_name

__all__ = [
    "Blended",
    "Indicator",
    "Preparation",
    "Prepared",
    "PreparedFeature",
    "coordinate_names",
    "measured_sql",
    "prepared_name",
]
