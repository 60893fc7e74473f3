"""Cadence: the rhythm of the days on which a customer buys, and whether the next one is overdue."""

from customer_segmentation.contract.features.feature import Feature, digamma, ratio

_GAPS = "(days - 1)"
_MEAN_GAP = ratio("date_diff(last_day, first_day)", _GAPS)
_VARIANCE = (
    f"greatest(0D, try_divide(cast(gap_squares AS DOUBLE) - {_GAPS} * {_MEAN_GAP} * {_MEAN_GAP}, "
    "cast(days - 2 AS DOUBLE)))"
)
_DEVIATION = f"if(days > 2, sqrt({_VARIANCE}), NULL)"
_COUNT = f"cast({_GAPS} AS DOUBLE)"
# Random gaps spread less where there are few of them, by psi(n) - ln(n): the logarithm of their mean is lower.
_LOG_SPREAD = f"(ln({_MEAN_GAP}) - try_divide(gap_logs, {_COUNT}) - {digamma(_COUNT)} + ln({_COUNT}))"
# Minka (2002): the shape from s = ln(mean) - mean(ln).
_SHAPE = f"((3 - {_LOG_SPREAD} + sqrt(pow({_LOG_SPREAD} - 3, 2) + 24 * {_LOG_SPREAD})) / (12 * {_LOG_SPREAD}))"
_SINCE_LAST = "cast(date_diff(as_of, last_day) AS DOUBLE)"
_TENURE = "cast(date_diff(as_of, first_day) AS DOUBLE)"

_SPACINGS = "cast(days AS DOUBLE)"
_ENTROPY = f"(try_divide(gap_entropy + {_SINCE_LAST} * ln({_SINCE_LAST}), {_TENURE}) - ln({_TENURE}))"
# Of n + 1 spacings between n uniform days, the sum of x ln x is psi(2) - psi(n + 2) on average.
_RANDOM_ENTROPY = f"({digamma('2D')} - {digamma(f'({_SPACINGS} + 1)')})"

PRIOR_GAPS = 2
"""Gaps at random that count beside a customer's own."""

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
        name="expected_gap",
        family="cadence",
        unit="days",
        meaning=(
            "Days from one purchase day to the next that are to be expected, also after a single one: (tenure_days + "
            "g) / active_days, where g is the mean time by repeated purchase day over all customers, as if each had "
            "one more gap of g."
        ),
        # Purchases at a rate with a gamma prior of shape 1 and mean 1/g: (T + g) / (x + 1) with x = days - 1 repeats.
        formula=f"({_TENURE} + shop_gap) / days",
        shape="skewed",
        high="buys rarely",
        low="buys often",
        source="transactions; the inverse of the mean purchase rate after Ehrenberg 1959, empirical Bayes",
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
        meaning=(
            "Coefficient of variation of the gaps: their deviation divided by their mean; null with fewer than three "
            "days."
        ),
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
            "Shape of the gamma distribution of the gaps, corrected for how few they are and shrunk towards 1 as if "
            "two more were random: 1 is random, above regular like a clock, below in bursts; null with fewer than "
            "three days."
        ),
        formula=f"if(days < 3, NULL, pow({_SHAPE}, {_COUNT} / ({_COUNT} + {PRIOR_GAPS})))",
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
            "How bunched the days with a purchase are from the first one to the as-of date, against as many random "
            "days: 0 as random ones are on average, 1 all at once, below 0 more evenly spread; null with fewer than "
            "three days."
        ),
        formula=f"if(days < 3, NULL, 1 - {_ENTROPY} / {_RANDOM_ENTROPY})",
        high="buys in bursts",
        low="spread evenly",
        source="transactions; entropy of Zhang, Bradlow and Small 2015, less what random days have",
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
        meaning=(
            "Days since the last purchase divided by the mean gap: above 1 is overdue; null for a customer with one "
            "day."
        ),
        formula=f"try_divide({_SINCE_LAST}, {_MEAN_GAP})",
        shape="skewed",
        high="overdue",
        low="on time",
    ),
)
