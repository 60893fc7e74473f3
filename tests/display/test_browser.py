"""The pages in a real browser: what fits, what can be read, what is loaded."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from customer_segmentation.report import ReportContent, render_page
from tests.browser import Browser, browser
from tests.display.test_report import content, empty_content, hostile_content

pytestmark = pytest.mark.slow

REPORTS: dict[str, Callable[[], ReportContent]] = {
    "usual": content,
    "hostile": hostile_content,
    "empty": empty_content,
}
OF_A_RUN = ["report.html", "explore.html"]
PHONE, TABLET, DESKTOP = 360, 768, 1280


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module", params=[*REPORTS, *OF_A_RUN])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a page: a report of made-up content, or what a run and an exploration leave."""
    if request.param in OF_A_RUN:
        root: Path = request.getfixturevalue("root")
        return root / str(request.param)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(REPORTS[request.param]()))
    return path


def test_a_page_loads_nothing_and_the_browser_has_nothing_to_complain_of(window: Browser, page: Path) -> None:
    window.opens(page)

    assert window.loaded == []
    assert window.complaints == []


@pytest.mark.parametrize("width", [PHONE, TABLET, DESKTOP])
def test_a_page_is_as_wide_as_the_screen_and_no_text_of_a_chart_is_cut_off(
    window: Browser, page: Path, width: int
) -> None:
    window.opens(page, width=width)

    assert window.too_wide == []
    assert window.cut_off == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("page", ["usual", *OF_A_RUN], indirect=True)
def test_no_text_of_a_chart_lies_on_another(window: Browser, page: Path, width: int) -> None:
    window.opens(page, width=width)

    assert window.on_another == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_texts_stand_out_from_what_they_are_on(window: Browser, page: Path, is_dark: bool) -> None:
    window.opens(page, is_dark=is_dark)

    assert window.faint == []


@pytest.mark.parametrize("page", ["usual", *OF_A_RUN], indirect=True)
def test_every_link_of_the_navigation_leads_to_its_section(window: Browser, page: Path) -> None:
    window.opens(page)
    links = window.links()

    assert len(links) > 3
    for link in links:
        anchor = (link.get_attribute("href") or "").partition("#")[2]
        window.driver.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
        link.click()
        assert window.is_in_sight(anchor), anchor
