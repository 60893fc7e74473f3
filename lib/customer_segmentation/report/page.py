"""The report as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.report import effects, palette, rfm, trust, view, wording
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.movement import movement
from customer_segmentation.report.template import environment, needs_extra

MOVES_SHOWN = 6


def render_page(content: ReportContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    with needs_extra():
        from customer_segmentation.report.figures import draw
    return (
        environment()
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
            structure=trust.structure(content),
            structures=trust.STRUCTURES,
            algorithm=trust.algorithm(content),
            search=trust.search(content),
            tried=trust.tried(content),
            quality=trust.quality(content),
            reasons=view.reasons(content),
            noise_id=NOISE_ID,
            palette=palette,
            w=wording,
        )
    )
