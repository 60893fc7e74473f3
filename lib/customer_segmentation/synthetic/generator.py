"""Synthetic order lines, customers and engagement at any size, with the segments and the dirt known.

A line's number decides everything, from the archetype down to the price: number -> cohort -> order -> customer ->
time, product, price. What seems random is a hash of a number and the seed, so the same settings give the same data
on any cluster, nothing is shuffled, and the cost is even per line. Who stores the data is up to the caller.
"""

from math import ceil

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Generate
from customer_segmentation.contract import columns as c
from customer_segmentation.synthetic import people
from customer_segmentation.synthetic.dirt import DUPLICATE, spoiled, with_dirt
from customer_segmentation.synthetic.draws import Draws
from customer_segmentation.synthetic.lines import CATEGORIES, dated, filled, placed, returned
from customer_segmentation.synthetic.plan import make_plan
from customer_segmentation.synthetic.times import DAY, HOUR, as_text, later

_CAMPAIGNS = 10
_MAILED_SHARE = 0.6
"""Probability that a customer who has joined gets a campaign's mailing."""
_MAILING_CLOCK_TIME = 9 * HOUR
_REDEEMED_WITHIN_DAYS = 14
_MAILING_CHANNELS = ("email", "letter", "app")
_ATTRIBUTES_SHARE = 0.85
"""Share of customers of whom attributes are known."""
_MAX_ROWS_WITHOUT_PARTITIONS = 10_000_000
_ROWS_PER_PARTITION = 1_000_000
"""Some seconds of work, and about 15 MB of Parquet."""
_MAX_PARTITIONS = 50_000
_MORE_THAN_ANY_PARTITIONS = 2**31 - 1


def order_lines(spark: SparkSession, settings: Generate, *, seed: int) -> DataFrame:
    """The order lines as a shop's export would give them: all text, dirt included.

    Args:
        spark: session, classic or Connect.
        settings: size, span and rates. Returns are `return_rate` of all lines, as far as there are lines to return
            (about 0.4); each is a line of the same product as the line before it with a negative quantity.
        seed: 0 or more; another seed gives other data of the same make.

    Returns:
        `settings.lines` rows: customer_id; order_id (with a C in front on returns); ordered_at
        (yyyy-MM-dd HH:mm:ss, from `start` to the day before start + days); product_id; category; quantity (pieces);
        unit_price (money paid for a piece, after discount); discount (money taken off the line, 0 or more); channel.
    """
    draws = Draws(seed)
    lines = placed(_numbered(spark, settings.lines, "line"), draws, make_plan(settings))
    lines = with_dirt(lines, draws, settings)
    lines = returned(lines, draws, settings)
    lines = dated(lines, draws, settings)
    lines = filled(_compiled_apart(lines), draws)

    pieces = F.col("pieces")
    text = {
        c.CUSTOMER_ID: people.customer_id(settings.customers, seed),
        c.ORDER_ID: _order_id(settings.lines),
        c.ORDERED_AT: as_text(F.col("seconds"), settings),
        c.PRODUCT_ID: F.concat(F.lit("P"), F.lpad(F.col("product").cast("string"), 5, "0")),
        c.CATEGORY: F.lit(list(CATEGORIES))[F.col("category")],
        c.QUANTITY: F.when(F.col("is_return"), -pieces).otherwise(pieces).cast("string"),
        c.UNIT_PRICE: _money(F.col("paid_cents")),
        c.DISCOUNT: _money((F.col("list_cents") - F.col("paid_cents")) * pieces),
        c.CHANNEL: F.col("channel"),
    }
    return lines.select(*(spoiled(name, value) for name, value in text.items()))


def true_segments(spark: SparkSession, settings: Generate, *, seed: int) -> DataFrame:
    """The segment each customer was made for.

    Returns:
        A row per customer, each of whom has a good line: customer_id, segment (name of the archetype).
    """
    return _customers(spark, settings).select(
        people.customer_id(settings.customers, seed).alias(c.CUSTOMER_ID), F.col("cohort.name").alias("segment")
    )


def true_dirt(spark: SparkSession, settings: Generate, *, seed: int) -> DataFrame:
    """How many lines have which kind of dirt; a copy counts as duplicate, whatever it copies.

    Returns:
        A row per kind that occurs: kind (as in `settings.dirt`, or clean), lines (bigint); adds up to all lines.
    """
    draws = Draws(seed)
    lines = placed(_numbered(spark, settings.lines, "line"), draws, make_plan(settings))
    kind = F.when(F.col("is_duplicate"), DUPLICATE).otherwise(F.col("dirt"))
    kinds = with_dirt(lines, draws, settings).groupBy(kind.alias("kind"))
    return kinds.agg(F.count(F.lit(1)).alias("lines"))


