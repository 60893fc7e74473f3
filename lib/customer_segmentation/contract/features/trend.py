"""Trend: what a customer did recently, by windows that end at the as-of date, and against the time before.

The windows are `features.windows` of the configuration: short, medium and long, 30, 90 and 365 days unless set.
"""

from customer_segmentation.contract.features.feature import Feature, share


def _change(window: str, high: str, low: str) -> Feature:
    now, before = f"spend_{window}", f"spend_before_{window}"
    return Feature(
        name=f"spend_change_{window}",
        family="trend",
        unit="index",
        meaning=(
            f"Gross purchases in the {window} window against as many days before it: their difference by their sum, "
            "-1 to 1; 0 where both are 0; null for a customer won in this time, of whom there is no before."
        ),
        formula=(
            f"if(date_diff(as_of, first_day) >= 2 * length_{window}, "
            f"{share(f'({now} - {before})', f'({now} + {before})')}, NULL)"
        ),
        high=high,
        low=low,
    )


TREND = (
    *(
        Feature(
            name=f"spend_{window}",
            family="trend",
            type="decimal(18,2)",
            unit="money",
            meaning=f"Gross purchases in the {window} window, the last {days} days unless set otherwise.",
            formula=f"spend_{window}",
            shape="skewed",
            high=f"spends in the {window} window",
            low=f"quiet in the {window} window",
        )
        for window, days in (("short", 30), ("medium", 90), ("long", 365))
    ),
    *(
        Feature(
            name=f"orders_{window}",
            family="trend",
            type="bigint",
            unit="orders",
            meaning=(
                f"Orders with a purchase in the {window} window, the last {days} days unless set otherwise; an order "
                "that goes on over several days counts on each."
            ),
            formula=f"orders_{window}",
            shape="skewed",
            high=f"orders in the {window} window",
            low=f"no orders in the {window} window",
        )
        for window, days in (("short", 30), ("medium", 90), ("long", 365))
    ),
    _change("short", "rising now", "falling now"),
    _change("medium", "rising", "falling"),
    _change("long", "rising over the year", "falling over the year"),
    Feature(
        name="recent_spend_share",
        family="trend",
        unit="share",
        meaning="Share of gross purchases made in the medium window, the last 90 days unless set otherwise.",
        formula=share("spend_medium", "gross"),
        high="growing",
        low="fading",
    ),
)
