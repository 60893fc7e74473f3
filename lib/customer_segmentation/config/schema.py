"""Every key a configuration may hold, with its type, range and default.

`conf/base.yml` shows the same keys with comments; a test keeps the two equal.
"""

import re
import string
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from customer_segmentation.config.expressions import check_expression, check_name, check_place, columns_of
from customer_segmentation.config.secrets import REJECTION, holds_secret, problem_of
from customer_segmentation.config.segment_rules import SegmentRule
from customer_segmentation.contract import columns as c
from customer_segmentation.contract.checks import CHECKS, CheckCode, Severity
from customer_segmentation.contract.errors import ConfigurationError, closest
from customer_segmentation.contract.features import FAMILIES, FEATURE_BY_NAME, Feature, feature_named
from customer_segmentation.contract.features.value import value_features

_BESIDE_FEATURES = frozenset(
    {c.CUSTOMER_ID, c.AS_OF_DATE, c.RUN_ID, c.TOP_CATEGORIES, c.RESPONSE_BY_CHANNEL, c.HAS_ATTRIBUTES, c.MODEL_VERSION}
    | {c.R_SCORE, c.F_SCORE, c.M_SCORE, c.RFM_SCORE, c.RFM_NUMBER, c.RFM_SEGMENT, c.RANK_IN_SEGMENT, c.SEGMENT_NAME}
    | {c.SEGMENT_ID, c.SECOND_SEGMENT_ID, c.MACRO_SEGMENT_ID, c.PREVIOUS_SEGMENT_ID, c.CONFIDENCE, c.IS_OUTLIER}
    | {c.DRIVERS, c.MADE_FROM}
)
"""What stands beside the features of a customer that is clustered and assigned."""


def _listed(value: Any) -> Any:
    """One mapping stands for a list of one."""
    return [value] if isinstance(value, dict) else value


def _one_or_many(value: Any) -> Any:
    """One text stands for a list of one, nothing for none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return text


def _date_pattern(text: str) -> str:
    """A pattern of Spark's that names a day: without a month, as in dd/mm/yyyy, every time would be of January."""
    letters = set(re.sub(r"'[^']*'", "", text)) & set(string.ascii_letters)
    unknown = sorted(letters - set("GyDMLdQqEFahHKkmsSVzOXxZ"))
    if unknown:
        raise ValueError(
            f"has {unknown[0]}, which is no letter of Spark's date patterns (y year, M month, d day, H hour, m minute)"
        )
    for part, known in {"year, y": "y", "month, M": "MLDQq", "day, d": "dD"}.items():
        if not letters & set(known):
            raise ValueError(f"has no {part}; m is the minute and h the hour of half a day")
    return text


def _known_zone(name: str) -> str:
    # "localtime" and "Factory" are files beside the zones of some machines, and differ from one to the next.
    known = sorted({"UTC", *available_timezones()} - {"localtime", "Factory"})
    if name not in known:
        raise PydanticCustomError("unknown_name", "is not a time zone of the IANA database", {"known": known})
    return name


def _distinct(values: list[str]) -> list[str]:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"names {', '.join(repeated)} more than once; name each once")
    return values


def _is_noise(name: str) -> bool:
    return name.strip().casefold() == c.NOISE_NAME.casefold()


def _table_name(name: str) -> str:
    parts = name.split(".")
    if len(parts) > 3:
        raise ValueError("is not a table's name; write table, schema.table or catalog.schema.table")
    return ".".join(check_place(part) for part in parts)


def _on_this_machine(path: str) -> str:
    """The path of a file that this process can write: volumes of Databricks are mounted, other addresses are not."""
    path = re.sub(r"^(?:dbfs:/*(?=/Volumes/)|file:(?://)?(?=/))", "", path)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        raise ValueError("is no path of a file here; pages are written to a path of this machine, or below /Volumes")
    return path


def _local_master(master: str) -> str:
    if not re.fullmatch(r"local(?:-cluster)?(?:\[[^\]]*\])?", master):
        raise ValueError("is not on this machine; submit to a cluster by `spark-submit --master`, see the README")
    return master


