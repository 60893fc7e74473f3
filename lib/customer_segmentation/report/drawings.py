"""Every drawing of the page. Needs the `report` extra: Altair and vl-convert-python."""

from collections.abc import Callable

import altair as alt

from customer_segmentation.display import rfm_charts
from customer_segmentation.display.formatting import known
from customer_segmentation.display.svg import HALF, PHONE, WIDE, Drawing, drawing_pair, svg
from customer_segmentation.report import charts, ranking
from customer_segmentation.report.candidates_chart import candidates_chart
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.effects import profile_features
from customer_segmentation.report.model_quality import candidates
from customer_segmentation.report.ranking_chart import ranking_chart


def draw(content: ReportContent) -> dict[str, Drawing]:
    """The page's drawings by name; the ones that would be empty are left out."""
    drawn: dict[str, Drawing] = {}
    if content.segments:
        label = "Bars: each segment's share of customers beside its share of net revenue."
        drawn["shares"] = _pair(charts.shares_chart, content, label, WIDE)
    if profile_features(content):
        label = "Heat map: how far each segment lies from all customers, by feature, in standard deviations."
        wide, narrow = (charts.profile_width(content, width=width) for width in (WIDE, PHONE))
        drawn["profile"] = Drawing(
            svg(charts.profile_chart(content, width=wide), label),
            svg(charts.profile_chart(content, width=narrow, narrow=True), label, at_least=narrow),
        )
    if content.rfm_cells:
        label = "Heat map: customers and their net revenue by recency score and frequency score."
        drawn["rfm_grid"] = drawing_pair(
            lambda width: rfm_charts.rfm_grid(content.rfm_cells, currency=content.currency, width=width), label, HALF
        )
    if content.rfm_segments:
        drawn["rfm_bars"] = drawing_pair(
            lambda width: rfm_charts.rfm_bars(content.ranked_rfm_segments, width=width),
            "Bars: customers in each RFM segment.",
            HALF,
        )
    horizon = ranking.main_horizon(content.backtest)
    scores = [] if horizon is None else ranking.ranking(content.backtest, horizon)
    if scores:
        label = f"Points with intervals: how well each score ranks customers by net spend in the next {horizon} days."
        drawn["ranking"] = drawing_pair(lambda width: ranking_chart(scores, width=width), label, WIDE)
    tried = (row for row in candidates(content) if row.get("algorithm") == content.model["algorithm"])
    if any(known(row["silhouette"]) for row in tried):
        label = f"Lines: agreement, separation and silhouette by number of segments; {content.model['k']} were chosen."
        drawn["candidates"] = _pair(candidates_chart, content, label, HALF)
    return drawn


def _pair(chart: Callable[..., alt.LayerChart], content: ReportContent, label: str, width: int) -> Drawing:
    return drawing_pair(lambda across: chart(content, width=across), label, width)
