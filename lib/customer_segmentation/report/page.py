"""The report as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from customer_segmentation.clustering.selection.choice import STABLE_AGREEMENT
from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting, palette
from customer_segmentation.display.template import environment, needs_extra
from customer_segmentation.features.rfm_scores import GRID_SCORES
from customer_segmentation.report import descriptions, effects, model_quality, ranking, view
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.movement import movement

MAX_DIFFERENTIATORS = 4
MAX_TRAITS = 3
MAX_MOVES = 6


def render_page(content: ReportContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    with needs_extra():
        from customer_segmentation.report.drawings import draw
    return (
        environment("customer_segmentation.report")
        .get_template("page.html.j2")
        .render(
            content=content,
            drawings=draw(content),
            headlines=view.headlines(content),
            glance=view.glance(content),
            reasons={row["segment_id"]: row for row in content.reasons if row["segment_id"] != NOISE_ID},
            words=descriptions,
            max_differentiators=MAX_DIFFERENTIATORS,
            max_traits=MAX_TRAITS,
            features=effects.profile_features(content),
            effects=effects.profile_effects(content),
            scores=range(1, GRID_SCORES + 1),
            rfm_cells={(row["r_score"], row["f_score"]): row for row in content.rfm_cells},
            rfm_rows=content.ranked_rfm_segments,
            movement=movement(content) if content.has_previous_run else None,
            max_moves=MAX_MOVES,
            ranking=ranking,
            horizon=ranking.main_horizon(content.backtest),
            clusterability=model_quality.clusterability(content),
            algorithm=model_quality.algorithm(content),
            search=model_quality.search(content),
            candidates=model_quality.formatted_candidates(content),
            ties=model_quality.ties(content),
            stable_agreement=STABLE_AGREEMENT,
            metrics=model_quality.metrics(content),
            model_quality=model_quality,
            noise_id=NOISE_ID,
            palette=palette,
            fmt=formatting,
        )
    )