def _from_iso(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    return value


def _without_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    problems = ((name, problem_of(name, value)) for name, value in settings.items())
    _raise([_at((name,), settings[name], message) for name, message in problems if message])
    return settings


def _without_secret(value: str) -> str:
    if holds_secret(value):
        raise ValueError(REJECTION)
    return value


# A description says what the value must be, in the words of an error message; without one the type and range do.
Expression = Annotated[
    str, AfterValidator(check_expression), Field(description="a column name or a Spark SQL expression, as text")
]
Name = Annotated[str, AfterValidator(check_name)]
Place = Annotated[str, AfterValidator(check_place)]
TimeZone = Annotated[
    str, AfterValidator(_known_zone), Field(description="a time zone of the IANA database, such as Europe/Berlin")
]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, description="text, not empty")]
Location = Annotated[Text, AfterValidator(_without_secret)]
PageFile = Annotated[Text, AfterValidator(_on_this_machine)]
Scalar = Annotated[str | bool | int | float, Field(description="text, a number, true or false")]
Settings = Annotated[dict[str, Scalar], AfterValidator(_without_secrets), Field(repr=False)]
Variable = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_]\w{0,127}$", description="the name of an environment variable"),
]
Environment = Annotated[dict[str, Variable], Field(repr=False)]
Date = Annotated[date, BeforeValidator(_from_iso), Field(description="a date written YYYY-MM-DD")]
Overlap = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[0-9]{1,6} (second|minute|hour|day)s?$")],
    Field(description="a time such as 1 hour or 2 days, or a whole number"),
]
Format = Literal["parquet", "csv", "json", "delta"]
SourceFormat = Literal["parquet", "csv", "json", "delta", "jdbc"]
Dirt = Literal[
    "missing_customer",
    "missing_order",
    "unreadable_date",
    "unreadable_number",
    "zero_price",
    "absurd_quantity",
    "duplicate",
]


class Section(BaseModel):
    """A part of the configuration: immutable, strict in types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Relation(Section):
    """Where rows are: files at a path, or a table by name, in a lake or in a database."""

    format: SourceFormat = "parquet"
    path: Location | None = None
    table: Annotated[str, AfterValidator(_table_name)] | None = None
    version: Annotated[int, Field(ge=0)] | None = None
    options: Settings = {}
    environment: Environment = {}
    partition_column: Name | None = None
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 8

    @model_validator(mode="after")
    def _is_somewhere(self) -> "Relation":
        if self.format == "jdbc":
            if self.path is not None or self.table is None or "url" not in self.options:
                raise ValueError("needs table and options.url (jdbc:postgresql://host/database), and no path, for jdbc")
            for part in self.table.split("."):
                check_name(part)
        elif (self.path is None) == (self.table is None):
            given = "neither" if self.path is None else "both"
            raise ValueError(
                f"needs exactly one of path and table, has {given}; "
                "set the one that an earlier --config file gave to null"
            )
        if self.version is not None and self.format != "delta":
            raise ValueError(f"has a version, which only delta keeps; the format is {self.format}")
        if self.partition_column is not None and self.format != "jdbc":
            raise ValueError(
                f"has a partition_column, which splits the read of a jdbc table; the format is {self.format}"
            )
        return self


class Lookup(Relation):
    """A relation joined to a source by equal columns; adds columns, never rows."""

    using: Annotated[list[Text], Field(min_length=1, description="a list of column names, such as [product_id]")]
    when_changed: Literal["keep", "reload"] = "keep"


class Source(Relation):
    """A relation with the joins that complete its rows."""

    joins: Annotated[list[Lookup], BeforeValidator(_listed)] = []
    where: Expression | None = None
    timestamp_format: Annotated[
        list[Annotated[Text, AfterValidator(_date_pattern)]],
        BeforeValidator(_one_or_many),
        Field(description="a date pattern such as dd.MM.yyyy HH:mm, or a list of them"),
    ] = []
    timezone: TimeZone | None = None


class TransactionColumns(Section):
    """What an order line is made of; each value is a column or a Spark SQL expression over the row."""

    customer_id: Expression
    order_id: Expression
    ordered_at: Expression
    amount: Expression | None = None
    unit_price: Expression | None = None
    quantity: Expression | None = None
    product_id: Expression | None = None
    category: Expression | None = None
    discount: Expression | None = None
    channel: Expression | None = None
    brand: Expression | None = None
    store_id: Expression | None = None
    coupon: Expression | None = None
    currency: Expression | None = None
    is_return: Expression | None = None
    line_number: Expression | None = None
    changed_at: Expression | None = None

    @model_validator(mode="after")
    def _has_value(self) -> "TransactionColumns":
        if self.amount is None and self.unit_price is None:
            raise ValueError("needs amount (net value of the line) or unit_price (with quantity)")
        if (self.line_number is None) != (self.changed_at is None):
            raise ValueError(
                "needs both line_number and changed_at, or neither: the versions of a line have its order and "
                "number, and the one changed last stands"
            )
        return self


class TransactionSource(Source):
    """Order lines; new ones are recognised by files, a Delta table's change feed, or a database's watermark."""

    decimal_comma: bool = False
    accounting: bool = False
    watermark: Name | None = None
    overlap: Overlap = 0
    missing_files: Literal["fail", "remove", "keep"] = "fail"
    columns: TransactionColumns

    @model_validator(mode="after")
    def _has_a_use_for_it(self) -> "TransactionSource":
        if self.watermark is not None and self.format != "jdbc":
            raise ValueError(f"has a watermark, which only a jdbc table needs; the format is {self.format}")
        if self.overlap != 0 and self.watermark is None:
            raise ValueError("has an overlap but no watermark; set watermark to a column that only grows")
        return self

    @property
    def has_row_key(self) -> bool:
        """Whether rows have a key (order and line number) and a time of change, so that updates can be recognised."""
        return self.columns.line_number is not None and self.columns.changed_at is not None


class CustomerColumns(Section):
    """The customer's id, then any attributes under names of their own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Expression]
    customer_id: Expression

    @property
    def attributes(self) -> dict[str, str]:
        """The mapping of each attribute by its name; empty where all columns of the source are attributes."""
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _safe_names(self) -> "CustomerColumns":
        seen = {"customer_id"}
        for name in self.__pydantic_extra__ or {}:
            try:
                check_name(name)
            except ValueError as error:
                raise ValueError(f"the attribute {name!r:.60} {error}") from None
            if name.lower() in seen:
                raise ValueError(f"the attribute {name} is there twice; names are case-insensitive in Spark")
            seen.add(name.lower())
        return self


