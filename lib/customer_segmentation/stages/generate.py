"""Writes synthetic data with its truth, as sources to be read like any other."""

from collections.abc import Callable

from pyspark.sql import DataFrame

from customer_segmentation import synthetic
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.stages.run import Run

DATA: dict[str, Callable[..., DataFrame]] = {
    "transactions": synthetic.order_lines,
    "customers": synthetic.customer_attributes,
    "engagement": synthetic.engagement_events,
    "truth_segments": synthetic.true_segments,
    "truth_dirt": synthetic.true_dirt,
}
"""What is generated, by the folder it goes into."""


def generate_data(run: Run) -> None:
    """Write order lines, customers, events and the truth below `generate.path`, replacing what is there.

    Raises:
        ConfigurationError: `generate.path` is not configured.
    """
    settings = run.config.generate
    if settings.path is None:
        raise ConfigurationError("generate.path: is missing; say where the data goes, such as warehouse/synthetic/data")
    for name, make in DATA.items():
        path = f"{settings.path.rstrip('/')}/{name}"
        with run.progress.stage(name, f"writing {path}") as stage:
            frame = make(run.spark, settings, seed=run.config.seed)
            writer = frame.write.mode("overwrite")
            if settings.format == "csv":
                writer = writer.option("header", "true")
            writer.format(settings.format).save(path)
            stage.result = path
