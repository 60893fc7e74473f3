"""The flow, end to end. A run of the same settings on what was read before is complete already, and not made again.

sources ─▶ ingest ─▶ features ─▶ train ─▶ assign ─▶ report
           │          │           │        │          │
           │          │           │        │          └ report.html, a summary on the terminal
           │          │           │        └ customer_segments_history, segment_profiles, segment_transitions,
           │          │           │          pipeline_runs; then customer_segments in one commit, publications
           │          │           └ segment_lineage, model_runs, and model_core_points of dbscan
           │          └ customer_features
           └ transactions, rejected_transactions, returns, customers, engagement
"""

from pathlib import Path

from rich.console import Console

from customer_segmentation.stages import (
    Run,
    assign_segments,
    build_features,
    finish_removal,
    ingest_sources,
    publish_complete_run,
    train_segments,
    write_report_if_possible,
)


def run_pipeline(run: Run, console: Console) -> Path | None:
    """Ingest, features, train, assign and report. Every stage is a job by itself too and finds its input in the tables.

    Returns:
        Where the report is; None where what draws it is not installed.
    """
    finish_removal(run)  # where an erasure ended midway
    ingest_sources(run)
    if not publish_complete_run(run):
        build_features(run)
        train_segments(run)
        assign_segments(run)
    return write_report_if_possible(run, console)