def customer_attributes(spark: SparkSession, settings: Generate, *, seed: int) -> DataFrame:
    """What the shop knows of its customers, which hints at their segments; of about 15% it knows nothing.

    Returns:
        A row per customer known: customer_id, age_group (18-24 to 65+), region, loyalty_member (yes or no).
    """
    draws = Draws(seed)
    known = draws.chance("attributes known", F.col("customer"), _ATTRIBUTES_SHARE)
    return _customers(spark, settings).where(known).select(
        people.customer_id(settings.customers, seed).alias(c.CUSTOMER_ID),
        people.age_group(draws).alias("age_group"),
        people.region(draws).alias("region"),
        people.loyalty_member(draws).alias("loyalty_member"),
    )  # fmt: skip


def engagement_events(spark: SparkSession, settings: Generate, *, seed: int) -> DataFrame:
    """Mailings, about 5 a customer, and the redemptions that some lead to, by archetype.

    Campaigns are spread evenly over the span and reach customers who have joined by then.

    Returns:
        A row per event: customer_id, occurred_at (yyyy-MM-dd HH:mm:ss), event_type (mailing or redemption),
        channel, campaign_id.
    """
    draws = Draws(seed)
    each_campaign = F.explode(F.sequence(F.lit(0), F.lit(_CAMPAIGNS - 1)))
    offers = _customers(spark, settings).withColumn("campaign", each_campaign).withColumns(
        {
            "offer": F.col("customer") * _CAMPAIGNS + F.col("campaign"),
            "day": F.floor((F.col("campaign") + 0.5) * settings.days / _CAMPAIGNS),
        }
    )  # fmt: skip
    has_joined = F.col("day") >= settings.days * people.own(draws, "joined")
    mailings = offers.where(has_joined & draws.chance("mailed", F.col("offer"), _MAILED_SHARE)).withColumns(
        {
            "event": F.lit("mailing"),
            "seconds": F.col("day") * DAY + _MAILING_CLOCK_TIME,
            "channel": draws.one_of("mailing channel", F.col("customer"), _MAILING_CHANNELS),
        }
    )
    redeemed_at = later(
        F.col("seconds"), draws.uniform("redemption time", F.col("offer")), settings, within_days=_REDEEMED_WITHIN_DAYS
    )
    is_redeemed = draws.chance("redeemed", F.col("offer"), F.col("cohort.redemption_rate"))
    redemptions = mailings.where(is_redeemed).withColumns({"event": F.lit("redemption"), "seconds": redeemed_at})
    return mailings.unionByName(redemptions).select(
        people.customer_id(settings.customers, seed).alias(c.CUSTOMER_ID),
        as_text(F.col("seconds"), settings).alias(c.OCCURRED_AT),
        F.col("event").alias(c.EVENT_TYPE),
        F.col("channel").alias(c.CHANNEL),
        F.format_string("campaign-%02d", F.col("campaign") + 1).alias(c.CAMPAIGN_ID),
    )


def _numbered(spark: SparkSession, count: int, name: str) -> DataFrame:
    """Numbers from 0; where there are many, in more partitions than a small machine would choose."""
    rows = max(_ROWS_PER_PARTITION, count // _MAX_PARTITIONS)
    partitions = ceil(count / rows) if count > _MAX_ROWS_WITHOUT_PARTITIONS else None
    return spark.range(0, count, 1, partitions).withColumnRenamed("id", name)


def _compiled_apart(lines: DataFrame) -> DataFrame:
    """The same lines, partition by partition, where Spark ends one generated method and begins another.

    Java leaves methods above 8,000 bytes uncompiled; all columns in one method took ten times as long.
    """
    return lines.coalesce(_MORE_THAN_ANY_PARTITIONS)


def _customers(spark: SparkSession, settings: Generate) -> DataFrame:
    cohort = make_plan(settings).cohort_of_customer()
    return _numbered(spark, settings.customers, "customer").withColumn("cohort", cohort)


def _order_id(lines: int) -> Column:
    """The order's number, all of one length, with a C in front on returns."""
    first = 10 ** len(str(lines))
    number = (F.col("order") + first).cast("string")
    return F.when(F.col("is_return"), F.concat(F.lit("C"), number)).otherwise(number)


def _money(cents: Column) -> Column:
    """Cents, 0 or more, as text with two decimals."""
    return F.concat(F.floor(cents / 100).cast("string"), F.lit("."), F.lpad((cents % 100).cast("string"), 2, "0"))
