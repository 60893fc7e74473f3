"""Explores the canonical tables before anything is modelled: a page, two tables and a summary on the terminal."""

from pathlib import Path

from rich.console import Console

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.explore import Exploration, PageContent, explore, render_page, summary
from customer_segmentation.explore.columns import profile_rows
from customer_segmentation.explore.figures import distribution_rows
from customer_segmentation.stages.ingest import committed_batch, ingest_sources
from customer_segmentation.stages.page import write_page
from customer_segmentation.stages.run import Run


def explore_data(run: Run, console: Console) -> Path:
    """Read the sources where they changed, write the profile's tables and page, and print the findings.

    Returns:
        Where the page is: `explore.path`, by default `explore.html` in the tables' root.

    Raises:
        DataRejectedError: a mapping does not fit its source, or too many lines are rejected.
    """
    ingest_sources(run)
    with run.progress.stage("explore", "counting what is there") as stage:
        exploration = _explored(run)
        run.warehouse.replace_rows(
            t.DATA_PROFILE,
            profile_rows(exploration.columns, run_id=run.run_id, as_of=run.as_of),
            column=c.RUN_ID,
            value=run.run_id,
        )
        run.warehouse.replace_rows(
            t.DATA_DISTRIBUTIONS, distribution_rows(exploration, run_id=run.run_id), column=c.RUN_ID, value=run.run_id
        )
        stage.result = f"{len(exploration.columns)} columns, {len(exploration.distributions)} distributions"
    content = PageContent(exploration, title=run.config.explore.title, currency=run.config.report.currency)
    with run.progress.stage("page", "drawing the page") as stage:
        path = write_page(run, run.config.explore.path, "explore.html", render_page(content))
        stage.result = str(path)
    summary(content, console)
    return path


def _explored(run: Run) -> Exploration:
    return explore(
        lines=run.inputs.transactions(),
        # Without the columns of `transactions`: those of the line itself are read from `row`.
        rejected=run.warehouse.read(t.REJECTED_TRANSACTIONS).drop(*t.TRANSACTIONS.column_names),
        customers=run.inputs.customers(),
        engagement=run.inputs.engagement(),
        line_counts=committed_batch(run).counts,
        as_of=run.as_of,
        timezone=run.config.timezone,
    )
