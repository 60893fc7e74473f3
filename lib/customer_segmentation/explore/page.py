"""An exploration as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from dataclasses import dataclass

from customer_segmentation.display import formatting, palette
from customer_segmentation.display.summary import rejection_reasons
from customer_segmentation.display.template import environment, needs_extra
from customer_segmentation.explore import view
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.findings import Finding, findings


@dataclass(frozen=True)
class PageContent:
    """What the page and the summary show.

    title: heading of the page.
    currency: goes before every amount, such as "€" or "GBP".
    """

    found: Exploration
    title: str = "What is in the data"
    currency: str = ""

    @property
    def findings(self) -> list[Finding]:
        """What stands out, warnings first."""
        return findings(self.found, self.currency)


def render_page(content: PageContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    with needs_extra():
        from customer_segmentation.explore.drawings import draw
    found, currency = content.found, content.currency
    returns = view.returns(found, currency)
    return (
        environment("customer_segmentation.explore")
        .get_template("exploration.html.j2")
        .render(
            content=content,
            found=found,
            headlines=view.headlines(found, currency),
            reasons=rejection_reasons(found.intake.by_reason, found.intake.refused) if found.intake.refused else [],
            months=view.months(found, currency),
            weekdays_and_hours=view.weekdays_and_hours(found, currency),
            stretches=view.stretch_rows(found),
            spikes=view.spike_rows(found),
            customers=view.customers(found, currency),
            spreads=view.spreads(found, currency),
            value=view.value(found, currency),
            returns=[returns] if returns else [],
            tables=view.tables(found),
            quantiles=view.QUANTILES_SHOWN,
            draw=draw,
            palette=palette,
            w=formatting,
        )
    )
