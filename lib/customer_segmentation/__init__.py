"""Customer segmentation on Spark: order lines in, named and explained segments out."""

__version__ = "0.1.0"
