"""The report of the published run: a page and a summary on the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F
from rich.console import Console

from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, MissingPackageError
from customer_segmentation.insight.reasons import reasons
from customer_segmentation.progress import Stage
from customer_segmentation.report import ReportContent, render_page, summary
from customer_segmentation.spark.concurrently import at_once
from customer_segmentation.stages.page import write_page
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.tracking import log_report


def write_report(run: Run, console: Console) -> Path:
    """Write `report.html` of the published run and print its summary.

    Returns:
        Where the page is: `report.path`, by default `report.html` in the tables' root.

    Raises:
        ConfigurationError: nothing is published yet.
        MissingPackageError: what draws is not installed.
    """
    with run.progress.stage("report", "drawing the page") as stage:
        content = _content(run)
        path = _page(run, content, stage)
    summary(content, console)
    return path


def write_report_if_possible(run: Run, console: Console) -> Path | None:
    """Write the report where the packages that draw are installed; elsewhere print the summary and what to install."""
    with run.progress.stage("report", "drawing the page") as stage:
        content, path = _content(run), None
        try:
            path = _page(run, content, stage)
        except MissingPackageError as error:
            stage.result = f"no page: {error}"
    summary(content, console)
    return path


def _page(run: Run, content: ReportContent, stage: Stage) -> Path:
    path = write_page(run, run.config.report.path, "report.html", render_page(content))
    stage.result = str(path)
    log_report(run, content.model[c.MODEL_VERSION], path)
    return path


def _content(run: Run) -> ReportContent:
    published = run.publication.current_run_id()
    if published is None:
        raise ConfigurationError("nothing is published yet; run `customer-segmentation run` first")

    def rows(table: t.Table, *order: str) -> list[Mapping[str, Any]]:
        frame = run.warehouse.rows(table, column=c.RUN_ID, value=published).orderBy(*order)
        return [row.asDict(recursive=True) for row in frame.collect()]

    def of_run() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        pipeline_run = rows(t.PIPELINE_RUNS, c.RUN_ID)[0]
        version = str(pipeline_run[c.MODEL_VERSION])
        model = run.warehouse.rows(t.MODEL_RUNS, column=c.MODEL_VERSION, value=version).first()
        assert model is not None, "a published run has a registered model"
        return pipeline_run, model.asDict(recursive=True)

    features = run.warehouse.rows(t.CUSTOMER_FEATURES, column=c.RUN_ID, value=published)
    segmented = run.warehouse.rows(t.CUSTOMER_SEGMENTS_HISTORY, column=c.RUN_ID, value=published)
    segmented = t.CUSTOMER_SEGMENTS_HISTORY.conform(segmented)
    totals = [F.count(F.lit(1)).alias("customers"), F.sum(c.MONETARY).alias("revenue")]
    (pipeline_run, model), cells, grid, segments, moves, backtest, why = at_once(
        of_run,
        features.groupBy(c.R_SCORE, c.F_SCORE).agg(*totals).collect,
        features.groupBy(c.RFM_SEGMENT).agg(*totals).collect,
        lambda: rows(t.SEGMENT_PROFILES, c.SEGMENT_ID),
        lambda: rows(t.SEGMENT_TRANSITIONS, "from_segment_id", "to_segment_id"),
        lambda: run.backtests.newest,
        reasons(segmented).collect,
    )
    return ReportContent(
        run=pipeline_run,
        model=model,
        segments=segments,
        rfm_cells=[row.asDict() for row in cells],
        rfm_segments=[row.asDict() for row in grid],
        transitions=moves,
        backtest=backtest,
        reasons=[row.asDict(recursive=True) for row in why],
        title=run.config.report.title,
        currency=run.config.report.currency,
    )
