"""The drawings of the page. Needs the `report` extra: Altair and vl-convert-python."""

from functools import partial

from customer_segmentation.display.drawing import HALF, WIDE, Figure, figure
from customer_segmentation.explore.charts import chart
from customer_segmentation.explore.panels import Panel


def draw(panel: Panel) -> Figure | None:
    """The panel's chart for a large and for a small screen; None without one."""
    if panel.chart is None:
        return None
    return figure(partial(chart, panel.chart), panel.says, WIDE if panel.is_wide else HALF)
