"""Configuration: layered YAML, validated whole before Spark starts, then frozen and passed in."""

from customer_segmentation.config.layers import load_config
from customer_segmentation.config.schema import Config

__all__ = ["Config", "load_config"]