class CustomerSource(Source):
    """Attributes of customers."""

    columns: CustomerColumns


class EngagementColumns(Section):
    """What an event is made of; each value is a column or a Spark SQL expression over the row."""

    customer_id: Expression
    occurred_at: Expression
    event_type: Expression
    channel: Expression | None = None
    campaign_id: Expression | None = None


class EngagementSource(Source):
    """How customers were contacted and how they answered."""

    columns: EngagementColumns


_SOURCES = Field(min_length=1, description="a source, or a list of them that is not empty")


class Sources(Section):
    """Where the data comes from; several sources of one kind are put together."""

    transactions: Annotated[list[TransactionSource], BeforeValidator(_listed), _SOURCES]
    customers: Annotated[list[CustomerSource], BeforeValidator(_listed), _SOURCES] | None = None
    engagement: Annotated[list[EngagementSource], BeforeValidator(_listed), _SOURCES] | None = None


class Tables(Section):
    """Where the tables are: below a path, or in a schema of a catalog."""

    root: Location | None = "warehouse"
    catalog: Place | None = None
    schema_: Annotated[Place | None, Field(alias="schema")] = None

    @model_validator(mode="after")
    def _one_place(self) -> "Tables":
        if self.schema_ is None and self.catalog is not None:
            raise ValueError("has a catalog but no schema; name the schema in it")
        if self.schema_ is None and self.root is None:
            raise ValueError("needs a root (a path), or a schema (with or without a catalog)")
        return self


class Checks(Section):
    """What order lines have to pass; a line that fails is rejected with a reason, unless `severity` says otherwise.

    earliest_order, latest_order: first and last date that an order may have.
    max_quantity: most items of a line, either way, above 0.
    max_amount: the largest net amount of a line, either way, above 0.
    currencies: the currencies that lines may be in; empty: any.
    fee_products: patterns of product ids that are no goods, such as postage.
    max_rejected_share: share of the lines, 0 to 1; where more are rejected the run ends with an error.
    severity: by a check's code, reject, warn or off.

    >>> Checks(max_quantity=10, severity={"zero_price": "warn"}).max_quantity
    10.0
    """

    earliest_order: Date = date(1970, 1, 1)
    latest_order: Date = date(2100, 1, 1)
    max_quantity: Annotated[float, Field(gt=0)] = 100_000
    max_amount: Annotated[float, Field(gt=0)] = 1e12
    currencies: Annotated[list[Text], AfterValidator(_distinct)] = []
    fee_products: list[Annotated[Text, AfterValidator(_pattern)]] = []
    max_rejected_share: Share = 0.5
    severity: dict[CheckCode, Severity] = {}

    @model_validator(mode="after")
    def _keeps_the_essential(self) -> "Checks":
        for code in sorted(check.code for check in CHECKS if check.is_essential):
            if self.severity.get(code, "reject") != "reject":
                raise ValueError(f"can't set severity.{code} to {self.severity[code]}: no order line is without it")
        return self


