"""RFM scores and the 11-segment grid.

Scores are tie-safe: they come from cut points on the values, never from a customer's place in an order, so equal
customers get equal scores in any order of the rows. Cut points are kept with the model, for later days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from customer_segmentation.config.arguments import as_whole
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError

GRID_SCORES = 5
"""Scores that the grid is made for."""

MAX_SCORES = 9
"""A cell has one digit for each score."""

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


_NOBODY = "there are no customers to take the cut points of RFM scores from"
SCORED = (c.RECENCY_DAYS, c.FREQUENCY, c.MONETARY)
"""The features that are scored."""


@dataclass(frozen=True)
class CutPoints:
    """Where scores change, ascending: recency (days), frequency (orders) and monetary (money).

    For scores from 1 to n there are n - 1 of each: the percentiles that part the customers into n equal groups.
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]

    def to_dict(self) -> dict[str, list[float]]:
        """The cut points as JSON-able data."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[float]]) -> "CutPoints":
        """The cut points from what `to_dict` gives."""
        return cls(**{name: tuple(values) for name, values in data.items()})


def cut_points(features: DataFrame, *, scores: int = GRID_SCORES) -> CutPoints:
    """The values at which each RFM score changes: exact quantiles of these customers. Runs one aggregation.

    Args:
        features: recency_days, frequency and monetary per customer; at least one row.
        scores: how many scores there are to be, 2 to 9. Missing values (null, NaN) count for none of them.

    Raises:
        ConfigurationError: a column is not there, or it can't be so many scores.
        DataRejectedError: there is no customer, or a column has no numbers.
    """
    _require(features, scores, "cut_points")
    row = features.agg(*_percentiles(scores)).first()
    assert row is not None, "an aggregation without grouping has one row"
    return _cut_points_of(row)


def cut_points_by_date(features: DataFrame, *, scores: int = GRID_SCORES) -> dict[date, CutPoints]:
    """The `cut_points` of the customers at each of the dates of a frame. Runs one aggregation.

    Args:
        features: also as_of_date.
        scores: as for `cut_points`, which says what is raised.
    """
    _require(features, scores, "cut_points_by_date")
    rows = features.where(F.col(c.AS_OF_DATE).isNotNull()).groupBy(c.AS_OF_DATE).agg(*_percentiles(scores)).collect()
    return {row[0]: _cut_points_of(row[1:]) for row in sorted(rows)}


def _own_cut_points(features: DataFrame, scores: int) -> CutPoints | dict[date, CutPoints]:
    if c.AS_OF_DATE not in features.columns:
        return cut_points(features, scores=scores)
    by_date = cut_points_by_date(features, scores=scores)
    if not by_date:
        raise DataRejectedError(_NOBODY)
    return by_date if len(by_date) > 1 else next(iter(by_date.values()))


def _require(features: DataFrame, scores: int, caller: str) -> None:
    as_whole(scores, "scores", caller, minimum=2, maximum=MAX_SCORES)
    missing = [name for name in SCORED if name not in features.columns]
    if missing:
        raise ConfigurationError(
            f"{caller}: {', '.join(missing)} not among the columns {', '.join(features.columns)}; customer_features "
            "makes them"
        )
    for name in SCORED:
        kind = features.schema[name].dataType
        if not isinstance(kind, NumericType):
            raise DataRejectedError(f"{caller}: {name} is of type {kind.simpleString()}, which is no number")


def _value(name: str) -> Column:
    """The values as doubles, null where they are missing: null or NaN."""
    value = F.col(name).cast("double")
    return F.when(~F.isnan(value), value)


def _percentiles(scores: int) -> list[Column]:
    steps = F.array(*(F.lit(step / scores) for step in range(1, scores)))
    return [F.percentile(_value(name), steps).alias(name) for name in SCORED]


def _cut_points_of(percentiles: Sequence[Sequence[float] | None]) -> CutPoints:
    known = [values for values in percentiles if values is not None]
    if len(known) < len(SCORED):
        raise DataRejectedError(_NOBODY)
    # Without what interpolation adds beyond the digits that a double holds for sure.
    return CutPoints(*(tuple(float(f"{value:.15g}") for value in values) for values in known))


def rfm_scores(
    features: DataFrame, *, cuts: CutPoints | Mapping[date, CutPoints] | None = None, scores: int = GRID_SCORES
) -> DataFrame:
    """The features with r_score, f_score and m_score (1 to n, n is best), rfm_score, rfm_number and rfm_segment.

    rfm_score is the cell, such as 545; rfm_number is the mean of the three scores. The grid of rfm_segment has five
    scores: others are stretched to it, the worst to 1 and the best to 5.

    Args:
        features: recency_days (days), frequency (orders) and monetary (money) per customer.
        cuts: where scores change, such as those of an earlier day; None: the `cut_points` of these customers, at each
            as_of_date where there are several, for which one aggregation runs. May be by date, as many scores at each;
            customers at other dates have no scores.
        scores: how many scores there are, 2 to 9, where no cuts are given.

    A customer with a missing value (null, NaN) has no score in it, no cell and no segment.

    Raises:
        ConfigurationError: a column is not there, it can't be so many scores, or the cuts are none.
        DataRejectedError: there are no cuts and no customers to take them from, or a column has no numbers.

    >>> customers = spark.createDataFrame(
    ...     [("ann", 5, 9, 900.0), ("bob", 70, 1, 5.0), ("eve", 20, 4, 80.0)],
    ...     "customer_id string, recency_days int, frequency int, monetary double",
    ... )
    >>> scored = rfm_scores(customers, scores=3)
    >>> scored.select("customer_id", "rfm_score", "rfm_segment").orderBy("customer_id").show()
    +-----------+---------+------------------+
    |customer_id|rfm_score|       rfm_segment|
    +-----------+---------+------------------+
    |        ann|      333|         Champions|
    |        bob|      111|              Lost|
    |        eve|      222|Potential Loyalist|
    +-----------+---------+------------------+
    <BLANKLINE>
    """
    _require(features, scores, "rfm_scores")
    cuts = _own_cut_points(features, scores) if cuts is None else _given_cut_points(features, cuts)
    highest = len((next(iter(cuts.values())) if isinstance(cuts, Mapping) else cuts).recency) + 1
    below = [
        _cuts_below(name, [_cut(cuts, scale, step) for step in range(highest - 1)])
        for name, scale in zip(SCORED, ("recency", "frequency", "monetary"), strict=True)
    ]
    names = (c.R_SCORE, c.F_SCORE, c.M_SCORE)
    scored = features.withColumns(
        {
            c.R_SCORE: F.lit(highest) - below[0],
            c.F_SCORE: F.lit(1) + below[1],
            c.M_SCORE: F.lit(1) + below[2],
        }
    )
    grid = F.create_map(*(F.lit(text) for pair in SEGMENT_OF_CELL.items() for text in pair))
    step = F.lit((GRID_SCORES - 1) / max(highest - 1, 1))
    in_grid = [F.round((F.col(name) - 1) * step + 1).cast("int") for name in names]
    return scored.withColumns(
        {
            c.RFM_SCORE: _cell([F.col(name) for name in names]),
            c.RFM_NUMBER: (F.col(c.R_SCORE) + F.col(c.F_SCORE) + F.col(c.M_SCORE)) / F.lit(len(names)),
            c.RFM_SEGMENT: grid[_cell(in_grid)],
        }
    )


def _given_cut_points(features: DataFrame, cuts: object) -> CutPoints | Mapping[date, CutPoints]:
    """What a caller gives as cut points.

    Raises:
        ConfigurationError: it is none, or they are not as many for each score.
    """
    by_date = cuts if isinstance(cuts, Mapping) else {None: cuts}
    every = list(by_date.values())
    if not every or not all(isinstance(each, CutPoints) for each in every):
        raise ConfigurationError(
            f"rfm_scores: cuts must be CutPoints (CutPoints.from_dict makes them of a dictionary), or several by date; "
            f"found {cuts!r:.60}"
        )
    if len({len(values) for each in every for values in (each.recency, each.frequency, each.monetary)}) > 1:
        raise ConfigurationError(f"rfm_scores: cuts must have as many points for each score; found {cuts!r:.200}")
    if isinstance(cuts, Mapping) and c.AS_OF_DATE not in features.columns:
        raise ConfigurationError("rfm_scores: cuts by date need the column as_of_date, which the features don't have")
    return cuts  # type: ignore[return-value]


def _cell(scores: Sequence[Column]) -> Column:
    return F.concat(*(score.cast("string") for score in scores))


def _cut(cuts: CutPoints | Mapping[date, CutPoints], scale: str, step: int) -> Column:
    """A cut point, that of the row's date where there are several."""
    if isinstance(cuts, CutPoints):
        return F.lit(getattr(cuts, scale)[step])
    by_date = (F.lit(value) for day, points in cuts.items() for value in (day, getattr(points, scale)[step]))
    return F.create_map(*by_date)[F.col(c.AS_OF_DATE)]


def _cuts_below(name: str, cuts: Sequence[Column]) -> Column:
    """How many cut points lie below the value; null where that is missing."""
    value = _value(name)
    return sum((F.when(value > cut, 1).when(value <= cut, 0) for cut in cuts), F.lit(0))
