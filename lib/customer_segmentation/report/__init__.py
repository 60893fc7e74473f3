"""The results of a run for people: one self-contained HTML page and a summary on the terminal.

Works on plain rows that the caller read; touches no storage and shows no customer.
"""

from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.page import render_page
from customer_segmentation.report.terminal import summary

__all__ = ["ReportContent", "render_page", "summary"]
