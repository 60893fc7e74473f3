"""The stages of a run: each reads tables of the warehouse, calls the library, and writes its own tables."""

from customer_segmentation.stages.assign import assign_segments, publish_complete_run
from customer_segmentation.stages.backtest import backtest_segments
from customer_segmentation.stages.explore import explore_data
from customer_segmentation.stages.features import build_features, build_features_of_dates, clustered_features
from customer_segmentation.stages.ingest import ingest_sources
from customer_segmentation.stages.report import write_report
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.train import train_segments
from customer_segmentation.stages.verify import verify_tables

__all__ = [
    "Run",
    "assign_segments",
    "backtest_segments",
    "build_features",
    "build_features_of_dates",
    "clustered_features",
    "explore_data",
    "ingest_sources",
    "publish_complete_run",
    "train_segments",
    "verify_tables",
    "write_report",
]
