"""The tables of a warehouse: every column with its type and a comment that says meaning and unit.

The last `select` of a step is `Table.conform`, so a table's schema is declared here and nowhere else.
"""

from dataclasses import dataclass, replace

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.features import FEATURES

MONEY = "decimal(18,2)"
TOTAL = "decimal(28,2)"
MIX_TYPE = "array<struct<category:string,quantity:bigint,spend:bigint,lines:bigint,discounted_lines:bigint>>"
TOP_CATEGORIES = ("category_1", "category_2", "category_3")
"""The columns of the categories with most purchases, the largest first; a column NAME_spend has their purchases."""
TOP_CATEGORIES_TYPE = "array<struct<category:string,share:double>>"
RESPONSE_TYPE = "array<struct<channel:string,contacts:bigint,responses:bigint,rate:double>>"
DRIVERS_TYPE = (
    "array<struct<feature:string,value:double,effect:double,direction:string,segment_value:double,other_value:double>>"
)
DIFFERENTIATORS_TYPE = "array<struct<feature:string,value:double,overall:double,effect:double>>"
TRAITS_TYPE = "array<struct<attribute:string,value:string,share:double,overall:double,lift:double,q:double>>"
TOP_VALUES_TYPE = "array<struct<value:string,rows:bigint,share:double>>"
CANDIDATES_TYPE = (
    "array<struct<algorithm:string,k:int,silhouette:double,calinski_harabasz:double,davies_bouldin:double,bic:double,"
    "elbow:double,cost:double,smallest_share:double,stability:double,segment_stability:array<double>,score:double,"
    "agreement:double,agreement_error:double,separation:double,tied:boolean,usefulness:double>>"
)


ALERTS_TYPE = "array<struct<name:string,value:double,limit:double,level:string,message:string>>"


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its Spark SQL type, what it means, and what holds of every row.

    nullable: whether a row may be without a value.
    check: an SQL condition that holds where there is a value, over the columns of the row; None: any value does.
    """

    name: str
    type: str
    comment: str
    nullable: bool = True
    check: str | None = None

    @property
    def constraint(self) -> str | None:
        """What Delta verifies of every row, as SQL; None where it is nothing."""
        present = f"`{self.name}` IS NOT NULL"
        if self.check is None:
            return None if self.nullable else present
        return f"`{self.name}` IS NULL OR ({self.check})" if self.nullable else f"{present} AND ({self.check})"

    def of(self, frame: DataFrame) -> SparkColumn:
        """The frame's column of this name, in this type, with the comment as its metadata.

        Fields that the structs of an earlier release lack are null.
        """
        column = frame[self.name]
        if self.type.startswith("array<struct"):
            present = frame.schema[self.name].dataType.simpleString()
            if present.startswith("array<struct") and present.count(":") < self.type.count(":"):
                column = F.from_json(F.to_json(column), self.type)
        return column.cast(self.type).alias(self.name, metadata={"comment": self.comment})


@dataclass(frozen=True)
class Table:
    """A table: its name, what a row is, and its columns.

    key: the columns that a row is one of.
    partitioned_by: columns the files are laid out by.
    open: whether a frame's further columns are kept, after the declared ones.
    skipped_by: columns whose range is kept for each file in the table's log, so that files are skipped by them. None of
        them names a person: the log keeps what a deleted row had.
    has_change_feed: whether the table keeps a change feed.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partitioned_by: tuple[str, ...] = ()
    open: bool = False
    skipped_by: tuple[str, ...] = ()
    has_change_feed: bool = False

    @property
    def properties(self) -> dict[str, str]:
        """Delta's table properties, given when the table is made."""
        if self.skipped_by:
            given = {"delta.dataSkippingStatsColumns": ",".join(self.skipped_by)}
        else:
            given = {"delta.dataSkippingNumIndexedCols": "0"}
        checked = {f"delta.constraints.{name}": condition for name, condition in self.constraints.items()}
        return given | checked | ({"delta.enableChangeDataFeed": "true"} if self.has_change_feed else {})

    @property
    def constraints(self) -> dict[str, str]:
        """The constraints by their names: each is called like its column."""
        return {column.name: column.constraint for column in self.columns if column.constraint}

    @property
    def column_names(self) -> list[str]:
        """The declared columns, in order."""
        return [column.name for column in self.columns]

    @property
    def ddl(self) -> str:
        """The schema as Spark SQL DDL, for frames made from rows on the driver."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)

    @property
    def names_customers(self) -> bool:
        """Whether its rows are of single customers: what an erasure goes through."""
        return not {c.CUSTOMER_ID, c.ROW}.isdisjoint(self.column_names)

    def conform(self, frame: DataFrame) -> DataFrame:
        """The frame with exactly this table's columns, in order, typed and commented."""
        kept = [column.of(frame) for column in self.columns]
        if self.open:
            declared = set(self.column_names)
            kept += [F.col(f"`{name}`") for name in frame.columns if name not in declared]
        return frame.select(kept)


_CUSTOMER = Column(c.CUSTOMER_ID, "string", "Customer, as the source names it.", nullable=False)
_RUN = Column(c.RUN_ID, "string", "Run that wrote the row; joins every table of a run.", nullable=False)
_AS_OF = Column(
    c.AS_OF_DATE, "date", "Only what happened before this day of the run's time zone entered.", nullable=False
)
_SEGMENT = Column(c.SEGMENT_ID, "int", "Segment; -1 is noise, a customer in no segment.", nullable=False)
_SEGMENT_NAME = Column(c.SEGMENT_NAME, "string", "Name of the segment, from its profile.")
_MODEL = Column(c.MODEL_VERSION, "string", "Model that assigned the segment; see model_runs.")

