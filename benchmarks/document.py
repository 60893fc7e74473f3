"""`python -m benchmarks.document`: writes docs/performance.md and docs/scale.md from what was last measured."""

import json
import statistics
from pathlib import Path

from benchmarks import scale_page
from benchmarks.measuring import RESULTS
from benchmarks.scale import COSTS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
HEAD = """# Performance

Made by `python -m benchmarks.document` from `benchmarks/results`, which `python -m benchmarks NAME` writes. Each line
compares the library with a peer that took turns with it on the same machine: seconds are medians, the ratio is the
median of the turns' ratios, and *at most* is the ratio aimed at: one above it is in bold. Where time goes in a run of
your own, stage by stage, tells `python -m benchmarks.run_profile --config conf/mine.yml`.
"""


def pages() -> dict[Path, str]:
    """The texts of the pages, by their files."""
    costs = json.loads(COSTS.read_text(encoding="utf-8"))
    return {PAGE: _page(), scale_page.PAGE: scale_page.page(costs)}


def _page() -> str:
    return "\n".join([HEAD, *(_section(path) for path in sorted(RESULTS.glob("*.json")))])


def _shown(ratio: float, limit: float) -> str:
    return f"{ratio:.2f}" if ratio <= limit else f"**{ratio:.2f}**"


def _section(path: Path) -> str:
    result = json.loads(path.read_text(encoding="utf-8"))
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    rows = [
        "| what | seconds | peer | its seconds | ratio | at most |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for one in result["comparisons"]:
        ours, theirs = (statistics.median(one[whose]) for whose in ("ours", "theirs"))
        cells = (
            one["what"],
            f"{ours:.1f}",
            one["peer"],
            f"{theirs:.1f}",
            _shown(one["ratio"], one["limit"]),
            f"{one['limit']:g}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    turns = len(result["comparisons"][0]["ours"])
    return "\n".join([f"## {path.stem}\n", *rows, "", f"Turns: {turns}. Machine: {machine}.", ""])


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