class Ingest(Section):
    """How the sources of order lines are read."""

    reload: bool = False


class Windows(Section):
    """Days before the as-of date that the trend features look at, each as many again before them."""

    short: Annotated[int, Field(ge=1, le=3650)] = 30
    medium: Annotated[int, Field(ge=1, le=3650)] = 90
    long: Annotated[int, Field(ge=1, le=3650)] = 365

    @model_validator(mode="after")
    def _ascend(self) -> "Windows":
        if not self.short < self.medium < self.long:
            raise ValueError(
                f"need short below medium below long, but they are {self.short}, {self.medium} and {self.long}"
            )
        return self

    def days(self) -> dict[str, int]:
        """The lengths by name."""
        return {"short": self.short, "medium": self.medium, "long": self.long}


class Features(Section):
    """What the customers' features are made from."""

    response_events: Annotated[list[Text], AfterValidator(_distinct)] = ["redemption", "click", "reply"]
    windows: Windows = Windows()
    active_within: Annotated[int, Field(ge=1, le=36_500)] | None = None
    derived: dict[str, Expression] = {}

    @field_validator("derived", mode="after")
    @classmethod
    def _over_features(cls, derived: dict[str, str]) -> dict[str, str]:
        for name in derived:
            try:
                check_name(name)
            except ValueError as error:
                raise ValueError(f"the feature {name!r:.60} {error}") from None
        _distinct([name.lower() for name in derived])
        problems = ((name, _problem_of_derived(name, text)) for name, text in derived.items())
        _raise([_at((name,), derived[name], message) for name, message in problems if message])
        return derived

    @property
    def derived_features(self) -> tuple[Feature, ...]:
        """The declarations of the derived features."""
        meaning = "Derived: see features.derived in the configuration of the run."
        return tuple(Feature(name=name, meaning=meaning, formula=text) for name, text in self.derived.items())


class Preparing(Section):
    """How features and attributes become the numbers that customers are compared by."""

    skewed: Literal["log", "yeo_johnson", "none"] = "log"
    transforms: dict[str, Literal["log", "yeo_johnson", "none"]] = {}
    winsorise: (
        Annotated[
            list[Share],
            Field(min_length=2, max_length=2, description="two rising quantiles from 0 to 1, such as [0.01, 0.99]"),
        ]
        | None
    ) = None
    scaling: Literal["robust", "standard"] = "robust"
    attributes: Annotated[list[Name], AfterValidator(_distinct)] = []
    categories: Annotated[int, Field(ge=2, le=100)] = 10
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    variance: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _rising(self) -> "Preparing":
        if self.winsorise is not None and not self.winsorise[0] < self.winsorise[1]:
            raise ValueError(
                f"has the quantiles {self.winsorise} to winsorise by; the second has to be above the first"
            )
        return self


NumberOfSegments = Literal["auto"] | Annotated[int, Field(ge=2, le=100)]