TRANSACTIONS = Table(
    "transactions",
    "an accepted order line",
    (
        _CUSTOMER,
        Column(c.ORDER_ID, "string", "Order (basket, invoice) the line belongs to.", nullable=False),
        Column(c.ORDERED_AT, "timestamp", "When the order was placed, UTC.", nullable=False),
        Column(c.PRODUCT_ID, "string", "Product; null where the source has none."),
        Column(c.CATEGORY, "string", "Product category; null where unknown."),
        Column(c.QUANTITY, "decimal(18,3)", "Items; negative on a return line."),
        Column(
            c.AMOUNT,
            MONEY,
            "Net value of the line after discounts; negative on a return line. Unit: money.",
            nullable=False,
        ),
        Column(
            c.DISCOUNT,
            MONEY,
            "What was taken off the list price of the line, 0 or more. Unit: money.",
            check="discount >= 0",
        ),
        Column(c.CHANNEL, "string", "Where it was bought (store, web); null where unknown."),
        Column(c.BRAND, "string", "Brand of the product; null where unknown."),
        Column(c.STORE_ID, "string", "Store it was bought at; null where unknown."),
        Column(c.COUPON, MONEY, "What coupons took off the line, part of the discount, 0 or more. Unit: money."),
        Column(c.IS_RETURN, "boolean", "Whether the line returns or cancels a purchase."),
        Column(c.WARNINGS, "array<string>", "Codes of the checks that the line failed and that only warn."),
        Column(c.LINE_NUMBER, "string", "Key of the line within its order; null where the source has none."),
        Column(c.CHANGED_AT, "timestamp", "When the source last changed the line, UTC; null where it does not say."),
        Column(c.LINE_ID, "bigint", "Digest of the source's line; equal lines have equal ids.", nullable=False),
    ),
    key=(c.LINE_ID,),
    skipped_by=(c.ORDER_ID, c.ORDERED_AT),
    has_change_feed=True,
)

_REJECTED = (
    Column(c.SOURCE_FILE, "string", "File or table of the line."),
    Column(c.ROW, "string", "The source's line, as JSON."),
    Column(c.REASONS, "array<string>", "Codes of every check the line failed."),
    Column(c.INGESTED_AT, "timestamp", "When the line was read, UTC."),
    Column(c.BATCH_ID, "string", "Batch of ingest that rejected it; see ingest_batches."),
)

REJECTED_TRANSACTIONS = Table(
    "rejected_transactions",
    "a rejected order line",
    (
        *_REJECTED,
        # As far as it can be read, so that a line can be validated again without its source.
        *(replace(column, nullable=True, check=None) for column in TRANSACTIONS.columns),
    ),
    key=(c.BATCH_ID,),
    skipped_by=(c.ORDER_ID, c.ORDERED_AT),
)

_BATCH_NUMBER = Column(
    "batch_number",
    "bigint",
    "Batch of ingest, counted from 1; see ingest_batches.",
    nullable=False,
    check="batch_number >= 1",
)
_ADDS_UP = "rows_in = rows_accepted + rows_rejected + rows_filtered_out"

INGEST_BATCHES = Table(
    "ingest_batches",
    "a step of a batch of order lines: planned, staged, committed; the newest committed one is the state of ingest",
    (
        _BATCH_NUMBER,
        Column(c.BATCH_ID, "string", "Digest of the settings and of the sources' state: the same for the same."),
        Column(
            "status",
            "string",
            "planned: offsets are fixed, no table is changed yet; staged: verified, the tables are being changed; "
            "committed: the tables hold the batch.",
            nullable=False,
            check="status IN ('planned', 'staged', 'committed')",
        ),
        Column(
            "mode",
            "string",
            "full: all lines of the sources; incremental: what changed in them; erasure: customers were erased; "
            "external: the tables were changed by somebody else.",
        ),
        Column("reason", "string", "Why all lines were read, or what somebody else changed; null for incremental."),
        Column("offsets", "string", "How far each source is read by this batch, as JSON."),
        Column("previous_offsets", "string", "How far each had been read before; null for a full batch."),
        Column("base_batch_number", "bigint", "The full batch that this one builds on."),
        Column("rows_inserted", "bigint", "Order lines inserted by the batch, those filtered out not counted."),
        Column("rows_deleted", "bigint", "Order lines that were no longer in the sources."),
        Column(
            "rows_in",
            "bigint",
            "All lines so far: rows_accepted + rows_rejected + rows_filtered_out.",
            check=_ADDS_UP,
        ),
        Column("rows_accepted", "bigint", "Lines in transactions after the batch."),
        Column("rows_rejected", "bigint", "Lines in rejected_transactions after the batch."),
        Column(
            "rows_filtered_out",
            "bigint",
            "Lines that the sources' `where` filters out, or that are of suppressed customers; in no table.",
        ),
        Column("rows_suppressed", "bigint", "Those of rows_filtered_out that are of suppressed customers."),
        Column("rejected_by_reason", "map<string,bigint>", "All rejected lines by reason; a line counts under each."),
        Column("warned_by_code", "map<string,bigint>", "All accepted lines by warning; a line counts under each."),
        Column("known_before", "date", "Lines of this day and later were rejected as not known yet."),
        Column("source_columns", "string", "The columns of each source with their types, as JSON."),
        Column("definition", "string", "Digest of the settings that lines are read with."),
        Column("rules_version", "int", "Version of the rules that lines are read by."),
        Column("first_order", "string", "Smallest order number whose lines the batch changes; null where none has."),
        Column("last_order", "string", "Largest order number whose lines the batch changes; null where none has."),
        Column("table_versions", "map<string,bigint>", "Delta versions of the tables after the batch."),
        Column("claimed_by", "string", "Command that did it: host, process and start."),
        Column("recorded_at", "timestamp", "When the step was reached, UTC."),
        Column("code_version", "string", "Version of the library."),
    ),
    key=("batch_number", "status"),
)

