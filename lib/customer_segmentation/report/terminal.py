"""The segments of a run on the terminal: a table that fits the width there is."""

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from customer_segmentation.contract.columns import NOISE_ID
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.terminal import as_text
from customer_segmentation.report import model_quality, ranking
from customer_segmentation.report.content import ReportContent, Row
from customer_segmentation.report.descriptions import (
    describe_activity,
    describe_differentiator,
    differentiator_label,
    notable_differentiators,
)
from customer_segmentation.report.movement import movement

STACKED_UNDER = 130
"""Columns of the terminal under which what sets a segment apart stands below its name."""
FIGURES_FROM = 160
"""Columns of the terminal from which what sets a segment apart is shown with its figures."""
_MAX_DIFFERENTIATORS = 3


def summary(content: ReportContent, console: Console) -> None:
    """Prints the figures of the run in a line, then its segments by value in a table as wide as the console.

    Where the console is no terminal the text is plain; letters that its encoding lacks read as question marks.
    """
    console.print(as_text(console, headline(content), "bold"))
    moved = [movement(content).summary] if content.has_previous_run else []
    horizon = ranking.main_horizon(content.backtest)
    ranked = ranking.conclusions(content.backtest, horizon) if horizon is not None else []
    for line in [*quality_lines(content), *ranked, *moved]:
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
        differentiators = as_text(
            console, _differentiators(row, content.currency, figures=console.width >= FIGURES_FROM)
        )
        activity = as_text(console, describe_activity(row))
        action = as_text(console, fmt.plain_text(row["action"]), "italic" if stacked else "")
        figures = [
            as_text(console, value)
            for value in (
                fmt.count(row["customers"]),
                fmt.share(row["customer_share"]),
                fmt.money(row["revenue"], content.currency),
                fmt.share(row["revenue_share"]),
            )
        ]
        stability = as_text(console, _stability(row))
        if stacked:
            stability = Text.assemble("Stability: ", stability) if stability else stability
            below = [Padding(part, (0, 0, 0, 2)) for part in (activity, differentiators, action, stability) if part]
            table.add_row(Group(name, *below), *figures, end_section=True)
        else:
            described = Group(name, Padding(activity, (0, 0, 0, 2))) if activity else name
            table.add_row(described, *figures, stability, differentiators, action)
    console.print(table)


def headline(content: ReportContent) -> str:
    """The run in a line: as-of date, lines, customers, segments."""
    run = content.run
    return (
        f"As of {fmt.day(run['as_of_date'])}: "
        + content.line_counts.as_sum
        + f"; {fmt.count(run['customers'])} customers in {fmt.count(run['segments'])} segments"
        + "".join(
            f", {fmt.count(row['customers'])} in none" for row in content.segments if row["segment_id"] == NOISE_ID
        )
    )


def quality_lines(content: ReportContent) -> list[str]:
    """Quality of the model, a line each: clusterability, metrics, and how the number of segments was chosen."""
    verdict = model_quality.clusterability(content)
    metrics = "; ".join(f"{metric.name} {metric.value}" for metric in model_quality.metrics(content))
    return [
        *([f"{fmt.capitalized(verdict.word)}. {verdict.sentence}"] if verdict else []),
        *([f"Quality: {metrics}"] if metrics else []),
        f"{model_quality.search(content)} {model_quality.ties(content)}".rstrip(),
    ]


def _stability(row: Row) -> str:
    return "" if row["segment_id"] == NOISE_ID else str(model_quality.stability(row["stability"]))


def _differentiators(row: Row, currency: str, *, figures: bool) -> str:
    return ", ".join(
        describe_differentiator(each, currency) if figures else differentiator_label(each)
        for each in notable_differentiators(row, _MAX_DIFFERENTIATORS)
    )
