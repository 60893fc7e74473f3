"""What is wrong with some synthetic lines. The first line of each customer's first order stays good."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Dirt, Generate
from customer_segmentation.contract import columns as c
from customer_segmentation.synthetic.draws import Draws

CLEAN = "clean"
DUPLICATE: Dirt = "duplicate"

SPOILED: dict[Dirt, dict[str, str | None]] = {
    "missing_customer": {c.CUSTOMER_ID: None},
    "missing_order": {c.ORDER_ID: None},
    "unreadable_date": {c.ORDERED_AT: "2024-13-45"},
    "unreadable_number": {c.QUANTITY: "n/a"},
    "zero_price": {c.UNIT_PRICE: "0.00", c.DISCOUNT: "0.00"},
    "absurd_quantity": {c.QUANTITY: "99999999"},
}
"""What a line of each kind of dirt says instead, by column. A duplicate has nothing of its own to say."""

_LEAST_SPOILABLE_SHARE = 0.1
"""With hardly a line beyond each customer's first there is less dirt than configured."""


def with_dirt(lines: DataFrame, draws: Draws, settings: Generate) -> DataFrame:
    """Add is_duplicate, and dirt: what is wrong with the line itself, or `clean`.

    A duplicate stands for the line before it in its order, dirt included, so from here on it has that line's number.

    Args:
        lines: line, cohort, position and opens_customer, see `lines.placed`.
    """
    rate = settings.dirt.get(DUPLICATE, 0.0) * F.col("cohort.follower_weight")
    is_duplicate = (F.col("position") % 2 == 1) & draws.chance("duplicate", F.col("line"), rate)
    back = is_duplicate.cast("int")
    moved = {"line": F.col("line") - back, "position": F.col("position") - back}
    return lines.withColumns({"is_duplicate": is_duplicate, **moved}).withColumn("dirt", _kind(draws, settings))


def spoiled(name: str, value: Column) -> Column:
    """The value of the column of this name, or what a spoiled line says instead."""
    for kind, says in SPOILED.items():
        if name in says:
            value = F.when(F.col("dirt") == kind, F.lit(says[name])).otherwise(value)
    return value.alias(name)


def _kind(draws: Draws, settings: Generate) -> Column:
    """One draw a line: each kind of dirt has a slice of 0 to 1 as wide as its rate."""
    never = F.col("opens_customer") & (F.col("position") == 0)
    # The rates are of all lines, so the lines that can be spoiled make up for those that can't.
    spoilable = 1 - settings.customers / settings.lines - settings.dirt.get(DUPLICATE, 0.0)
    weight = 1 / max(spoilable, _LEAST_SPOILABLE_SHARE)
    draw, edge = draws.uniform("dirt", F.col("line")), 0.0
    kind = F.when(never, CLEAN)
    for name in SPOILED:
        edge += settings.dirt.get(name, 0.0) * weight
        kind = kind.when(draw < edge, name)
    return kind.otherwise(CLEAN)