INGEST_CHANGES = Table(
    "ingest_changes",
    "a change of a line in transactions or rejected_transactions by an incremental batch",
    (
        _BATCH_NUMBER,
        Column("table_name", "string", "Table that the line is deleted from or inserted into."),
        Column("is_inserted", "boolean", "Whether the line is inserted; else it is deleted."),
        *REJECTED_TRANSACTIONS.columns,
    ),
    key=("batch_number", "table_name", "is_inserted", c.LINE_ID),
    partitioned_by=("batch_number",),
)

INGESTED_FILES = Table(
    "ingested_files",
    "a file of order lines that was read",
    (
        Column("path", "string", "Path or pattern of the source, as configured."),
        Column(c.SOURCE_FILE, "string", "The file."),
        Column("bytes", "bigint", "Its size when it was read."),
        Column("modified_at", "string", "When it had been written, UTC."),
        _BATCH_NUMBER,
    ),
    key=("batch_number", "path", c.SOURCE_FILE),
)

TABLE_BUILDS = Table(
    "table_builds",
    "a step of bringing a table up to date: planned, committed; the newest committed one says what it is made from",
    (
        Column("table_name", "string", "The table.", nullable=False),
        Column(
            "status",
            "string",
            "planned: the table is being changed; committed: it is what made_from says.",
            nullable=False,
            check="status IN ('planned', 'committed')",
        ),
        Column("made_from", "string", "What it is made from, as JSON: batch of ingest, as-of date, digest of sources."),
        Column("claimed_by", "string", "Command that did it: host, process and start."),
        Column("recorded_at", "timestamp", "When the step was reached, UTC."),
    ),
    key=("table_name", "recorded_at"),
)

TABLE_VERSIONS = Table(
    "table_versions",
    "a table as the last command that wrote tables left it: what a command finds is not to be older",
    (
        Column("table_name", "string", "The table."),
        Column("table_id", "string", "Delta's id of it; a clone, or a table made anew, has another one."),
        Column("version", "bigint", "Its Delta version."),
        Column("command", "string", "The command that left it so."),
        Column("recorded_at", "timestamp", "When the command had ended, UTC."),
        Column(
            "made_from", "string", "Of `run`: a digest of what it found, and what it made of it, as JSON; else null."
        ),
    ),
    key=("table_name",),
)

WAREHOUSE_CLAIM = Table(
    "warehouse_claim",
    "who is at work on the tables; one row, used where the tables are not on this machine",
    (
        Column("owner", "string", "The command at work; null when none is."),
        Column("description", "string", "Who it is, for people: command, host, process."),
        Column("claimed_at", "timestamp", "When it began, UTC."),
        Column("renewed_at", "timestamp", "When it last said that it is alive, UTC."),
    ),
    key=("owner",),
)

CUSTOMERS = Table(
    "customers",
    "attributes of a customer",
    (_CUSTOMER,),
    key=(c.CUSTOMER_ID,),
    open=True,
)

ENGAGEMENT = Table(
    "engagement",
    "an engagement event",
    (
        _CUSTOMER,
        Column(c.OCCURRED_AT, "timestamp", "When it happened, UTC.", nullable=False),
        Column(c.EVENT_TYPE, "string", "What happened: mailing, redemption, click ...", nullable=False),
        Column(c.CHANNEL, "string", "Channel of the event; null where unknown."),
        Column(c.CAMPAIGN_ID, "string", "Campaign it belongs to; null where none."),
    ),
    key=(c.CUSTOMER_ID, c.OCCURRED_AT, c.EVENT_TYPE, c.CHANNEL, c.CAMPAIGN_ID),
)

_REJECTED_CUSTOMER = replace(_CUSTOMER, nullable=True)

REJECTED_CUSTOMERS = Table(
    "rejected_customers", "a rejected row of customers", (*_REJECTED, _REJECTED_CUSTOMER), key=(c.BATCH_ID,)
)

REJECTED_ENGAGEMENT = Table(
    "rejected_engagement", "a rejected row of events", (*_REJECTED, _REJECTED_CUSTOMER), key=(c.BATCH_ID,)
)

RETURNS = Table(
    "returns",
    "a piece of a return and the purchase that it is matched with",
    (
        _CUSTOMER,
        Column(c.PRODUCT_ID, "string", "Product returned; null where the source has none."),
        Column(c.RETURN_LINE_ID, "bigint", "Line that gave it back, in transactions.", nullable=False),
        Column(c.RETURN_ORDER_ID, "string", "Order (basket, invoice) of that line."),
        Column(c.RETURNED_AT, "timestamp", "When it was returned, UTC."),
        Column(c.LINE_ID, "bigint", "Line that had bought it; null for what no purchase explains."),
        Column(c.ORDER_ID, "string", "Order that had bought it; null for what no purchase explains."),
        Column(c.ORDERED_AT, "timestamp", "When it had been bought, UTC; null for what no purchase explains."),
        Column(
            c.QUANTITY,
            "decimal(18,3)",
            "Items of the piece; 0 only for a return line without items. A return's pieces add up to its items.",
        ),
        Column(
            c.AMOUNT,
            MONEY,
            "Value returned for the piece, 0 or more; a return's pieces add up to its value. Unit: money.",
            check="amount >= 0",
        ),
        Column(c.IS_MATCHED, "boolean", "Whether a purchase explains the piece; a return has at most one without."),
    ),
    key=(c.RETURN_LINE_ID, c.LINE_ID),
)

_RFM_SCORES = (
    Column(
        c.R_SCORE,
        "int",
        "Recency score, 1 to 5; 5 bought most recently. Equal recency, equal score.",
        check="r_score BETWEEN 1 AND 5",
    ),
    Column(c.F_SCORE, "int", "Frequency score, 1 to 5; 5 orders most often.", check="f_score BETWEEN 1 AND 5"),
    Column(c.M_SCORE, "int", "Monetary score, 1 to 5; 5 spends most.", check="m_score BETWEEN 1 AND 5"),
    Column(c.RFM_SCORE, "string", "The three scores as one cell, from 111 to 555."),
    Column(c.RFM_NUMBER, "double", "Mean of the three scores."),
    Column(
        c.RFM_SEGMENT,
        "string",
        "Segment of the 11-segment RFM grid the cell lies in; relative to the customers of the cut points.",
    ),
)

