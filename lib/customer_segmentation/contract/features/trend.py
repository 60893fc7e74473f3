"""Trend: what a customer did lately, by windows that end at the as-of date, and against the time before.

The windows are `features.windows` of the configuration: short, medium and long, 30, 90 and 365 days unless set.
"""

from customer_segmentation.contract.features.feature import Feature, share


def _change(window: str, high: str, low: str) -> Feature:
    now, before = f"spend_{window}", f"spend_before_{window}"
    return Feature(
        f"spend_change_{window}",
        "double",
        "index",
        f"Gross purchases in the {window} window against as many days before it: their difference by their sum, -1 to "
        "1; 0 where both are 0.",
        share(f"({now} - {before})", f"({now} + {before})"),
        "even",
        high,
        low,
    )


TREND = (
    *(
        Feature(
            f"spend_{window}",
            "decimal(18,2)",
            "money",
            f"Gross purchases in the {window} window, the last {days} days unless set otherwise.",
            f"spend_{window}",
            "skewed",
            f"spends in the {window} window",
            f"quiet in the {window} window",
        )
        for window, days in (("short", 30), ("medium", 90), ("long", 365))
    ),
    *(
        Feature(
            f"orders_{window}",
            "bigint",
            "orders",
            f"Orders with a purchase in the {window} window, the last {days} days unless set otherwise; an order that "
            "goes on over several days counts on each.",
            f"orders_{window}",
            "skewed",
            f"orders in the {window} window",
            f"no orders in the {window} window",
        )
        for window, days in (("short", 30), ("medium", 90), ("long", 365))
    ),
    _change("short", "rising now", "falling now"),
    _change("medium", "rising", "falling"),
    _change("long", "rising over the year", "falling over the year"),
    Feature(
        "recent_spend_share",
        "double",
        "share",
        "Share of gross purchases made in the medium window, the last 90 days unless set otherwise.",
        share("spend_medium", "gross"),
        "even",
        "growing",
        "fading",
    ),
)