class Clustering(Section):
    """The clustering algorithm and how it is fitted."""

    algorithm: Literal["kmeans", "bisecting_kmeans", "gaussian_mixture", "agglomerative", "dbscan", "auto"] = "kmeans"
    features: Annotated[
        list[str],
        Field(min_length=1, description="a list of feature names that is not empty"),
        AfterValidator(_distinct),
    ] = [
        "recency_days",
        "expected_gap",
        "average_order_value",
        "average_item_price",
        "category_entropy",
        "price_sensitivity",
    ]
    segments: NumberOfSegments = "auto"
    k: NumberOfSegments = "auto"
    preparation: Preparing = Preparing()
    k_min: Annotated[int, Field(ge=2, le=100)] = 3
    k_max: Annotated[int, Field(ge=2, le=100)] = 8
    smallest_share: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    sample_size: Annotated[int, Field(ge=100, le=100_000)] = 10_000
    max_iterations: Annotated[int, Field(ge=1, le=1_000)] = 50
    outlier_share: Annotated[float, Field(ge=0, le=0.2)] = 0.01
    micro_clusters: Annotated[int, Field(ge=100, le=20_000)] = 2_000
    eps: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    gpu: bool = False
    retrain_after_days: Annotated[int, Field(ge=0)] = 30

    @model_validator(mode="before")
    @classmethod
    def _former(cls, data: Any) -> Any:
        if isinstance(data, dict) and "outlier_distance" in data:
            raise ValueError(
                "has an outlier_distance, which is no setting any more: outliers are now a share of the customers, "
                "those furthest out in their segment. Leave it out for 0.01, or write outlier_share: 0.02 for 2%"
            )
        return data

    @model_validator(mode="before")
    @classmethod
    def _two_names(cls, given: Any) -> Any:
        """`segments` and `k` are one setting: what is given counts for both, a number before auto."""
        names = ("segments", "k")
        if not isinstance(given, Mapping):
            return given
        values = sorted((given[name] for name in names if name in given), key=lambda value: value == "auto")
        value = values[0] if values and (len(values) == 1 or values[1] == "auto") else None
        is_valid = value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= 100)
        return {**given, **dict.fromkeys(names, value)} if is_valid else given

    @model_validator(mode="after")
    def _range(self) -> "Clustering":
        if self.segments != self.k and self.model_fields_set >= {"segments", "k"}:
            raise ValueError(
                f"has segments = {self.segments} and k = {self.k}, which are two names of one setting; leave one out"
            )
        if self.k_min > self.k_max:
            raise ValueError(f"k_min ({self.k_min}) must not be above k_max ({self.k_max}); lower it or raise k_max")
        if self.algorithm == "dbscan" and self.k != "auto":
            raise ValueError(
                f"has k = {self.k}, but dbscan finds the number of segments itself; set k to auto, and tune eps and "
                "min_samples"
            )
        if self.algorithm != "dbscan" and self.eps != "auto":
            raise ValueError(
                f"has an eps, which is a distance of dbscan; the algorithm is {self.algorithm}. Set eps to auto, or "
                "algorithm to dbscan"
            )
        return self


class Segments(Section):
    """What segments are called, and what is suggested to do with them."""

    names: dict[str, Text] = {}
    horizon_days: Annotated[int, Field(ge=7, le=365)] = 90
    high_value_from: Annotated[float, Field(ge=1)] = 1.5
    low_value_up_to: Annotated[float, Field(gt=0, le=1)] = 0.5
    rules: list[SegmentRule] = []

    @field_validator("names", mode="after")
    @classmethod
    def _by_segment(cls, names: dict[str, str]) -> dict[str, str]:
        unknown = [key for key in names if not re.fullmatch(r"[1-9][0-9]{0,8}", key)]
        if unknown:
            raise ValueError(f'keys must be segment ids, such as {{"3": My VIPs}}; found {unknown[0]!r:.60}')
        _distinct([name.casefold() for name in names.values()])
        no_names = [name for name in names.values() if name.strip().lstrip("-").isdigit() or _is_noise(name)]
        if no_names:
            raise ValueError(
                f"{no_names[0]!r:.60} can't be a name: numbers and {c.NOISE_NAME} stand for other segments"
            )
        return names

    @property
    def names_by_id(self) -> dict[int, str]:
        """A person's own names by segment_id."""
        return {int(segment): name for segment, name in self.names.items()}


class Levels(Section):
    """From where on a figure of a run is told, and from where on the run is not published; null: never."""

    warn: Annotated[float, Field(ge=0)] | None = None
    stop: Annotated[float, Field(ge=0)] | None = None


class Limit(Levels):
    """Levels that a figure has to exceed."""

    @model_validator(mode="after")
    def _ascend(self) -> "Limit":
        if self.warn is not None and self.stop is not None and self.warn > self.stop:
            raise ValueError(f"has warn ({self.warn:g}) above stop ({self.stop:g}); lower warn, or set it to null")
        return self