_LINES = tuple(
    Column(f"{part}lines", "bigint", f"Purchase lines{meaning}.")
    for part, meaning in {
        "": "",
        "discounted_": " with a discount",
        "night_": " from 0 to 6 o'clock (run's time zone)",
        "morning_": " from 6 to 12 o'clock",
        "afternoon_": " from 12 to 18 o'clock",
        "evening_": " from 18 to 24 o'clock",
    }.items()
)

CUSTOMER_DAYS = Table(
    "customer_days",
    "a day on which a customer has order lines, as of the date that table_builds says",
    (
        _CUSTOMER,
        Column("day", "date", "The day, in the run's time zone.", nullable=False),
        Column("orders", "bigint", "Distinct orders with a purchase; a fully returned one is none."),
        Column("net", "bigint", "Purchases less returns. Unit: cents."),
        Column("gross", "bigint", "Purchases. Unit: cents."),
        Column("placed", "bigint", "Purchases, fully returned ones included. Unit: cents."),
        Column("returned", "bigint", "Value returned. Unit: cents."),
        Column("discounts", "bigint", "Discounts on purchases. Unit: cents."),
        Column("items", "bigint", "Purchased quantity. Unit: thousandths."),
        *_LINES,
    ),
    key=(c.CUSTOMER_ID, "day"),
    skipped_by=("day",),
)

_LARGEST = ("the most", "second most", "third most")

CUSTOMER_HISTORY = Table(
    "customer_history",
    "a customer with a purchase, as of the date that table_builds says: what the features are made of",
    (
        _CUSTOMER,
        Column("first_day", "date", "Day (run's time zone) of the first purchase; a fully returned order is none."),
        Column("last_day", "date", "Day of the last purchase.", check="last_day >= first_day"),
        Column("days", "bigint", "Distinct days with a purchase."),
        Column("net", MONEY, "Purchases less returns. Unit: money."),
        Column("gross", MONEY, "Purchases. Unit: money."),
        Column("placed", MONEY, "Purchases, fully returned ones included. Unit: money."),
        Column("returned", MONEY, "Value returned. Unit: money."),
        Column("discounts", MONEY, "Discounts on purchases. Unit: money."),
        Column("items", "decimal(20,3)", "Purchased quantity."),
        *_LINES,
        *(
            Column(f"{part}_lines", "bigint", f"Purchase lines {meaning}.")
            for part, meaning in {
                "weekend": "on Saturday or Sunday",
                "winter": "from December to February",
                "spring": "from March to May",
                "summer": "from June to August",
                "autumn": "from September to November",
            }.items()
        ),
        Column("gap_squares", "bigint", "Sum of the squared gaps between days with a purchase. Unit: days squared."),
        Column("gap_logs", "double", "Sum of the natural logarithms of the gaps between days with a purchase."),
        Column("gap_entropy", "double", "Sum of the gaps between days with a purchase, each times its logarithm."),
        Column("orders", "bigint", "Distinct orders with a purchase."),
        Column("orders_placed", "bigint", "Distinct orders, fully returned ones included."),
        Column("orders_with_return", "bigint", "Distinct orders of which something was returned."),
        Column("coupon_orders", "bigint", "Distinct orders in which a coupon was used."),
        Column("orders_with_product", "bigint", "Distinct orders with the purchase of a known product."),
        Column("products", "bigint", "Distinct products purchased."),
        Column("product_orders", "bigint", "Sum over products of the orders in which they were purchased."),
        Column(
            "product_order_pairs",
            "bigint",
            "Sum over products of n (n - 1), n the orders in which the product was purchased.",
        ),
        *(
            Column(
                f"{one}_{what}" if what else many, "double" if what else "bigint", meaning.format(one=one, many=many)
            )
            for one, many in (
                ("category", "categories"),
                ("brand", "brands"),
                ("channel", "channels"),
                ("store", "stores"),
            )
            for what, meaning in (
                ("", "Distinct {many} purchased."),
                ("spend", "Purchases with a known {one}. Unit: cents."),
                ("top", "Purchases with the {one} that has most. Unit: cents."),
                ("logs", "Sum over {many} of the purchases times their natural logarithm. Unit: cents."),
                ("squares", "Sum over {many} of the squared purchases. Unit: cents squared."),
            )
        ),
        *(
            column
            for larger, name in enumerate(TOP_CATEGORIES)
            for column in (
                Column(name, "string", f"Category with {_LARGEST[larger]} purchases; of equals the first."),
                Column(f"{name}_spend", "bigint", f"Purchases with {name}. Unit: cents."),
            )
        ),
        Column(
            "category_mix",
            MIX_TYPE,
            "By known category purchased, sorted by it: quantity in thousandths, purchases in cents, purchase lines "
            "and those with a discount; null without one.",
        ),
    ),
    key=(c.CUSTOMER_ID,),
)

_CHECKS_OF_FEATURES = {c.RECENCY_DAYS: "recency_days >= 0", c.FREQUENCY: "frequency >= 1"}

CUSTOMER_FEATURES = Table(
    "customer_features",
    "a customer at an as-of date",
    (
        _CUSTOMER,
        _AS_OF,
        *(
            Column(feature.name, feature.type, feature.comment, check=_CHECKS_OF_FEATURES.get(feature.name))
            for feature in FEATURES
        ),
        Column(
            c.TOP_CATEGORIES,
            TOP_CATEGORIES_TYPE,
            "The three known categories with the most gross purchases, the largest first, and their shares in those of "
            "all; empty without any.",
        ),
        Column(
            c.RESPONSE_BY_CHANNEL,
            RESPONSE_TYPE,
            "By known channel of the engagement events, sorted by it: contacts, responses, and responses by contacts, "
            "at most 1 (null without contacts).",
        ),
        *_RFM_SCORES,
        Column(c.HAS_ATTRIBUTES, "boolean", "Whether the customer is in customers, where its attributes are."),
        _RUN,
        Column(c.MADE_FROM, "string", "Digest of the order lines, customers, events and settings it was made from."),
    ),
    key=(c.RUN_ID, c.CUSTOMER_ID),
    partitioned_by=(c.RUN_ID,),
)

