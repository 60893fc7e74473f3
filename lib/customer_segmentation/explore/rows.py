"""An exploration as rows of the tables `data_profile` and `data_distributions`."""

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

from customer_segmentation.contract import columns as c
from customer_segmentation.explore.distributions import Bucket
from customer_segmentation.explore.exploration import Exploration

TOP_VALUES = 10

_NAMED = {
    "orders_by_month": ("calendar.months", "activity.orders", "activity.net"),
    "orders_by_weekday": ("calendar.weekdays", "activity.orders", "activity.net"),
    "orders_by_hour": ("calendar.hours_of_day", "activity.orders", "activity.net"),
    "returns_by_month": ("calendar.months", "activity.return_lines", "activity.returned"),
    "new_customers_by_month": ("new_customers", "count", "amount"),
    "spend_by_category": ("categories", "count", "amount"),
    "top_customers": ("concentration.tops", "count", "amount"),
}
"""By measure: the rows of an exploration, and the count and amount of each."""


def profile_rows(data: Exploration, *, run_id: str) -> list[dict[str, Any]]:
    """Rows of `data_profile`: one per table and column."""
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: data.as_of,
            "table_name": profile.table,
            "position": profile.position,
            "column_name": profile.column,
            "column_type": profile.type,
            "row_count": profile.rows,
            "missing": profile.missing,
            "missing_share": profile.missing_share,
            "distinct_values": profile.distinct,
            "least": profile.minimum,
            "most": profile.maximum,
            "mean": profile.summary.mean if profile.summary else None,
            "quantiles": {f"{at:g}": value for at, value in profile.summary.quantiles.items()}
            if profile.summary
            else None,
            "top_values": [
                {"value": group.value, "rows": group.rows, "share": group.rows / profile.rows}
                for group in profile.values[:TOP_VALUES]
            ],
        }
        for profile in data.columns
    ]


def distribution_rows(data: Exploration, *, run_id: str) -> list[dict[str, Any]]:
    """Rows of `data_distributions`: one per measure and bucket."""
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: data.as_of,
            "measure": measure,
            "bucket": number,
            "label": bucket.label,
            "lower": _float(bucket.lower),
            "upper": _float(bucket.upper),
            "count": bucket.count,
            "amount": bucket.amount,
        }
        for measure, buckets in _measures(data).items()
        for number, bucket in enumerate(buckets)
    ]


def _measures(data: Exploration) -> dict[str, Sequence[Bucket]]:
    ranges = {distribution.measure.name: distribution.buckets for distribution in data.distributions}
    named = {
        measure: [Bucket(row.label, attrgetter(count)(row), attrgetter(amount)(row)) for row in attrgetter(rows)(data)]
        for measure, (rows, count, amount) in _NAMED.items()
    }
    reasons = sorted(data.line_counts.by_reason.items(), key=lambda item: -item[1])
    rejected = [Bucket(code, lines, None) for code, lines in reasons]
    return {**ranges, "customers_by_orders": data.customers_by_orders, **named, "refused_by_reason": rejected}


def _float(edge: Decimal | None) -> float | None:
    return None if edge is None else float(edge)
