"""`python -m benchmarks [NAME ...] [--lines N] [--runs N]`: run all benchmarks, or the named ones."""

import argparse

from benchmarks import assignment, choice, dbscan, features, hierarchy, ingest, pipeline, scale, value
from benchmarks.measuring import finish

BENCHMARKS = {
    "ingest": ingest.measure,
    "batch": ingest.measure_batch,
    "features": features.measure,
    "day": features.measure_day,
    "dates": features.measure_dates,
    "growth": features.measure_growth,
    "choice": choice.measure,
    "dbscan": dbscan.measure,
    "hierarchy": hierarchy.measure,
    "assignment": assignment.measure,
    "pipeline": pipeline.measure,
    "scale": scale.measure,
    "value": value.measure,
    "value_scale": value.measure_scale,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--lines", type=int, default=10_000_000, help="order lines to measure with; customers are a tenth"
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the medians are told")
    options = parser.parse_args()
    for name in options.names or BENCHMARKS:
        finish(name, BENCHMARKS[name](lines=options.lines, runs=options.runs))