_ASSIGNMENT = (
    _CUSTOMER,
    _SEGMENT,
    _SEGMENT_NAME,
    Column(
        c.RFM_SEGMENT,
        "string",
        "Segment of the 11-segment RFM grid. Relative: a place among the quintiles of the customers, whose names say "
        "nothing of whether a customer will buy again.",
    ),
    Column(
        c.RANK_IN_SEGMENT,
        "bigint",
        "Place in the segment by what the newest backtest of these settings found to rank better than net spend, else "
        "by net spend; 1 is highest, ties by net spend and customer_id.",
        check="rank_in_segment >= 1",
    ),
    Column(
        c.CONFIDENCE,
        "double",
        "How sure the segment is, 0 to 1: the share of bootstraps of the model's customers that put a customer like "
        "this one into it; 0 for noise.",
        check="confidence BETWEEN 0 AND 1",
    ),
    Column(
        c.IS_OUTLIER,
        "boolean",
        "Whether the customer is further from the segment's centre than all but clustering.outlier_share of the "
        "customers the model was trained on, or is noise.",
    ),
    Column(
        c.PREVIOUS_SEGMENT_ID,
        "int",
        "Segment in the run published before; null for a customer that was not in it, and where that run was of other "
        "settings, whose segments are others.",
    ),
    Column(
        c.DRIVERS,
        DRIVERS_TYPE,
        "Why this segment and not the next one: the strongest features first, until they make up half of what speaks "
        "for the segment, three at most. feature; value, the customer's, in original units; effect, its share in all "
        "that speaks for the segment, 0 to 1, which over all features adds up to 1; direction, high or low, where the "
        "value lies as against the next segment's centre; segment_value and other_value, the centres of this and of "
        "the next segment. A missing value is not among them. Empty for noise.",
    ),
    _MODEL,
    _RUN,
    _AS_OF,
)

CUSTOMER_SEGMENTS = Table("customer_segments", "a customer now", _ASSIGNMENT, key=(c.CUSTOMER_ID,))

CUSTOMER_SEGMENTS_HISTORY = Table(
    "customer_segments_history",
    "a customer in a run",
    _ASSIGNMENT,
    key=(c.RUN_ID, c.CUSTOMER_ID),
    partitioned_by=(c.RUN_ID,),
)

SEGMENT_PROFILES = Table(
    "segment_profiles",
    "a segment in a run",
    (
        _RUN,
        _SEGMENT,
        _SEGMENT_NAME,
        Column("customers", "bigint", "Customers in the segment.", check="customers >= 0"),
        Column("revenue", TOTAL, "Net spend of its customers up to the as-of date. Unit: money."),
        Column(
            "customer_share",
            "double",
            "Share of all segmented customers, 0 to 1.",
            check="customer_share BETWEEN 0 AND 1",
        ),
        Column("revenue_share", "double", "Share of all segmented customers' net spend; can be negative."),
        Column(
            "centroid", "map<string,double>", "Centre of the segment by feature, in original units; null for noise."
        ),
        Column("averages", "map<string,double>", "Mean of each feature over the segment, in original units."),
        Column(
            "differentiators",
            DIFFERENTIATORS_TYPE,
            "What sets the segment apart, strongest first: feature, its centre here, its centre overall, and "
            "effect, the difference in standard deviations of the prepared feature.",
        ),
        Column(
            "traits",
            TRAITS_TYPE,
            "Attributes more common here than overall, strongest first, of at least 20 customers: share among those "
            "with the attribute, overall share, lift (share divided by overall share, 1.2 and above) and q (exact "
            "one-sided test, false discovery rate over all values and segments, 0.05 and below).",
        ),
        Column(
            "stability",
            "double",
            "Mean Jaccard index over bootstrap refits, 0 to 1: under .60 unstable, above .75 stable (Hennig 2007); "
            "null for noise, and where it can't be measured.",
            check="stability BETWEEN 0 AND 1",
        ),
        Column("action", "string", "Suggested marketing action, decided with the name at the training."),
        Column(
            "activity",
            "string",
            "new, active, mixed, lapsed or lost: how active its customers were at the training, by what customers in "
            "the same state did before and by their own rhythm; null for noise.",
        ),
        Column(
            "expected_buyer_share",
            "double",
            "Expected share of its customers with a purchase in the expected_within_days days from the as-of date, 0 "
            "to 1: the share of those in the same state before (days since the last purchase, days with one, own mean "
            "gap); null where the history is too short.",
            check="expected_buyer_share BETWEEN 0 AND 1",
        ),
        Column("expected_within_days", "int", "Days ahead of the as-of date that expected_buyer_share is for."),
        Column(
            "overdue_share",
            "double",
            "Share of its customers whose last purchase is longer ago than their own mean gap, or than the median of "
            "all customers' mean gaps for those with one day with a purchase, 0 to 1.",
            check="overdue_share BETWEEN 0 AND 1",
        ),
        Column(
            "new_share",
            "double",
            "Share of its customers whose first purchase is of late: at most as long ago as the median of all "
            "customers' mean gaps, but at least 30 and at most 90 days, 0 to 1; 0 where the history is too short to "
            "tell.",
            check="new_share BETWEEN 0 AND 1",
        ),
    ),
    key=(c.RUN_ID, c.SEGMENT_ID),
)

