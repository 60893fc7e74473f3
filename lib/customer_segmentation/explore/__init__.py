"""Explores the canonical data before anything is modelled: counted with Spark, drawn, and put into sentences.

`explore` returns plain figures that hold no customer; the others make a page, rows for tables and a summary of them.
Touches no storage.
"""

from customer_segmentation.explore.exploration import Exploration, explore
from customer_segmentation.explore.page import PageContent, render_page
from customer_segmentation.explore.terminal import summary

__all__ = ["Exploration", "PageContent", "explore", "render_page", "summary"]
