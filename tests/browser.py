"""A real browser that looks at pages: Debian's Chromium, driven by Selenium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.absent import absent

_TEXTS = """
const seen = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, range = document.createRange();
  range.selectNodeContents(walker.currentNode);
  const box = range.getBoundingClientRect();
  if (walker.currentNode.data.trim() && box.width && box.height && element.checkVisibility()) seen.push([element, box]);
}
"""

_CUT_OFF = (
    _TEXTS
    + """
return seen.filter(([element, box]) => {
  if (!element.closest("svg")) return false;
  const panel = element.closest(".panel").getBoundingClientRect(), scrolls = element.closest(".scrolls");
  return box.top < panel.top || box.bottom > panel.bottom
    || !scrolls && (box.left < panel.left || box.right > panel.right);
}).map(([element]) => element.textContent);
"""
)

_ON_ANOTHER = (
    _TEXTS
    + """
const found = [];
for (const [index, [element, a]] of seen.entries()) {
  const chart = element.closest("svg");
  for (const [other, b] of chart ? seen.slice(index + 1) : []) {
    const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    const smaller = Math.min(a.width * a.height, b.width * b.height);
    if (other.closest("svg") === chart && width > 0 && height > 0 && width * height > smaller / 5)
      found.push(`${element.textContent} / ${other.textContent}`);
  }
}
return found;
"""
)

_FAINT = (
    _TEXTS
    + """
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const painted = (colours) => {
  canvas.clearRect(0, 0, 1, 1);
  for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const luminance = (colour) => colour.map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
return seen.filter(([element]) => !element.closest("svg")).map(([element]) => {
  const style = getComputedStyle(element), layers = [];
  for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each).backgroundColor);
  const [text, ground] = [[...layers, style.color], layers].map(painted).map(luminance);
  const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
  const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  return ratio < (isLarge ? 3 : 4.5) ? `${element.textContent.trim()}: ${ratio.toFixed(2)}` : null;
}).filter(Boolean);
"""
)

_TOO_WIDE = """
const width = document.documentElement.clientWidth;
return document.documentElement.scrollWidth <= width ? [] : [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > width + 1 && !element.closest(".scroll, .scrolls, nav"))
  .map((element) => `${element.tagName} ${element.className}: ${element.textContent.trim().slice(0, 60)}`);
"""


@dataclass
class Browser:
    """A window on a page."""

    driver: Chrome

    def opens(self, page: Path, *, width: int = 1280, height: int = 900, is_dark: bool = False) -> None:
        """Open a page from its file, on a screen of a size in pixels, by day or by night."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        self.driver.get(page.as_uri())

    @property
    def complaints(self) -> list[str]:
        """What the browser wrote to its console since the page was opened: errors, and what the page may not do."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]

    @property
    def loaded(self) -> list[str]:
        """What the page loaded beside itself."""
        return self._listed("return performance.getEntriesByType('resource').map((entry) => entry.name)")

    @property
    def too_wide(self) -> list[str]:
        """Elements that make the page wider than the screen."""
        return self._listed(_TOO_WIDE)

    @property
    def cut_off(self) -> list[str]:
        """Texts of charts that are not within the panel of their chart; where it scrolls, above or below that."""
        return self._listed(_CUT_OFF)

    @property
    def on_another(self) -> list[str]:
        """Pairs of texts of charts of which one lies on the other."""
        return self._listed(_ON_ANOTHER)

    @property
    def faint(self) -> list[str]:
        """Texts beside charts with less contrast than WCAG 2.2, 1.4.3 (AA) asks: 4.5 to 1, large ones 3 to 1."""
        return self._listed(_FAINT)

    def links(self) -> list[WebElement]:
        """The links of the page's navigation."""
        return self.driver.find_elements(By.CSS_SELECTOR, "nav a")

    def is_in_sight(self, anchor: str) -> bool:
        """Whether the element with an id begins within the screen."""
        top = f"document.getElementById('{anchor}').getBoundingClientRect().top"
        return bool(self.driver.execute_script(f"return {top} >= -1 && {top} < innerHeight"))

    def _listed(self, script: str) -> list[str]:
        found = self.driver.execute_script(script)
        assert isinstance(found, list)
        return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of the tests' own; skips where none is installed, fails there in CI."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        absent("needs Chromium with its driver (Debian: apt-get install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(str(programs[1])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