SEGMENT_TRANSITIONS = Table(
    "segment_transitions",
    "customers that moved from one segment to another in a run",
    (
        _RUN,
        Column(
            "from_segment_id",
            "int",
            "Segment in the run published before; null for new customers, and where that run was of other settings.",
        ),
        Column("to_segment_id", "int", "Segment in this run.", nullable=False),
        Column("customers", "bigint", "Customers that moved this way."),
        Column("revenue", TOTAL, "Their net spend up to the as-of date. Unit: money."),
        Column(
            c.MOVED_BY_BEHAVIOUR,
            "bigint",
            "Those of them who changed segment and would have left theirs by the previous run's model too. Null where "
            "that can't be known: new customers, and a previous model that is no longer registered.",
        ),
        Column(
            c.MOVED_BY_MODEL,
            "bigint",
            "Those of them who changed segment only because the model was trained again: the previous run's model "
            "would have left them where they were. With moved_by_behaviour all who changed segment. Null where "
            "moved_by_behaviour is.",
        ),
    ),
    key=(c.RUN_ID, "from_segment_id", "to_segment_id"),
)

SEGMENT_LINEAGE = Table(
    "segment_lineage",
    "what became of a segment when the model was trained again",
    (
        Column(c.MODEL_VERSION, "string", "The later model; see model_runs.", nullable=False),
        Column("previous_model_version", "string", "The model that it is compared with; null for a first one."),
        Column(c.SEGMENT_ID, "int", "Segment of the later model; null for one that ended."),
        Column(c.PREVIOUS_SEGMENT_ID, "int", "Segment of the earlier model; null for one that was born."),
        Column(
            "event",
            "string",
            "kept: the same segment under its id; split: one of several that an earlier one was divided into; merged: "
            "one of several that went into a later one; born: of no earlier segment; ended: in no later segment.",
        ),
        Column(
            "customers",
            "bigint",
            "Customers of the later training who are in both, without those who came after the earlier training; all "
            "of the segment where it was born or has ended.",
        ),
    ),
    key=(c.MODEL_VERSION, c.SEGMENT_ID, c.PREVIOUS_SEGMENT_ID),
)

MODEL_RUNS = Table(
    "model_runs",
    "a training",
    (
        replace(_MODEL, nullable=False),
        Column("algorithm", "string", "Clustering algorithm."),
        Column("k", "int", "Number of segments."),
        Column("trained_as_of", "date", "As-of date of the features it was trained on."),
        Column(
            "parameters",
            "map<string,string>",
            "Parameters of the training; auto_*: what was determined for one that says auto.",
        ),
        Column("features", "array<string>", "Features the customers were clustered on."),
        Column(
            "quality",
            "map<string,double>",
            (
                "Quality figures: silhouette, calinski_harabasz, davies_bouldin, cost and smallest_share over all "
                "customers of the training that are in a segment; stability (mean adjusted Rand index of bootstraps), "
                "agreement, separation (see candidates), structure (0 none, 1 weak, 2 clear) and structure_p_value "
                "(share of clouds without groups that are as compact) on a weighted sample; noise_share, the customers "
                "in no segment, with dbscan; compression_loss, what the hierarchy does not see, with agglomerative; "
                "independent_cost, of a fit that does not start from the segments of the model before. Shares "
                "are 0 to 1. What is not defined or can't be measured is not in it."
            ),
        ),
        Column(
            "candidates",
            CANDIDATES_TYPE,
            (
                "What was tried to choose algorithm and k: fitted on a weighted sample, evaluated on all customers; "
                "stability, segment_stability and agreement (of the segment that reappears worst, with its "
                "standard error) by bootstraps of the sample; separation, mean depth of the valleys between segments; "
                "tied: the chosen one, and what does as well within one standard error; usefulness: where several are "
                "tied, how well their segments rank customers by what they spent next, up to 1. elbow and score are of "
                "earlier releases, and null since."
            ),
        ),
        Column("model", "string", "The model itself, as JSON: preparation, centres, cut points."),
        Column("code_version", "string", "Version of the library."),
        Column("data_version", "bigint", "Delta version of transactions it was trained on."),
        Column("batch_number", "bigint", "Batch of ingest that its order lines are of; null in rows of 0.1.0."),
        Column("configuration", "string", "Digest of the settings that made it."),
        Column("lines", "string", "Digest of the sources and checks that made its order lines."),
        Column("registered_at", "timestamp", "When it was written, UTC."),
        Column(
            "command",
            "string",
            (
                "Command that trained it. A model that run trained serves once that run is published, or train asks "
                "for it (see model_requests); others serve at once."
            ),
        ),
    ),
    key=(c.MODEL_VERSION,),
)

MODEL_REQUESTS = Table(
    "model_requests",
    "a training that found its model registered: of the models of one date, the one that was asked for last serves",
    (
        replace(_MODEL, comment="Model that was asked for; see model_runs.", nullable=False),
        Column("requested_at", "timestamp", "When it was asked for again, UTC.", nullable=False),
    ),
    key=("requested_at",),
)

MODEL_CORE_POINTS = Table(
    "model_core_points",
    "a core point of a dbscan model, by which customers are assigned; it names no customer",
    (
        Column(c.MODEL_VERSION, "string", "Model that the point is part of; see model_runs."),
        Column("segment", "int", "Position of its segment in the model, from 1; not the segment_id."),
        Column("rank", "bigint", "What breaks ties: the lower of two equally near places counts. From 0."),
        Column("point", "array<double>", "Coordinates in prepared units, in the order of model_runs.features."),
    ),
    key=(c.MODEL_VERSION, "rank"),
    partitioned_by=(c.MODEL_VERSION,),
)

