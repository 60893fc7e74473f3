"""The report as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting, palette
from customer_segmentation.display.summary import rejection_reasons
from customer_segmentation.display.template import environment, needs_extra
from customer_segmentation.report import effects, model_quality, rfm, view
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.movement import movement

MOVES_SHOWN = 6


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
            figures=draw(content),
            headlines=view.headlines(content),
            glance=view.glance(content),
            cards=view.cards(content),
            features=effects.profile_features(content),
            effects=effects.profile_effects(content),
            scores=rfm.SCORES,
            rfm_cells={(row["r_score"], row["f_score"]): row for row in content.rfm_cells},
            rfm_rows=rfm.rfm_rows(content),
            movement=movement(content) if content.has_previous_run else None,
            moves_shown=MOVES_SHOWN,
            structure=model_quality.structure(content),
            structures=model_quality.STRUCTURES,
            algorithm=model_quality.algorithm(content),
            search=model_quality.search(content),
            tried=model_quality.tried(content),
            quality=model_quality.quality(content),
            reasons=rejection_reasons(content.run["rejected_by_reason"], content.run["rows_rejected"]),
            noise_id=NOISE_ID,
            palette=palette,
            w=formatting,
        )
    )
