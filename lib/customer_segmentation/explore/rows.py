"""An exploration as rows of the tables `data_profile` and `data_distributions`."""

from decimal import Decimal
from typing import Any

from customer_segmentation.contract import columns as c
from customer_segmentation.explore.columns import ColumnProfile
from customer_segmentation.explore.exploration import Exploration

TOP_VALUES = 10


def profile_rows(found: Exploration, *, run_id: str) -> list[dict[str, Any]]:
    """Rows of `data_profile`: one per table and column."""
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: found.as_of,
            "table_name": profile.table,
            "position": profile.position,
            "column_name": profile.column,
            "column_type": profile.type,
            "row_count": profile.rows,
            "missing": profile.missing,
            "missing_share": profile.missing_share,
            "distinct_values": profile.distinct,
            "least": profile.least,
            "most": profile.most,
            "mean": profile.summary.mean if profile.summary else None,
            "quantiles": {f"{at:g}": value for at, value in profile.summary.quantiles.items()}
            if profile.summary
            else None,
            "top_values": _top_values(profile),
        }
        for profile in found.columns
    ]


def distribution_rows(found: Exploration, *, run_id: str) -> list[dict[str, Any]]:
    """Rows of `data_distributions`: one per measure and bucket."""
    return [
        {
            c.RUN_ID: run_id,
            c.AS_OF_DATE: found.as_of,
            "measure": measure,
            "bucket": number,
            "label": label,
            "lower": None if lower is None else float(lower),
            "upper": None if upper is None else float(upper),
            "count": count,
            "amount": amount,
        }
        for measure, buckets in {**_histograms(found), **_named(found)}.items()
        for number, (label, lower, upper, count, amount) in enumerate(buckets)
    ]


_Bucket = tuple[str, Decimal | None, Decimal | None, int, Decimal | None]


def _histograms(found: Exploration) -> dict[str, list[_Bucket]]:
    """By ranges of a number."""
    ranges = {one.measure.name: one.buckets for one in found.distributions}
    return {
        measure: [(one.label, one.lower, one.upper, one.count, one.amount) for one in buckets]
        for measure, buckets in {**ranges, "customers_by_orders": found.customers_by_orders}.items()
    }


def _named(found: Exploration) -> dict[str, list[_Bucket]]:
    """By months, categories and other names."""
    calendar, reasons = found.calendar, found.intake.by_reason
    periods = {
        "orders_by_month": calendar.months,
        "orders_by_weekday": calendar.weekdays,
        "orders_by_hour": calendar.hours_of_day,
    }
    named: dict[str, list[tuple[str, int, Decimal | None]]] = {
        **{
            name: [(one.label, one.activity.orders, one.activity.net) for one in each] for name, each in periods.items()
        },
        "returns_by_month": [(one.label, one.activity.return_lines, one.activity.returned) for one in calendar.months],
        "new_customers_by_month": [(group.value or "", group.rows, group.amount) for group in found.new_customers],
        "spend_by_category": [(group.value or "", group.rows, group.amount) for group in found.categories],
        "top_customers": [(f"top {top.part:.0%}", top.customers, top.amount) for top in found.concentration.tops],
        "refused_by_reason": [(code, reasons[code], None) for code in sorted(reasons, key=lambda code: -reasons[code])],
    }
    return {
        measure: [(label, None, None, count, amount) for label, count, amount in each]
        for measure, each in named.items()
    }


def _top_values(profile: ColumnProfile) -> list[dict[str, Any]]:
    return [
        {"value": group.value, "rows": group.rows, "share": group.rows / profile.rows}
        for group in profile.values[:TOP_VALUES]
    ]