PIPELINE_RUNS = Table(
    "pipeline_runs",
    "a run",
    (
        _RUN,
        _AS_OF,
        Column(
            "status",
            "string",
            "complete: every table of the run is written and its counts agree; expired: its customers were removed "
            "by `maintain`. The published run is the one that customer_segments carries.",
        ),
        Column("previous_run_id", "string", "Run that was published before; null for the first."),
        _MODEL,
        Column(c.BATCH_ID, "string", "Batch of ingest that the run used; see ingest_batches."),
        Column(
            "rows_in",
            "bigint",
            "Order lines read; equals rows_accepted + rows_rejected + rows_filtered_out.",
            check=_ADDS_UP,
        ),
        Column("rows_accepted", "bigint", "Order lines in transactions."),
        Column("rows_rejected", "bigint", "Order lines in rejected_transactions after the batch that the run used."),
        Column("rows_filtered_out", "bigint", "Order lines that are filtered out, see ingest_batches; in no table."),
        Column("rejected_by_reason", "map<string,bigint>", "Rejected lines by reason; a line counts under each."),
        Column("warned_by_code", "map<string,bigint>", "Accepted lines by warning; a line counts under each."),
        Column(
            "customers",
            "bigint",
            "Customers of the run: with a purchase before the as-of date, within features.active_within.",
        ),
        Column(
            "customers_segmented",
            "bigint",
            "Customers in customer_segments; equals customers.",
            check="customers_segmented = customers",
        ),
        Column("segments", "int", "Number of segments, noise not counted."),
        Column("revenue", TOTAL, "Net spend of all segmented customers. Unit: money."),
        Column("input_versions", "map<string,bigint>", "Delta versions of the tables that were read."),
        Column("stage_seconds", "map<string,double>", "Duration of each stage up to publication. Unit: seconds."),
        Column("started_at", "timestamp", "Start of the run, UTC."),
        Column("finished_at", "timestamp", "When all of its tables were written, UTC."),
        Column("code_version", "string", "Version of the library."),
        Column(
            "outcome",
            "string",
            "ok: every figure is within the limits of the setting alerts; warn: one is not; stop: one is so far out "
            "that the run is published only by publishing.despite_alerts. Null in rows of earlier releases.",
            check="outcome IN ('ok', 'warn', 'stop')",
        ),
        Column(
            "alerts",
            ALERTS_TYPE,
            "Figures beyond a limit when the run was written: name of the limit, value, the limit, level (warn, stop), "
            "and a sentence. Empty where there are none.",
        ),
    ),
    key=(c.RUN_ID,),
)

VALUE_MODELS = Table(
    "value_models",
    "a value model fitted to the customers of a date",
    (
        Column(
            c.MADE_FROM, "string", "What the customers' features were made from; see customer_features.", nullable=False
        ),
        Column("model", "string", "The purchase and the spend model, as JSON, with their standard errors."),
        Column("messages", "array<string>", "What is to be known of the fits, in sentences; empty where all is well."),
    ),
    key=(c.MADE_FROM,),
)

PUBLICATIONS = Table(
    "publications",
    "a run becoming what consumers read",
    (
        Column("published_at", "timestamp", "When it became so, UTC.", nullable=False),
        Column(c.RUN_ID, "string", "The run; see pipeline_runs.", nullable=False),
        Column("command", "string", "The command that published it; null where it was killed before this record."),
        Column("configuration", "string", "Digest of the settings it was published with; null where command is null."),
        Column("previous_run_id", "string", "Run that consumers read before; null for the first."),
    ),
    key=("published_at",),
)

BACKTESTS = Table(
    "backtests",
    "a figure of a backtest",
    (
        replace(_RUN, comment="Backtest that wrote the row: its date, and a digest of its settings and data."),
        Column(
            c.AS_OF_DATE,
            "date",
            "Fitted to what was known before this day, evaluated by what was done from it on; null: mean over the "
            "dates.",
        ),
        Column("horizon_days", "int", "Days from that day on by which it was evaluated."),
        Column(
            "score",
            "string",
            "What customers were ranked by: past_spend (net), recent_spend (in as many days before), frequency; "
            "the mean past spend of the customer's rfm_cell, cell of rfm_grid, segment of the configured segmentation "
            "(segments) or of another algorithm by its name; rank_in_segment (segment, then past spend), "
            "spend_then_segment, lifetime_value, learned (trees on all features).",
        ),
        Column("outcome", "string", "What they were evaluated by: net_spend, gross_spend (money) or orders."),
        Column(
            "metric",
            "string",
            "gini: Gini coefficient of the ranking divided by that of the best one, 1 is best and 0 no ranking; "
            "gini_gain: how far it is above that of past_spend; spearman: rank correlation; top_10_share, "
            "top_20_share: share of the outcome that the top 10% and 20% have; lift_1 to lift_10: mean outcome of "
            "each tenth, the top first, by that of all. Of forecasts: mae (money a customer), total_error (forecast "
            "total by that of then, less 1), decile_error (mean distance of a tenth's mean forecast and outcome, by "
            "the mean of all). Of segments: customers (evaluated), retention (share that ordered), spend (net, a "
            "customer).",
        ),
        Column(c.SEGMENT_ID, "int", "Segment of the model trained at that day; null for figures of all customers."),
        Column("value", "double", "The figure."),
        Column("low", "double", "Lower end of its 95% interval, by bootstraps of the customers."),
        Column("high", "double", "Upper end of its 95% interval."),
        Column("configuration", "string", "Digest of the settings that made the models; see model_runs."),
        Column("tested_at", "timestamp", "When its figures were written, UTC."),
    ),
    key=(c.RUN_ID, "horizon_days", c.AS_OF_DATE, "score", "outcome", "metric", c.SEGMENT_ID),
    partitioned_by=(c.RUN_ID,),
)

_EXPLORED = replace(_RUN, comment="Run as of whose date the data was explored, be it carried out or not.")

