"""RFM scores and the 11-segment grid.

Scores are tie-safe: they come from cut points on the values, never from a customer's place in an order, so equal
customers get equal scores however the rows lie. Cut points belong to the model and are used again with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c

SCORES = 5
_QUANTILES = [step / SCORES for step in range(1, SCORES)]

RFM_GRID: dict[str, str] = {
    "Champions": "555 554 544 545 454 455 445",
    "Loyal": "543 444 435 355 354 345 344 335",
    "Potential Loyalist": "553 551 552 541 542 533 532 531 452 451 442 441 "
    "431 453 433 432 423 353 352 351 342 341 333 323",
    "New": "512 511 422 421 412 411 311",
    "Promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
    "Need Attention": "535 534 443 434 343 334 325 324",
    "About To Sleep": "331 321 312 221 213",
    "At Risk": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
    "Can't Lose": "155 154 144 214 215 115 114 113",
    "Hibernating": "332 322 231 241 251 233 232 223 222 132 123 122 212 211",
    "Lost": "111 112 121 131 141 151",
}
"""Cells of (R, F, M) by segment: an exact partition of the 125."""

SEGMENT_OF_CELL: dict[str, str] = {cell: name for name, cells in RFM_GRID.items() for cell in cells.split()}


@dataclass(frozen=True)
class CutPoints:
    """The 20th, 40th, 60th and 80th percentiles of recency (days), frequency (orders) and monetary (money)."""

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]

    def as_dict(self) -> dict[str, list[float]]:
        """The cut points as JSON-able data."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[float]]) -> "CutPoints":
        """The cut points that `as_dict` told."""
        return cls(**{name: tuple(values) for name, values in data.items()})


def cut_points(features: DataFrame) -> CutPoints:
    """Exact quintile cut points of the customers at hand. Runs one aggregation.

    Args:
        features: recency_days, frequency and monetary per customer; at least one row.
    """
    row = features.agg(
        *(
            F.percentile(F.col(name).cast("double"), F.array(*map(F.lit, _QUANTILES))).alias(name)
            for name in (c.RECENCY_DAYS, c.FREQUENCY, c.MONETARY)
        )
    ).first()
    assert row is not None, "an aggregation without grouping has one row"
    return CutPoints(*(tuple(float(f"{value:.9g}") for value in values) for values in row))


def with_rfm(features: DataFrame, cuts: CutPoints) -> DataFrame:
    """The features with r_score, f_score and m_score (1-5, 5 is best), rfm_score and rfm_segment."""
    scored = features.withColumns(
        {
            c.R_SCORE: F.lit(SCORES) - _cuts_below(c.RECENCY_DAYS, cuts.recency),
            c.F_SCORE: F.lit(1) + _cuts_below(c.FREQUENCY, cuts.frequency),
            c.M_SCORE: F.lit(1) + _cuts_below(c.MONETARY, cuts.monetary),
        }
    )
    cell = F.concat(*(F.col(name).cast("string") for name in (c.R_SCORE, c.F_SCORE, c.M_SCORE)))
    grid = F.create_map(*(F.lit(text) for pair in SEGMENT_OF_CELL.items() for text in pair))
    return scored.withColumn(c.RFM_SCORE, cell).withColumn(c.RFM_SEGMENT, grid[F.col(c.RFM_SCORE)])


def _cuts_below(name: str, cuts: tuple[float, ...]) -> Column:
    """How many cut points lie below the value, 0 to 4."""
    value = F.col(name).cast("double")
    return sum((F.when(value > cut, 1).otherwise(0) for cut in cuts), F.lit(0))
