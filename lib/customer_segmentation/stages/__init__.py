"""The stages of a run: each reads tables of the warehouse, calls the library, and writes its own tables."""

from customer_segmentation.stages.assign import assign_segments, publish_complete_run
from customer_segmentation.stages.backtest import backtest_segments
from customer_segmentation.stages.erase import erase_customers, finish_removal
from customer_segmentation.stages.explore import explore_data
from customer_segmentation.stages.export import export_audience
from customer_segmentation.stages.features import build_features, build_features_of_dates, clustered_features
from customer_segmentation.stages.ingest import ingest_sources
from customer_segmentation.stages.maintain import maintain
from customer_segmentation.stages.report import write_report, write_report_if_possible
from customer_segmentation.stages.rollback import roll_back
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
    "erase_customers",
    "explore_data",
    "export_audience",
    "finish_removal",
    "ingest_sources",
    "maintain",
    "publish_complete_run",
    "roll_back",
    "train_segments",
    "verify_tables",
    "write_report",
    "write_report_if_possible",
]
