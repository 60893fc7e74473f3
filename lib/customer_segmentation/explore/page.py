"""An exploration as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from dataclasses import dataclass

from customer_segmentation.display import formatting, palette
from customer_segmentation.display.headlines import rejection_reasons
from customer_segmentation.display.template import environment, needs_extra
from customer_segmentation.display.verdict import Finding
from customer_segmentation.explore import view
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.figures import SECTIONS, panels
from customer_segmentation.explore.findings import findings


@dataclass(frozen=True)
class PageContent:
    """The content of the page and of the summary.

    title: heading of the page.
    currency: goes before every amount, such as "€" or "GBP".
    """

    data: Exploration
    title: str = "What is in the data"
    currency: str = ""

    @property
    def findings(self) -> list[Finding]:
        """All that stands out, warnings first."""
        return findings(self.data, self.currency)


def render_page(content: PageContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    with needs_extra():
        from customer_segmentation.display.charts import draw
    data = content.data
    counts = data.line_counts
    return (
        environment("customer_segmentation.explore")
        .get_template("exploration.html.j2")
        .render(
            content=content,
            data=data,
            headlines=view.headlines(data, content.currency),
            reasons=rejection_reasons(counts.by_reason, counts.rejected) if counts.rejected else [],
            sections={key: panels(figures, data, content.currency) for key, figures in SECTIONS.items()},
            tables=view.tables(data),
            view=view,
            draw=draw,
            palette=palette,
            fmt=formatting,
        )
    )
