"""An exploration as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from customer_segmentation.contract import tables as t
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display import palette
from customer_segmentation.display.headlines import Headline
from customer_segmentation.display.template import environment, needs_extra
from customer_segmentation.display.verdict import Finding
from customer_segmentation.explore.columns import PERSONAL_COLUMNS, ColumnProfile
from customer_segmentation.explore.exploration import Exploration
from customer_segmentation.explore.figures import SECTIONS
from customer_segmentation.explore.findings import findings
from customer_segmentation.explore.text import Text, value_at

MAX_VALUES = 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MIN_ESTIMATED = 100
_HEADLINES = (
    ("Lines", "{calendar.total.lines:count}", "of {line_counts.lines:count} read"),
    ("Orders", "{calendar.total.orders:count}", "{calendar.total.orders/buyers:figure1} a customer"),
    ("Customers", "{customers:count}", "{buyers:count} with a purchase"),
    ("Net spend", "{calendar.total.net:money}", "{calendar.total.net/customers:money} a customer"),
    ("Days", "{calendar.dates:len}", "{span}"),
)


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

    @property
    def headlines(self) -> list[Headline]:
        """The figures of the data as a whole."""
        text, dates = Text(self.currency), self.data.calendar.dates
        span = fmt.day_range(dates[0], dates[-1]) if dates else "no day"
        return [Headline(*(text.fill(part, self.data, span=span) for part in parts)) for parts in _HEADLINES]


def render_page(content: PageContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    with needs_extra():
        from customer_segmentation.display.charts import draw
    data = content.data
    sections = {
        heading: [figure.panel(data, content.currency) for figure in figures if value_at(data, figure.rows.shown_if)]
        for heading, figures in SECTIONS.items()
    }
    page = environment("customer_segmentation.explore").get_template("exploration.html.j2")
    return page.render(
        content=content,
        data=data,
        sections=sections,
        tables=(t.TRANSACTIONS, t.CUSTOMERS, t.ENGAGEMENT, t.REJECTED_TRANSACTIONS),
        quantiles=QUANTILES,
        distinct=_distinct,
        figures=_figures,
        max_values=MAX_VALUES,
        remark=_remark,
        draw=draw,
        palette=palette,
        fmt=fmt,
    )


def _distinct(profile: ColumnProfile) -> str:
    """Distinct values; an estimate reads so, unless it is so small that it is exact."""
    is_exact = profile.is_counted or profile.distinct is None or profile.distinct < _MIN_ESTIMATED
    return f"{'' if is_exact else '≈ '}{fmt.count(profile.distinct)}"


def _figures(profile: ColumnProfile) -> list[str]:
    """Minimum, the shown quantiles, maximum and mean of a number; empty for other columns."""
    if profile.summary is None or not profile.summary.quantiles:
        return []
    ends = (Decimal(text) if text is not None else None for text in (profile.minimum, profile.maximum))
    minimum, maximum = ends
    quantiles = (profile.summary.quantiles[at] for at in QUANTILES)
    return [fmt.figure(value, 2) for value in (minimum, *quantiles, maximum, profile.summary.mean)]


def _remark(profile: ColumnProfile) -> str:
    """A note after the values of a column, or on why there are none."""
    if profile.rows == profile.missing:
        return "no value"
    if profile.minimum is not None:
        return f"{_moment(profile.minimum)} to {_moment(profile.maximum)}"
    if profile.column in PERSONAL_COLUMNS:
        return "not shown: personal data"
    more = (profile.distinct or 0) - MAX_VALUES
    if profile.values:
        return f"and {fmt.count(more)} more" if len(profile.values) > MAX_VALUES else ""
    return "too many values to list, or too rare to show"


def _moment(text: str | None) -> str:
    """A date in words, a time to the minute."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return fmt.plain_text(text)
    at = "" if len(text or "") <= len("2024-01-31") else f", {moment:%H:%M}"
    return f"{fmt.day(moment.date())}{at}"
