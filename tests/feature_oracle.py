"""Every feature of a customer, computed from their order lines in plain Python and pandas."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from scipy.special import digamma

from customer_segmentation.contract.tables import TRANSACTIONS

WINDOWS = {"short": 30, "medium": 90, "long": 365}


def oracle(
    lines: Iterable[tuple], returned_orders: dict[tuple[str, str], bool], events: Iterable[tuple], as_of: date
) -> dict[str, dict[str, Any]]:
    """The features by customer.

    Args:
        lines: in the columns of `transactions`.
        returned_orders: whether all of an order was returned, by customer and order, for those of which something was.
        events: customer, time, type ("click" is a response), channel and campaign.
    """
    table = pd.DataFrame(lines, columns=TRANSACTIONS.column_names)
    table = table[table.ordered_at < pd.Timestamp(as_of)]
    fully_returned = [returned_orders.get(key, False) for key in zip(table.customer_id, table.order_id, strict=True)]
    purchases = table[~table.is_return & ~pd.Series(fully_returned, index=table.index, dtype=bool)]
    prices = {
        category: float(sum(lines.amount)) / float(sum(lines.quantity))
        for category, lines in purchases.groupby("category")
    }
    is_customer = table.customer_id.isin(purchases.customer_id)
    shop = _Shop(
        purchases, table[is_customer & ~table.is_return], table[is_customer & table.is_return], returned_orders
    )
    shop.gap = _gap_of_all(purchases, as_of)
    campaigns = {who: _campaigns([e for e in events if e[0] == who and e[1] < _midnight(as_of)]) for who, *_ in events}
    received = sum(received for received, _ in campaigns.values())
    response_rate = sum(answered for _, answered in campaigns.values()) / received if received else 0.0
    features = {}
    for customer, lines_of_customer in table.groupby("customer_id"):
        their_orders = {order: all_ for (who, order), all_ in returned_orders.items() if who == customer}
        values = _of_customer(lines_of_customer, their_orders, prices, shop, as_of)
        if values is not None:
            theirs = [event for event in events if event[0] == customer and event[1] < _midnight(as_of)]
            features[customer] = values | _engagement(theirs, response_rate, as_of)
    return features


class _Shop:
    """What all customers have together."""

    def __init__(
        self, bought: pd.DataFrame, placed: pd.DataFrame, returned: pd.DataFrame, returned_orders: dict
    ) -> None:
        self.gap = 0.0
        discounts, gross = sum(bought.discount), sum(bought.amount)
        self.discount_rate = float(discounts / (gross + discounts))
        self.discounted_share = float((bought.discount > 0).mean())
        self.of_category = {k: float((lines.discount > 0).mean()) for k, lines in bought.groupby("category")}
        orders = set(zip(bought.customer_id, bought.order_id, strict=True))
        with_coupon = bought[[coupon is not None and coupon > 0 for coupon in bought.coupon]]
        self.coupon_rate = len(set(zip(with_coupon.customer_id, with_coupon.order_id, strict=True))) / len(orders)
        self.return_rate = float(-sum(returned.amount) / sum(placed.amount))
        placed_orders = set(zip(placed.customer_id, placed.order_id, strict=True))
        self.return_order_rate = len(placed_orders & set(returned_orders)) / len(placed_orders)
        brands = [_spend(lines, "brand") for _, lines in bought.groupby("customer_id")]
        spend = [[v for v in theirs.values() if v > 0] for theirs in brands]
        self.brand_top_share = float(sum(max(v) for v in spend if v) / sum(sum(v) for v in spend if v))


def _gap_of_all(purchases: pd.DataFrame, as_of: date) -> float:
    days = [{at.date() for at in lines.ordered_at} for _, lines in purchases.groupby("customer_id")]
    repeats = sum(len(theirs) - 1 for theirs in days)
    return sum((as_of - min(theirs)).days for theirs in days) / max(1, repeats)


def _drawn(seen: int, value: float, weight: int, mean: float) -> float:
    return (seen * value + weight * mean) / (seen + weight)


def _of_customer(
    lines: pd.DataFrame, returned_orders: dict[str, bool], prices: dict[str, float], shop: _Shop, as_of: date
) -> dict[str, Any] | None:
    placed, returned = lines[~lines.is_return], lines[lines.is_return]
    bought = placed[[not returned_orders.get(order, False) for order in placed.order_id]]
    if bought.empty:
        return None
    day_of = [at.date() for at in bought.ordered_at]
    bought = bought.assign(day=day_of)
    days = sorted(set(day_of))
    gaps = [(b - a).days for a, b in itertools.pairwise(days)]
    mean_gap = statistics.fmean(gaps) if gaps else None
    deviation = statistics.stdev(gaps) if len(gaps) > 1 else None
    recency, tenure = (as_of - days[-1]).days, (as_of - days[0]).days
    orders, gross = bought.order_id.nunique(), sum(bought.amount)
    items, line_count = float(sum(bought.quantity)), len(bought)
    discounts = sum(bought.discount)
    reduced = bought[bought.discount > 0]
    hours, months = [at.hour for at in bought.ordered_at], [at.month for at in bought.ordered_at]

    def share_of(condition: Callable[[int], bool], values: list[int]) -> float:
        return sum(map(condition, values)) / line_count

    categories, brands = _spend(bought, "category"), _spend(bought, "brand")
    channels, stores = _spend(bought, "channel"), _spend(bought, "store_id")
    products = bought.product_id.dropna()
    known = bought[[prices.get(category, 0) > 0 for category in bought.category]]
    at_average = sum(float(q) * prices[k] for k, q in zip(known.category, known.quantity, strict=True))
    largest = sorted((-v, k) for k, v in categories.items() if v > 0)[:3]
    all_shares = sum(v for v in categories.values() if v > 0)
    placed_orders = set(placed.order_id)
    features: dict[str, Any] = {
        "recency_days": recency,
        "frequency": orders,
        "monetary": sum(lines.amount),
        "tenure_days": tenure,
        "active_days": len(days),
        "days_between_orders": mean_gap,
        "expected_gap": (tenure + shop.gap) / len(days),
        "gap_deviation": deviation,
        "gap_variation": None if deviation is None else deviation / mean_gap,
        "regularity": _regularity(gaps),
        "clumpiness": _clumpiness([*gaps, recency]),
        "days_to_next_order": None if mean_gap is None else mean_gap - recency,
        "overdue_ratio": None if mean_gap is None else recency / mean_gap,
        "average_order_value": float(gross) / orders,
        "items_per_order": items / orders,
        "distinct_products": products.nunique(),
        "distinct_categories": bought.category.nunique(),
        "category_entropy": -sum(p * math.log(p) for p in _shares(categories)),
        "top_category_share": max(_shares(categories), default=None),
        "top_categories_share": sum(sorted(_shares(categories))[-3:]) if _shares(categories) else None,
        "top_categories": [(k, pytest.approx(float(-v / all_shares))) for v, k in largest],
        "distinct_brands": bought.brand.nunique(),
        "brand_concentration": sum(p * p for p in _shares(brands)) if _shares(brands) else None,
        "discount_rate": _drawn(line_count, float(discounts / (gross + discounts)), 10, shop.discount_rate)
        if gross + discounts
        else shop.discount_rate,
        "discounted_share": _drawn(line_count, len(reduced) / line_count, 10, shop.discounted_share),
        "coupon_rate": _drawn(
            orders,
            bought[[coupon is not None and coupon > 0 for coupon in bought.coupon]].order_id.nunique() / orders,
            5,
            shop.coupon_rate,
        ),
        "average_item_price": float(gross) / items,
        "price_level": float(sum(known.amount)) / at_average if at_average else None,
        "return_rate": _drawn(
            len(placed_orders), float(-sum(returned.amount) / sum(placed.amount)), 5, shop.return_rate
        )
        if sum(placed.amount)
        else shop.return_rate,
        "return_order_rate": _drawn(
            len(placed_orders),
            len(placed_orders & set(returned_orders)) / len(placed_orders),
            5,
            shop.return_order_rate,
        ),
        "weekend_share": share_of(lambda weekday: weekday >= 5, [day.weekday() for day in day_of]),
        "night_share": share_of(lambda hour: hour < 6, hours),
        "morning_share": share_of(lambda hour: 6 <= hour < 12, hours),
        "afternoon_share": share_of(lambda hour: 12 <= hour < 18, hours),
        "evening_share": share_of(lambda hour: hour >= 18, hours),
        "spring_share": share_of(lambda month: month in (3, 4, 5), months),
        "summer_share": share_of(lambda month: month in (6, 7, 8), months),
        "autumn_share": share_of(lambda month: month in (9, 10, 11), months),
        "winter_share": share_of(lambda month: month in (12, 1, 2), months),
        "distinct_channels": bought.channel.nunique(),
        "main_channel_share": max(_shares(channels), default=None),
        "distinct_stores": bought.store_id.nunique(),
        "main_store_share": max(_shares(stores), default=None),
        "price_sensitivity": (len(reduced) + 10 * shop.discounted_share)
        / (
            sum(shop.of_category.get(category, shop.discounted_share) for category in bought.category)
            + 10 * shop.discounted_share
        ),
        "variety_seeking": _variety(bought),
        "brand_loyalty": _drawn(line_count, max(_shares(brands)), 10, shop.brand_top_share)
        if _shares(brands)
        else None,
    }
    for name, length in WINDOWS.items():
        inside = bought[bought.day >= as_of - timedelta(length)]
        before = bought[(bought.day >= as_of - timedelta(2 * length)) & (bought.day < as_of - timedelta(length))]
        spend, spend_before = sum(inside.amount, Decimal(0)), sum(before.amount, Decimal(0))
        features[f"spend_{name}"] = spend
        features[f"orders_{name}"] = len(set(zip(inside.order_id, inside.day, strict=True)))
        change = float((spend - spend_before) / (spend + spend_before)) if spend + spend_before else 0
        features[f"spend_change_{name}"] = change if tenure >= 2 * length else None
    features["recent_spend_share"] = float(features["spend_medium"] / gross) if gross else 0
    return features


def _engagement(events: list[tuple], mean: float, as_of: date) -> dict[str, Any]:
    answers = [at for _, at, kind, *_ in events if kind == "click"]
    received, answered = _campaigns(events)
    return {
        "contacts": len(events) - len(answers),
        "responses": len(answers),
        "response_rate": answered / received if received else None,
        "days_since_response": (as_of - max(answers).date()).days if answers else None,
        "promotion_response": (answered + 2 * mean) / (received + 2) if received else None,
    }


def _campaigns(events: list[tuple]) -> tuple[int, int]:
    """Campaigns received and answered; a contact or response without one stands for itself."""
    received = {campaign for _, _, kind, _, campaign in events if kind != "click" and campaign is not None}
    answered = {campaign for _, _, kind, _, campaign in events if kind == "click"} & received
    unnamed = Counter(kind == "click" for _, _, kind, _, campaign in events if campaign is None)
    number = len(received) + unnamed[False]
    return number, min(number, len(answered) + unnamed[True])


def _variety(bought: pd.DataFrame) -> float | None:
    """Over all ordered pairs of orders, how many products of the first are not in the second."""
    orders = [set(lines.product_id.dropna()) for _, lines in bought.groupby("order_id")]
    orders = [products for products in orders if products]
    pairs = list(itertools.permutations(orders, 2))
    return sum(len(a - b) for a, b in pairs) / sum(len(a) for a, _ in pairs) if pairs else None


def _spend(bought: pd.DataFrame, name: str) -> dict[str, Decimal]:
    spend: Counter = Counter()
    for key, amount in zip(bought[name], bought.amount, strict=True):
        if key is not None:
            spend[key] += amount
    return spend


def _shares(spend: dict[str, Decimal]) -> list[float]:
    positive = [float(value) for value in spend.values() if value > 0]
    return [value / sum(positive) for value in positive]


def _regularity(gaps: list[int]) -> float | None:
    n = len(gaps)
    if n < 2:
        return None
    s = math.log(statistics.fmean(gaps)) - statistics.fmean(map(math.log, gaps)) - digamma(n) + math.log(n)
    return ((3 - s + math.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)) ** (n / (n + 2))


def _clumpiness(intervals: list[int]) -> float | None:
    if len(intervals) < 3:
        return None
    shares = [interval / sum(intervals) for interval in intervals]
    at_random = digamma(2) - digamma(len(intervals) + 1)
    return (sum(x * math.log(x) for x in shares) - at_random) / (0 - at_random)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
