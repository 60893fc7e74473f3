"""`python -m benchmarks.backtest_tables TITLE=ROOT ... > docs/backtests.md`: the newest backtests as tables.

A root has the tables of a configuration over which `customer-segmentation backtest` has run.
"""

import sys
from collections.abc import Iterator
from typing import Any

from deltalake import DeltaTable

from customer_segmentation.report.ranking import conclusions, horizons, ranking

HEAD = """# Backtests

What ranks customers by what they spend next, found by `customer-segmentation backtest`: everything is fitted with what
was known before a date and evaluated by net spend in the days after it. Figures are means over the dates; in brackets
are 95% intervals by bootstraps of the customers. *Gini* is the Gini coefficient of a ranking by that of the best one
there is: 1 as well as can be, 0 as by chance. *Top 20%* is the share of all net spend that the 20% of the customers
ranked highest bring. *Total* is how far the forecast of the total is off, for scores that are forecasts.

Made by `python -m benchmarks.backtest_tables`. [How it is done](decisions/backtests.md).
"""


def rows_of(root: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DeltaTable(f"{root}/backtests").to_pyarrow_table().to_pylist()
    newest = max(rows, key=lambda row: row["tested_at"])["run_id"]
    return [row for row in rows if row["run_id"] == newest]


def page(title: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"## {title}"
    for horizon in horizons(rows):
        dates = sorted({row["as_of_date"] for row in rows if row["horizon_days"] == horizon and row["as_of_date"]})
        yield f"### The next {horizon} days"
        yield f"From {', '.join(map(str, dates))}. {' '.join(conclusions(rows, horizon))}"
        yield "\n".join(
            [
                "| ranked by | Gini | less that of past spend | Spearman | top 10% | top 20% | total | dates |",
                "| --- | --- | --- | --- | --- | --- | --- | --- |",
                *(
                    f"| {score.title} | {score.figure} | {score.gain} | {score.spearman} | {score.top_10} | "
                    f"{score.top_20} | {score.error_of_total} | {score.dates} |"
                    for score in ranking(rows, horizon)
                ),
            ]
        )


if __name__ == "__main__":
    roots = dict(argument.split("=", 1) for argument in sys.argv[1:])
    print("\n\n".join([HEAD.rstrip(), *(part for title, root in roots.items() for part in page(title, rows_of(root)))]))
