"""An ingest in a process of its own, to be killed: says when Spark is there, then reads a configuration's sources."""

import sys
from pathlib import Path

from customer_segmentation.claims import claimed_folder, note_spark_of
from customer_segmentation.config import load_config
from customer_segmentation.spark.session import get_session
from customer_segmentation.stages import ingest_sources
from customer_segmentation.storage import local_root
from tests.generated import quiet


def main() -> None:
    config = load_config([Path(sys.argv[1])])
    root = local_root(config.tables)
    with claimed_folder(root, "ingest"):
        spark = get_session(config.spark)
        note_spark_of(root, "ingest")
        print("started", flush=True)
        ingest_sources(quiet(spark, config))
        print("done", flush=True)


if __name__ == "__main__":
    main()
