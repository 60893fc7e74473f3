"""The report as one HTML page that needs nothing beside itself: no network, no scripts, no fonts."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.report import effects, palette, rfm, view, wording
from customer_segmentation.report.content import ReportContent
from customer_segmentation.report.movement import movement

MOVES_SHOWN = 6

_EXTRA = ("altair", "vl_convert")


def render_page(content: ReportContent) -> str:
    """The whole page as text, to be written as UTF-8.

    The same content gives the same page. Raises CustomerSegmentationError when the `report` extra, which draws
    the charts, isn't installed.
    """
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            content=content,
            figures=_figures(content),
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
            search=view.search(content),
            quality=view.quality(content),
            reasons=view.reasons(content),
            palette=palette,
            w=wording,
        )
    )


def _figures(content: ReportContent) -> dict[str, Any]:
    try:
        from customer_segmentation.report.figures import draw
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _EXTRA:
            raise
        raise CustomerSegmentationError(
            f"The report's charts need {missing.replace('_convert', '-convert-python')}, which isn't installed; "
            "run: pip install 'customer-segmentation[report]'"
        ) from error
    return dict(draw(content))


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("customer_segmentation.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
