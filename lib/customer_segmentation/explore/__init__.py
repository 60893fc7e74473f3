"""What a person looks at before trusting anything downstream: the canonical data, counted, drawn and put into words.

`explore` counts with Spark and returns plain figures that hold no customer; the rest makes of them a page, rows for
tables and a summary. Touches no storage.
"""

from customer_segmentation.explore.exploration import Exploration, Intake, explore
from customer_segmentation.explore.page import PageContent, render_page
from customer_segmentation.explore.terminal import summary

__all__ = ["Exploration", "Intake", "PageContent", "explore", "render_page", "summary"]