class Minimum(Levels):
    """Levels that a figure has to be below."""

    @model_validator(mode="after")
    def _descend(self) -> "Minimum":
        if self.warn is not None and self.stop is not None and self.warn < self.stop:
            raise ValueError(f"has warn ({self.warn:g}) below stop ({self.stop:g}); raise warn, or set it to null")
        return self


class Alerts(Section):
    """Limits on the figures of a run before it is published."""

    min_customers: Minimum = Minimum()
    customers_change: Limit = Limit(warn=0.25)
    revenue_change: Limit = Limit(warn=0.25)
    segment_share_change: Limit = Limit(warn=0.15)
    freshness_days: Limit = Limit()
    rejected_share: Limit = Limit(warn=0.2)
    drift: Limit = Limit(warn=0.5)

    @property
    def has_freshness_limit(self) -> bool:
        """Whether it counts how long ago the last order is, so that a day without any changes the outcome."""
        return (self.freshness_days.warn, self.freshness_days.stop) != (None, None)

    @model_validator(mode="before")
    @classmethod
    def _level_by_level(cls, given: Any) -> Any:
        """A level that is left out has its default, not none."""
        if not isinstance(given, Mapping):
            return given
        defaults = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**defaults[name], **value} if name in defaults and isinstance(value, Mapping) else value
            for name, value in given.items()
        }


class Publishing(Section):
    """When a run becomes what consumers read."""

    replace_later: bool = False
    despite_alerts: bool = False


class Maintenance(Section):
    """What `maintain` keeps."""

    keep_runs: Annotated[int, Field(ge=1, le=100_000)] = 30
    keep_models: Annotated[int, Field(ge=1, le=100_000)] = 3
    keep_versions_days: Annotated[int, Field(ge=0, le=3_650)] = 7


class Backtest(Section):
    """What scores and segmentations are evaluated by, and at which dates."""

    horizons: Annotated[
        list[Annotated[int, Field(ge=1, le=3650)]],
        Field(min_length=1, description="a list of days that is not empty, such as [30, 90, 365]"),
    ] = [30, 90, 365]
    dates: list[Date] = []
    folds: Annotated[int, Field(ge=1, le=120)] = 3
    learned: bool = True
    bootstraps: Annotated[int, Field(ge=20, le=10_000)] = 500
    sample_size: Annotated[int, Field(ge=1_000, le=1_000_000)] = 100_000


class Value(Section):
    """What customers are expected to buy and spend."""

    model: Literal["mbg_nbd", "bg_nbd", "pareto_nbd", "mbg_cnbd_k"] = "mbg_nbd"
    horizons: Annotated[list[Annotated[int, Field(ge=1, le=3_650)]], Field(min_length=1, max_length=10)] = [30, 90, 365]
    discount_rate: Share = 0.1
    interval: Annotated[float, Field(gt=0, lt=1)] = 0.8

    @field_validator("horizons", mode="after")
    @classmethod
    def _ascending(cls, horizons: list[int]) -> list[int]:
        if horizons != sorted(set(horizons)):
            raise ValueError(f"must ascend, each once; write {sorted(set(horizons))}")
        return horizons


class Report(Section):
    """The page for people."""

    path: PageFile | None = None
    title: Text = "Customer segments"
    currency: Annotated[str, Field(max_length=8, description="text of at most 8 characters")] = ""


class Explore(Section):
    """The page on the data before anything is modelled."""

    path: PageFile | None = None
    title: Text = "What is in the data"


class MLflow(Section):
    """A copy of each training in MLflow."""

    experiment: Text | None = None
    tracking_uri: Location | None = None
    model: Text | None = None
    alias: Text = "serving"


class Generate(Section):
    """Synthetic data."""

    path: Location | None = None
    lines: Annotated[int, Field(ge=1, le=10**12)] = 100_000
    customers: Annotated[int, Field(ge=6, le=10**10)] = 5_000
    start: Date = date(2023, 1, 1)
    days: Annotated[int, Field(ge=30, le=36_500)] = 730
    format: Format = "parquet"
    return_rate: Share = 0.04
    seasonality: Annotated[float, Field(ge=0, lt=1)] = 0.3
    skew: Share = 0.0
    dirt: dict[Dirt, Annotated[float, Field(ge=0, le=0.1)]] = {}

    @model_validator(mode="after")
    def _enough_lines(self) -> "Generate":
        if self.lines < self.customers:
            raise ValueError(f"lines ({self.lines}) must be at least customers ({self.customers}), one a customer")
        return self


