"""What a report shows of a run, as plain rows. Reading the rows from tables is the caller's."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from customer_segmentation.contract.columns import CUSTOMER_ID, NOISE_ID
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.display.formatting import plain_text
from customer_segmentation.features.rfm_scores import RFM_GRID
from customer_segmentation.ingest.counts import RowCounts

Row = Mapping[str, Any]
"""A row as `pyspark.sql.Row.asDict(recursive=True)` gives it."""

_NEEDED: dict[str, frozenset[str]] = {
    "run": frozenset(
        {
            "run_id",
            "as_of_date",
            "previous_run_id",
            "model_version",
            "rows_in",
            "rows_accepted",
            "rows_rejected",
            "rejected_by_reason",
            "customers",
            "segments",
            "revenue",
        }
    ),
    "model": frozenset({"model_version", "algorithm", "k", "trained_as_of", "features", "quality", "candidates"}),
    "segments": frozenset(
        {
            "segment_id",
            "segment_name",
            "customers",
            "revenue",
            "customer_share",
            "revenue_share",
            "centroid",
            "averages",
            "differentiators",
            "traits",
            "stability",
            "action",
        }
    ),
    "rfm_cells": frozenset({"r_score", "f_score", "customers", "revenue"}),
    "rfm_segments": frozenset({"rfm_segment", "customers", "revenue"}),
    "transitions": frozenset({"from_segment_id", "to_segment_id", "customers", "revenue"}),
    "reasons": frozenset({"segment_id", "confidence", "outlier_share", "reasons"}),
    "backtest": frozenset(
        {"as_of_date", "horizon_days", "score", "outcome", "metric", "segment_id", "value", "low", "high"}
    ),
}


@dataclass(frozen=True)
class ReportContent:
    """What a report shows. Holds no customer: a row that names one raises an error.

    run: the row of `pipeline_runs`.
    model: the row of `model_runs` that the run assigned with.
    segments: the run's rows of `segment_profiles`, ordered by segment_id; -1 is noise.
    rfm_cells: customers and their revenue by r_score and f_score, 1 to 5 each; an absent cell is empty.
    rfm_segments: customers and their revenue by rfm_segment.
    transitions: the run's rows of `segment_transitions`; empty for a first run.
    reasons: of each segment, as `insight.reasons` gives them; none is shown where there are none.
    backtest: rows of `backtests`, of the newest backtest of the run's settings; none where there is none.
    title: heading of the page.
    currency: goes before every amount, such as "€" or "GBP".

    Raises CustomerSegmentationError when a row lacks a column that the report shows, or has a customer_id.
    """

    run: Row
    model: Row
    segments: list[Row]
    rfm_cells: list[Row]
    rfm_segments: list[Row]
    transitions: list[Row]
    reasons: list[Row] = field(default_factory=list)
    backtest: list[Row] = field(default_factory=list)
    title: str = "Customer segments"
    currency: str = ""

    def __post_init__(self) -> None:
        for part, needed in _NEEDED.items():
            value = getattr(self, part)
            _check(part, needed, [value] if isinstance(value, Mapping) else value)

    @property
    def line_counts(self) -> RowCounts:
        """The lines read, by outcome; those filtered out as the rest, which runs of 0.1.0 have in another column."""
        lines, accepted, rejected = (self.run[f"rows_{name}"] for name in ("in", "accepted", "rejected"))
        return RowCounts(lines, accepted, rejected, filtered_out=lines - accepted - rejected)

    @property
    def by_value(self) -> list[Row]:
        """The segments, highest revenue first, noise last: the order in which people are shown them."""
        return sorted(
            self.segments, key=lambda row: (row["segment_id"] == NOISE_ID, -(row["revenue"] or 0), row["segment_id"])
        )

    @property
    def names(self) -> dict[int, str]:
        """The name of each segment by its id: distinct, and never empty."""
        names_by_id = {row["segment_id"]: row["segment_name"] for row in self.segments}
        names = {key: plain_text(name) or f"Segment {key}" for key, name in names_by_id.items()}
        counts = Counter(names.values())
        return {key: f"{name} ({key})" if counts[name] > 1 else name for key, name in names.items()}

    @property
    def ranked_rfm_segments(self) -> list[Row]:
        """The RFM segments from the best customers to the lost ones; unknown ones after them, largest first."""
        rank = {name: position for position, name in enumerate(RFM_GRID)}
        return sorted(
            self.rfm_segments,
            key=lambda row: (rank.get(row["rfm_segment"], len(rank)), -row["customers"], str(row["rfm_segment"])),
        )

    @property
    def has_previous_run(self) -> bool:
        """Whether there is a run before this one to compare with: one of other settings has other segments."""
        return self.run["previous_run_id"] is not None and any(
            row["from_segment_id"] is not None for row in self.transitions
        )


def _check(part: str, needed: frozenset[str], rows: Iterable[Row]) -> None:
    for row in rows:
        if CUSTOMER_ID in row:
            raise CustomerSegmentationError(f"A report shows no customers; a row of its {part} has a {CUSTOMER_ID}.")
        missing = sorted(needed - set(row))
        if missing:
            raise CustomerSegmentationError(
                f"A report needs {', '.join(missing)} in its {part}; a row has only {', '.join(sorted(row))}."
            )
