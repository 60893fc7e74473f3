"""Cadence: the rhythm of the days on which a customer buys, and whether the next one is overdue."""

from customer_segmentation.contract.features.feature import Feature, ratio

_GAPS = "(days - 1)"
_MEAN_GAP = ratio("date_diff(last_day, first_day)", _GAPS)
_VARIANCE = (
    f"greatest(0D, try_divide(cast(gap_squares AS DOUBLE) - {_GAPS} * {_MEAN_GAP} * {_MEAN_GAP}, "
    "cast(days - 2 AS DOUBLE)))"
)
_DEVIATION = f"if(days > 2, sqrt({_VARIANCE}), NULL)"
_LOG_SPREAD = f"(ln({_MEAN_GAP}) - try_divide(gap_logs, cast({_GAPS} AS DOUBLE)))"
_SINCE_LAST = "cast(date_diff(as_of, last_day) AS DOUBLE)"
_TENURE = "cast(date_diff(as_of, first_day) AS DOUBLE)"

MOST_REGULAR = 100.0
"""Regularity of days that are equally far apart, where the formula has no limit."""

CADENCE = (
    Feature(
        name="days_between_orders",
        family="cadence",
        unit="days",
        meaning="Mean gap between days with a purchase; null for a customer with one such day.",
        formula=_MEAN_GAP,
        shape="skewed",
        high="long gaps",
        low="short gaps",
    ),
    Feature(
        name="gap_deviation",
        family="cadence",
        unit="days",
        meaning=(
            "Standard deviation of the gaps between days with a purchase (sample); null with fewer than three such "
            "days."
        ),
        formula=_DEVIATION,
        shape="skewed",
        high="uneven gaps",
        low="even gaps",
    ),
    Feature(
        name="gap_variation",
        family="cadence",
        unit="ratio",
        meaning="Coefficient of variation of the gaps: their deviation by their mean; null with fewer than three days.",
        formula=f"try_divide({_DEVIATION}, {_MEAN_GAP})",
        shape="skewed",
        high="irregular",
        low="steady",
    ),
    Feature(
        name="regularity",
        family="cadence",
        unit="ratio",
        meaning=(
            "Shape of the gamma distribution of the gaps: 1 is random, above regular like a clock, at most 100; null "
            "with fewer than three days."
        ),
        # Minka (2002): shape from s = ln(mean) - mean(ln).
        formula=(
            f"CASE WHEN days < 3 THEN NULL WHEN {_LOG_SPREAD} < 1e-9 THEN {MOST_REGULAR}D ELSE least({MOST_REGULAR}D, "
            f"(3 - {_LOG_SPREAD} + sqrt(({_LOG_SPREAD} - 3) * ({_LOG_SPREAD} - 3) + 24 * {_LOG_SPREAD})) "
            f"/ (12 * {_LOG_SPREAD})) END"
        ),
        shape="skewed",
        high="regular as a clock",
        low="random timing",
        source="transactions; Wheat and Morrison 1990, estimated as in Minka 2002",
    ),
    Feature(
        name="clumpiness",
        family="cadence",
        unit="index",
        meaning=(
            "How bunched the days with a purchase are, 0 evenly spread to 1, over the time from the first purchase to "
            "the as-of date; null for a customer with one such day."
        ),
        formula=(
            "if(days < 2, NULL, greatest(0D, least(1D, 1D + (try_divide(gap_entropy + "
            f"{_SINCE_LAST} * ln({_SINCE_LAST}), {_TENURE}) - ln({_TENURE})) / ln(cast(days AS DOUBLE)))))"
        ),
        high="buys in bursts",
        low="spread evenly",
        source="transactions; Zhang, Bradlow and Small 2015",
    ),
    Feature(
        name="days_to_next_order",
        family="cadence",
        unit="days",
        meaning=(
            "Days from the as-of date to the expected next purchase, the last one plus the mean gap; negative when "
            "overdue, null for a customer with one day."
        ),
        formula=f"{_MEAN_GAP} - {_SINCE_LAST}",
        high="next order far off",
        low="next order due",
    ),
    Feature(
        name="overdue_ratio",
        family="cadence",
        unit="ratio",
        meaning="Days since the last purchase by the mean gap: above 1 is overdue; null for a customer with one day.",
        formula=f"try_divide({_SINCE_LAST}, {_MEAN_GAP})",
        shape="skewed",
        high="overdue",
        low="on time",
    ),
)