DATA_PROFILE = Table(
    "data_profile",
    "a column of a canonical table, as it was before the as-of date of a run",
    (
        _EXPLORED,
        _AS_OF,
        Column("table_name", "string", "Table that the column is in."),
        Column("position", "int", "Place of the column in its table, from 0."),
        Column("column_name", "string", "The column."),
        Column("column_type", "string", "Its type, in Spark SQL."),
        Column("row_count", "bigint", "Rows of the table that entered."),
        Column("missing", "bigint", "Rows without a value: null, not a number, or blank text."),
        Column("missing_share", "double", "Share of the rows without a value, 0 to 1; null without rows."),
        Column(
            "distinct_values",
            "bigint",
            "Distinct values: counted for texts with few, else estimated, standard error 5%; null for nested types.",
        ),
        Column(
            "minimum",
            "string",
            "Smallest number, first date or time (local as in the run); null for texts and identifiers.",
        ),
        Column(
            "maximum",
            "string",
            "Largest number, last date or time (local as in the run); null for texts and identifiers.",
        ),
        Column("mean", "double", "Mean of the known numbers; null for other types."),
        Column(
            "quantiles",
            "map<string,double>",
            "Quantiles of the known numbers by probability, right to 1 part in 10,000 of the rows.",
        ),
        Column(
            "top_values",
            TOP_VALUES_TYPE,
            "Most frequent values with their rows and share of all rows, where there are few; customer attributes "
            "only where 5 customers or more share the value, identifiers never.",
        ),
    ),
    key=(c.RUN_ID, "table_name", "column_name"),
    partitioned_by=(c.RUN_ID,),
)

DATA_DISTRIBUTIONS = Table(
    "data_distributions",
    "a bucket of a measure, over what happened before the as-of date of a run",
    (
        _EXPLORED,
        _AS_OF,
        Column("measure", "string", "What is counted: order_value, orders_by_month, spend_by_category ..."),
        Column("bucket", "int", "Place of the bucket in its measure, from 0."),
        Column("label", "string", "The bucket in words; empty for rows without a value."),
        Column("lower", "double", "First value in the bucket; null where it is open below or no range."),
        Column("upper", "double", "First value above the bucket; null where it is open above or no range."),
        Column("count", "bigint", "Lines, orders, customers or gaps in the bucket, as the measure says."),
        Column("amount", TOTAL, "What they add up to; null where nothing is summed. Unit: money."),
    ),
    key=(c.RUN_ID, "measure", "bucket"),
    partitioned_by=(c.RUN_ID,),
)

SUPPRESSED_CUSTOMERS = Table(
    "suppressed_customers",
    "a customer who was erased, known by a digest alone: what sources still have of them is filtered out",
    (
        Column("customer_hash", "string", "SHA-256 of the salt and the customer's id after it, hexadecimal."),
        Column("receipt_id", "string", "Erasure that the customer was named for first; see erasures."),
        Column("suppressed_at", "timestamp", "When the customer was suppressed, UTC."),
    ),
    key=("customer_hash",),
)

SUPPRESSION_SALT = Table(
    "suppression_salt",
    "the salt of the digests in suppressed_customers; one row",
    (Column("salt", "string", "32 random bytes, hexadecimal: one customer has other digests in other warehouses."),),
    key=("salt",),
)

ERASURES = Table(
    "erasures",
    "a step of an erasure: planned, committed; the committed one is its receipt",
    (
        Column("receipt_id", "string", "The erasure, by the time at which it was asked for."),
        Column(
            "status",
            "string",
            "planned: the customers are suppressed, their rows are being removed; committed: no table and no file of "
            "one has anything of theirs.",
        ),
        Column("customers", "bigint", "Customers that were named for it and not erased before."),
        Column("customers_found", "bigint", "Customers with a row in a table, those of earlier erasures among them."),
        Column("rows_removed", "map<string,bigint>", "Rows that leave a table, by its name."),
        Column("rows_by_run", "map<string,bigint>", "Of these, the rows of customer_segments_history by run_id."),
        Column("properties", "string", "Table properties changed meanwhile, with their values before, as JSON."),
        Column("claimed_by", "string", "Command that did it: host, process and start."),
        Column("recorded_at", "timestamp", "When the step was reached, UTC."),
        Column("code_version", "string", "Version of the library."),
    ),
    key=("receipt_id", "status"),
)

ALL_TABLES: tuple[Table, ...] = (
    TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    CUSTOMERS,
    ENGAGEMENT,
    RETURNS,
    INGEST_BATCHES,
    INGESTED_FILES,
    TABLE_BUILDS,
    CUSTOMER_DAYS,
    CUSTOMER_HISTORY,
    CUSTOMER_FEATURES,
    CUSTOMER_SEGMENTS,
    CUSTOMER_SEGMENTS_HISTORY,
    SEGMENT_PROFILES,
    SEGMENT_TRANSITIONS,
    SEGMENT_LINEAGE,
    MODEL_RUNS,
    PIPELINE_RUNS,
    PUBLICATIONS,
    VALUE_MODELS,
)

OPTIONAL_TABLES: tuple[Table, ...] = (
    INGEST_CHANGES,
    REJECTED_CUSTOMERS,
    REJECTED_ENGAGEMENT,
    MODEL_REQUESTS,
    MODEL_CORE_POINTS,
    BACKTESTS,
    SUPPRESSED_CUSTOMERS,
    SUPPRESSION_SALT,
    ERASURES,
    DATA_PROFILE,
    DATA_DISTRIBUTIONS,
    TABLE_VERSIONS,
    WAREHOUSE_CLAIM,
)
"""What is there only where there is something to write: rows to reject, models of some algorithms."""

KNOWN_TABLES = (*ALL_TABLES, *OPTIONAL_TABLES)
"""Whatever a warehouse may have."""

REBUILT_TABLES: frozenset[str] = frozenset(
    table.name
    for table in (
        TRANSACTIONS,
        REJECTED_TRANSACTIONS,
        RETURNS,
        CUSTOMERS,
        ENGAGEMENT,
        TABLE_BUILDS,
        CUSTOMER_DAYS,
        CUSTOMER_HISTORY,
        CUSTOMER_SEGMENTS,
    )
)
"""What the next run makes anew where the whole table is gone; what the others hold is in no other place."""
