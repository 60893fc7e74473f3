"""What a synthetic order line says, stage by stage; no stage needs any row but the line's own.

`placed`: whose line it is, in which order. `returned`: whether it gives something back. `dated`: when. `filled`: what.
"""

from math import pi

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Generate
from customer_segmentation.synthetic.draws import Draws, whole
from customer_segmentation.synthetic.people import own, own_count
from customer_segmentation.synthetic.plan import Plan
from customer_segmentation.synthetic.times import DAY, HOUR, LAST_CLOCK_TIME, later

CATEGORIES = (
    "groceries", "drinks", "household", "beauty", "clothing", "shoes", "toys", "books", "garden", "sports",
    "electronics", "furniture",
)  # fmt: skip
CHANNELS = ("store", "web", "app")
PRODUCTS_PER_CATEGORY = 1_000

_PRODUCT_STRIDE = 389
"""An order's products lie this far apart in numbers; coprime to their count, so that no two are the same."""
_BASE_PRICES = (2.0, 15.0)
_DISCOUNT_DEPTHS = (0.2, 0.3, 0.4, 0.5)
_MAX_PIECES = 4

_FREQUENCY_SPREAD = 0.5
"""Where chance decides, a cohort's busiest customers get 1 + this times the mean, the quietest 1 - this."""
_FAVOURITE_CHANNEL_SHARE = 0.8

_YEAR = 365.25
_PEAK_DAY_OF_YEAR = 350
_FIRST_CLOCK_TIME = 8 * HOUR
_RETURNED_WITHIN_DAYS = 30


def placed(lines: DataFrame, draws: Draws, plan: Plan) -> DataFrame:
    """Lines (column line, their number) with cohort, order, position in the order from 0, and customer.

    A cohort's orders go round its customers: in every other round, the first included, each customer gets one; in
    the rounds between, chance decides. opens_customer marks the first round.
    """
    size, offset = F.col("cohort.lines_per_pair"), F.col("line") - F.col("cohort.first_line")
    pairs = (
        lines.withColumn("cohort", plan.cohort_of_line())
        .withColumns({"pair": F.col("cohort.first_order") + 2 * F.floor(offset / size), "place": offset % size})
        .withColumn("cut", 1 + draws.below("cut", F.col("pair"), size - 1))
    )
    second = (F.col("place") >= F.col("cut")).cast("int")
    orders = pairs.select(
        "line",
        "cohort",
        (F.col("pair") + second).alias("order"),
        (F.col("place") - second * F.col("cut")).alias("position"),
    )

    rank, customers = F.col("order") - F.col("cohort.first_order"), F.col("cohort.customers")
    in_turn = F.floor(rank / customers) % 2 == 0
    by_chance = whole(_towards_busy(draws.uniform("customer", F.col("order"))), customers)
    return orders.withColumns(
        {
            "customer": F.col("cohort.first_customer") + F.when(in_turn, rank % customers).otherwise(by_chance),
            "opens_customer": rank < customers,
        }
    )


def returned(lines: DataFrame, draws: Draws, settings: Generate) -> DataFrame:
    """Add is_return, and item: the number of the line that says what is bought or, on a return, returned."""
    rate = settings.return_rate * F.col("cohort.follower_weight")
    is_return = (F.col("position") % 2 == 1) & draws.chance("return", F.col("line"), rate)
    back = is_return.cast("int")
    return lines.withColumns(
        {"is_return": is_return, "item": F.col("line") - back, "item_position": F.col("position") - back}
    )


def dated(lines: DataFrame, draws: Draws, settings: Generate) -> DataFrame:
    """Add seconds: when the line happened, in seconds since the first day."""
    order = F.col("order")
    day = F.least(F.floor(_day(draws, settings)), F.lit(settings.days - 1))
    middle_heavy = (draws.uniform("clock", order) + draws.uniform("clock again", order)) / 2
    clock = _FIRST_CLOCK_TIME + whole(middle_heavy, LAST_CLOCK_TIME - _FIRST_CLOCK_TIME)
    bought = lines.withColumn("bought", day * DAY + clock)
    returned_at = later(
        F.col("bought"), draws.uniform("return time", F.col("line")), settings, within_days=_RETURNED_WITHIN_DAYS
    )
    return bought.withColumn("seconds", F.when(F.col("is_return"), returned_at).otherwise(F.col("bought")))


def filled(lines: DataFrame, draws: Draws) -> DataFrame:
    """Add category and product (numbers from 0), pieces, list_cents and paid_cents (of a piece), and channel."""
    customer, order, item = F.col("customer"), F.col("order"), F.col("item")
    favourite = whole(F.pow(draws.uniform("favourite category", customer), 2), len(CATEGORIES))
    choice = draws.below("category", item, own_count(draws, "categories"))
    category = (favourite + choice) % len(CATEGORIES)
    product = draws.below("product", order, PRODUCTS_PER_CATEGORY) + F.col("item_position") * _PRODUCT_STRIDE
    stays = draws.chance("usual channel", order, _FAVOURITE_CHANNEL_SHARE)
    channel_of = F.when(stays, -customer - 1).otherwise(order)
    goods = lines.withColumns(
        {
            "category": category,
            "product": category * PRODUCTS_PER_CATEGORY + product % PRODUCTS_PER_CATEGORY,
            "pieces": 1 + whole(F.pow(draws.uniform("pieces", item), 3), _MAX_PIECES),
            "depth": _discount_depth(draws),
            "channel": draws.one_of("channel", channel_of, CHANNELS),
        }
    )
    low, high = _BASE_PRICES
    base_price = low * F.pow(high / low, draws.uniform("price", F.col("product")))
    priced = goods.withColumn("list_cents", F.floor(100 * base_price * own(draws, "price_level")))
    paid = F.floor(F.col("list_cents") * (1 - F.col("depth")))
    return priced.withColumn("paid_cents", paid)


def _towards_busy(fraction: Column) -> Column:
    """A uniform fraction, 0 to 1, moved so that its density falls in a line from 1 + spread to 1 - spread."""
    top = 1 + _FREQUENCY_SPREAD
    return (top - F.sqrt(top**2 - 4 * _FREQUENCY_SPREAD * fraction)) / (2 * _FREQUENCY_SPREAD)


def _day(draws: Draws, settings: Generate) -> Column:
    """Day of the order as a fraction of days: in the customer's own time, more often in the season."""
    first, last = (settings.days * own(draws, trait) for trait in ("joined", "left"))
    even = first + (last - first) * draws.uniform("day", F.col("order"))
    low, at, high = (_seasonal(day, settings) for day in (first, even, last))
    return first + (last - first) * (at - low) / (high - low)


def _seasonal(day: Column, settings: Generate) -> Column:
    """The day moved towards the season's peak: rising throughout, so evenly spread days become denser there."""
    since_peak = day + (settings.start.timetuple().tm_yday - _PEAK_DAY_OF_YEAR)
    return day - settings.seasonality * _YEAR / (2 * pi) * F.sin(since_peak * (2 * pi / _YEAR))


def _discount_depth(draws: Draws) -> Column:
    """Share taken off the list price: mostly none, else one of the usual depths; on average the customer's own rate."""
    mean_depth = sum(_DISCOUNT_DEPTHS) / len(_DISCOUNT_DEPTHS)
    is_discounted = draws.chance("is discounted", F.col("item"), own(draws, "discount_rate") / mean_depth)
    depth = F.lit(list(_DISCOUNT_DEPTHS))[draws.below("discount depth", F.col("item"), len(_DISCOUNT_DEPTHS))]
    return F.when(is_discounted, depth).otherwise(0.0)
