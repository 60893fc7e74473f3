"""The main facts of an exploration and its findings on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.terminal import as_text
from customer_segmentation.explore.page import PageContent


def summary(content: PageContent, console: Console) -> None:
    """Print the lines by outcome, the figures of the data as a whole, and the findings."""
    data, found = content.data, content.findings
    console.print(as_text(console, f"As of {fmt.day(data.as_of)}: {data.line_counts.describe()}", "bold"))
    console.print()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(justify="right", no_wrap=True)
    facts.add_column(overflow="fold")
    for headline in content.headlines:
        facts.add_row(*(as_text(console, text) for text in (headline.name, headline.value, headline.note)))
    console.print(facts)
    console.print()
    table = Table(box=box.SIMPLE if console.is_terminal else None, show_header=False, pad_edge=False, show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        severity = finding.severity
        table.add_row(as_text(console, severity.label, severity.colour), as_text(console, finding.text))
    console.print(table if found else as_text(console, "Nothing stands out."))
