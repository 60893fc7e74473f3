"""Synthetic data: order lines, customers and engagement at any size, seeded, with known segments and known dirt."""

from customer_segmentation.synthetic.generator import (
    customer_attributes,
    engagement_events,
    order_lines,
    true_dirt,
    true_segments,
)

__all__ = ["customer_attributes", "engagement_events", "order_lines", "true_dirt", "true_segments"]
