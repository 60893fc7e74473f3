"""The main facts of an exploration and its warnings on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from customer_segmentation.display import formatting as w
from customer_segmentation.display.terminal import as_text
from customer_segmentation.explore.page import PageContent
from customer_segmentation.explore.view import headlines


def summary(content: PageContent, console: Console) -> None:
    """Prints where the lines went, the figures of the data as a whole, and what stands out."""
    found = content.found
    intake = found.intake
    sums = w.accounted(intake.lines, intake.accepted, intake.refused, intake.left_out)
    line = f"As of {w.day(found.as_of)}: {sums}"
    console.print(as_text(console, line, "bold"))
    console.print()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(justify="right", no_wrap=True)
    facts.add_column(overflow="fold")
    for headline in headlines(found, content.currency):
        facts.add_row(*(as_text(console, told) for told in (headline.name, headline.value, headline.note)))
    console.print(facts)
    console.print()
    told = content.findings
    if not told:
        console.print(as_text(console, "Nothing stands out."))
        return
    marks = Table(box=box.SIMPLE if console.is_terminal else None, show_header=False, pad_edge=False, show_edge=False)
    marks.add_column(no_wrap=True)
    marks.add_column(overflow="fold")
    for finding in told:
        mark = ("look", "yellow") if finding.is_warning else ("note", "cyan")
        marks.add_row(as_text(console, *mark), as_text(console, finding.text))
    console.print(marks)
