"""The segments of a run on the terminal: a table that fits the width there is."""

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting as w
from customer_segmentation.display.terminal import as_text
from customer_segmentation.report import model_quality
from customer_segmentation.report.content import ReportContent, Row

STACKED_UNDER = 130
"""Columns of the terminal under which what sets a segment apart stands below its name."""
FIGURES_FROM = 160
"""Columns of the terminal from which what sets a segment apart is told with its figures."""
_APART = 3
_SCORES = 4
"""Numbers of segments whose scores are told."""


def summary(content: ReportContent, console: Console) -> None:
    """Prints the figures of the run in a line, then its segments by value in a table as wide as the console.

    Where the console is no terminal the text is plain; letters that its encoding lacks read as question marks.
    """
    console.print(as_text(console, headline(content), "bold"))
    for line in verdict(content):
        console.print(as_text(console, line))
    console.print()
    stacked = console.width < STACKED_UNDER
    table = Table(
        box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII,
        show_edge=False,
        pad_edge=False,
        show_lines=stacked and not console.is_terminal,
        header_style="bold",
    )
    table.add_column("Segment", overflow="fold", ratio=3 if stacked else 2)
    for heading in ("Customers", "Share", "Revenue", "Share"):
        table.add_column(heading, justify="right", no_wrap=True)
    if not stacked:
        table.add_column("Stability", no_wrap=True)
        table.add_column("What sets it apart", overflow="fold", ratio=3)
        table.add_column("Suggested action", overflow="fold", ratio=3)
    names = content.names
    for row in content.by_value:
        name = as_text(console, names[row["segment_id"]], "bold")
        apart = as_text(console, _apart(row, content.currency, figures=console.width >= FIGURES_FROM))
        action = as_text(console, w.plain(row["action"]), "italic" if stacked else "")
        figures = [
            as_text(console, told)
            for told in (
                w.count(row["customers"]),
                w.share(row["customer_share"]),
                w.money(row["revenue"], content.currency),
                w.share(row["revenue_share"]),
            )
        ]
        again = as_text(console, _stability(row))
        if stacked:
            again = Text.assemble("Stability: ", again) if again else again
            below = [Padding(part, (0, 0, 0, 2)) for part in (apart, action, again) if part]
            table.add_row(Group(name, *below), *figures, end_section=True)
        else:
            table.add_row(name, *figures, again, apart, action)
    console.print(table)


def headline(content: ReportContent) -> str:
    """The run in a line: as-of date, lines, customers, segments."""
    run = content.run
    return (
        f"As of {w.day(run['as_of_date'])}: "
        + w.accounted(*(run[name] for name in ("rows_in", "rows_accepted", "rows_rejected", "rows_left_out")))
        + f"; {w.count(run['customers'])} customers in {w.count(run['segments'])} segments"
        + "".join(f", {w.count(row['customers'])} in none" for row in content.segments if row["segment_id"] == NOISE_ID)
    )


def verdict(content: ReportContent) -> list[str]:
    """How far to trust the segments: the structure, the quality figures, and what was tried; a line each."""
    found = model_quality.structure(content)
    figures = "; ".join(f"{figure.name} {figure.value}" for figure in model_quality.quality(content))
    scores = model_quality.best_scores(content, _SCORES)
    return [
        *([f"{w.sentence(found.word)}. {found.sentence}"] if found else []),
        *([f"Quality: {figures}"] if figures else []),
        model_quality.search(content) + (f" Scores: {scores}" if scores else ""),
    ]


def _stability(row: Row) -> str:
    if row["segment_id"] == NOISE_ID:
        return ""
    word = w.stability(row["stability"])
    return f"{word} ({row['stability']:.2f})" if w.known(row["stability"]) else word


def _apart(row: Row, currency: str, *, figures: bool) -> str:
    told = w.telling(row, _APART)
    return ", ".join(w.apart(each, currency) if figures else w.apart_words(each) for each in told)