class Spark(Section):
    """The session, where this process starts it."""

    master: Annotated[Text, AfterValidator(_local_master)] | None = None
    driver_memory: (
        Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$", description="a size such as 4g or 512m")] | None
    ) = None
    shuffle_partitions: Annotated[int, Field(ge=1, le=100_000)] | None = None
    packages: list[
        Annotated[
            str,
            Field(
                pattern=r"^[\w.-]+:[\w.-]+:[\w.-]+$",
                description="a Maven package as group:name:version, such as org.postgresql:postgresql:42.7.4",
            ),
        ]
    ] = []
    conf: Settings = {}
    environment: Environment = {}


class Config(Section):
    """The whole configuration of a run, validated and frozen."""

    as_of: Date | None = None
    timezone: TimeZone = "UTC"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 42
    sources: Sources | None = None
    tables: Tables = Tables()
    checks: Checks = Checks()
    ingest: Ingest = Ingest()
    features: Features = Features()
    value: Value = Value()
    clustering: Clustering = Clustering()
    segments: Segments = Segments()
    alerts: Alerts = Alerts()
    publishing: Publishing = Publishing()
    maintenance: Maintenance = Maintenance()
    backtest: Backtest = Backtest()
    report: Report = Report()
    explore: Explore = Explore()
    mlflow: MLflow = MLflow()
    generate: Generate = Generate()
    spark: Spark = Spark()

    @property
    def configured_sources(self) -> Sources:
        """The sources, for what can't do without.

        Raises:
            ConfigurationError: there are none.
        """
        if self.sources is None:
            raise ConfigurationError(
                "sources.transactions: is missing; say where the order lines are, see conf/demo.yml"
            )
        return self.sources

    @field_validator("clustering", mode="after")
    @classmethod
    def _of_known_features(cls, clustering: Clustering, info: ValidationInfo) -> Clustering:
        if "features" in info.data and "value" in info.data:
            of_value = [feature.name for feature in value_features(info.data["value"].horizons)]
            derived = list(info.data["features"].derived)
            _raise(_problems_of_names(clustering, derived=derived, of_value=of_value))
        return clustering


def _problems_of_names(clustering: Clustering, *, derived: list[str], of_value: list[str]) -> list[InitErrorDetails]:
    """What is wrong with the features that the clustering section names."""
    known, asked = [*FEATURE_BY_NAME, *of_value, *derived], clustering.preparation
    unknown = PydanticCustomError("unknown_name", "is not a feature", {"known": known})
    problems: list[InitErrorDetails] = [
        {"type": unknown, "loc": ("features", place), "input": name}
        for place, name in enumerate(clustering.features)
        if name not in known
    ]
    families = [*FAMILIES, "value"]
    weighed = {*known, *families, *asked.attributes}
    messages = [
        *(
            f"has a transform for {name!r:.60}, which is not a feature"
            for name in asked.transforms
            if name not in known
        ),
        *(
            f"has a weight for {name!r:.60}, which is no feature, no family ({', '.join(families)}) and not among the "
            "attributes"
            for name in asked.weights
            if name not in weighed
        ),
        *(
            f"has the attribute {name}, which features.derived has too"
            for name in asked.attributes
            if name.lower() in {feature.lower() for feature in derived}
        ),
    ]
    return problems + [_at(("preparation",), asked, message) for message in messages[:1]]


def _problem_of_derived(name: str, text: str) -> str | None:
    """What is wrong with a derived feature; None where nothing is."""
    if feature_named(name.lower()) or name.lower() in _BESIDE_FEATURES or name.lower().startswith("z_"):
        return f"can't be called {name}: customer_features has such a column, or a model makes it; choose another name"
    unknown = [column for column in columns_of(text) if column.lower() not in FEATURE_BY_NAME]
    if not unknown:
        return None
    meant = closest(unknown[0], FEATURE_BY_NAME)
    return f"uses {unknown[0]:.60}, which is not a feature" + (f"; did you mean {meant}?" if meant else "")


def _at(location: tuple[str, ...], value: Any, message: str) -> InitErrorDetails:
    return {"type": "value_error", "loc": location, "input": value, "ctx": {"error": ValueError(message)}}


def _raise(problems: list[InitErrorDetails]) -> None:
    if problems:
        raise ValidationError.from_exception_data("configuration", problems)
