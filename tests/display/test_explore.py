"""The exploration: every figure against pandas, data that has next to nothing, and a page that shows nobody."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from customer_segmentation.cli import main
from customer_segmentation.contract import tables as t
from customer_segmentation.display.verdict import Finding, Severity
from customer_segmentation.explore import Exploration, PageContent, explore, render_page, summary
from customer_segmentation.explore import distributions as d
from customer_segmentation.explore.activity import Activity, Calendar
from customer_segmentation.explore.buckets import Buckets, Group, Summary, fit_buckets
from customer_segmentation.explore.columns import DISTINCT_ERROR, profile_rows
from customer_segmentation.explore.concentration import concentration
from customer_segmentation.explore.distributions import ACCURACY, PROBABILITIES
from customer_segmentation.explore.figures import SECTIONS, distribution_rows
from customer_segmentation.explore.findings import findings
from customer_segmentation.ingest.counts import RowCounts
from customer_segmentation.stages import explore_data
from tests.display.test_report import HOSTILE, Page
from tests.generated import ROOT, configured, quiet
from tests.warehouse import contents, read

AS_OF = date(2024, 6, 1)
LINE = (
    "customer_id string, order_id string, ordered_at timestamp, product_id string, category string, "
    "quantity decimal(18,3), amount decimal(18,2), discount decimal(18,2), channel string, is_return boolean"
)
REFUSED = "source_file string, row string, reasons array<string>, ingested_at timestamp, batch_id string"

Explore = Callable[..., Exploration]


@pytest.fixture(scope="module")
def lines(root: Path) -> pd.DataFrame:
    found = read(root, "transactions")
    return found.assign(
        amount=found.amount.map(Decimal), at=pd.to_datetime(found.ordered_at, utc=True).dt.tz_localize(None)
    )


@pytest.fixture(scope="module")
def orders(lines: pd.DataFrame) -> pd.DataFrame:
    bought = lines[~lines.is_return]
    return (
        bought.groupby(["customer_id", "order_id"])
        .agg(at=("at", "min"), value=("amount", "sum"), items=("quantity", "sum"))
        .reset_index()
    )


@pytest.fixture(scope="module")
def profile(root: Path) -> pd.DataFrame:
    return read(root, "data_profile").set_index(["table_name", "column_name"])


@pytest.fixture(scope="module")
def buckets(root: Path) -> Callable[[str], pd.DataFrame]:
    found = read(root, "data_distributions")
    return lambda measure: found[found.measure == measure].sort_values("bucket").reset_index(drop=True)


def line(customer: str = "K1", order: str = "O1", at: str = "2024-05-01 10:00", **changes: Any) -> tuple[Any, ...]:
    values = {
        "product_id": "P1",
        "category": "tea",
        "quantity": 1,
        "amount": "5.00",
        "discount": "0.00",
        "channel": "web",
        "is_return": False,
    } | changes
    numbers = {name: Decimal(values[name]) for name in ("quantity", "amount", "discount")}
    values |= {name: -number if values["is_return"] else number for name, number in numbers.items()}
    return customer, order, datetime.fromisoformat(at), *values.values()


@pytest.fixture
def explored(frame: Callable[..., DataFrame]) -> Explore:
    """Explores literal lines."""

    def run(rows: list[tuple[Any, ...]], **others: Any) -> Exploration:
        values = {
            "lines": frame(rows, LINE),
            "rejected": frame([], REFUSED),
            "customers": None,
            "engagement": None,
            "line_counts": RowCounts(len(rows), len(rows), 0),
            "as_of": AS_OF,
        }
        return explore(**(values | others))

    return run


def shown(found: Exploration) -> Page:
    """The page, once the tables' rows and the summary are made too."""
    for table, rows in (
        (t.DATA_PROFILE, profile_rows(found.columns, run_id="run", as_of=AS_OF)),
        (t.DATA_DISTRIBUTIONS, distribution_rows(found, run_id="run")),
    ):
        assert all(list(row) == table.column_names for row in rows)
    console = Console(file=io.StringIO(), width=100)
    summary(PageContent(found, currency="$"), console)
    return Page(render_page(PageContent(found, currency="$")))


def test_missing_and_known_values_are_counted_in_every_column(profile: pd.DataFrame, root: Path) -> None:
    for name in ("transactions", "rejected_transactions", "customers", "engagement"):
        table = read(root, name)
        if name == "rejected_transactions":
            # Of a refused line what came is told, not what could be read of it.
            table = table.drop(columns=t.TRANSACTIONS.column_names)
        told = profile.loc[name]
        assert list(told.sort_values("position").index) == list(table.columns)
        assert set(told.row_count) == {len(table)}
        assert told.missing.to_dict() == table.isna().sum().to_dict()


def test_distinct_values_are_right_within_the_error_that_is_told(profile: pd.DataFrame, lines: pd.DataFrame) -> None:
    for column in ("customer_id", "order_id", "product_id", "category", "channel", "amount", "is_return"):
        assert profile.loc[("transactions", column)].distinct_values == pytest.approx(
            lines[column].nunique(), rel=4 * DISTINCT_ERROR, abs=0.5
        )


@pytest.mark.parametrize("column", ["amount", "quantity", "discount"])
def test_ends_mean_and_quantiles_are_those_of_pandas(profile: pd.DataFrame, lines: pd.DataFrame, column: str) -> None:
    told, values = profile.loc[("transactions", column)], np.sort(lines[column].astype(float))

    assert (Decimal(told.minimum), Decimal(told.maximum)) == (lines[column].min(), lines[column].max())
    assert told["mean"] == pytest.approx(values.mean())
    for at in PROBABILITIES:
        value = told.quantiles[f"{at:g}"]
        below, up_to = (np.searchsorted(values, value, side) / len(values) for side in ("left", "right"))
        slack = 1 / ACCURACY + 1 / len(values)
        assert below - slack <= at <= up_to + slack


def test_first_and_last_time_are_told(profile: pd.DataFrame, lines: pd.DataFrame) -> None:
    told = profile.loc[("transactions", "ordered_at")]

    assert pd.Timestamp(told.minimum) == lines["at"].min()
    assert pd.Timestamp(told.maximum) == lines["at"].max()


def test_frequent_values_are_told_with_their_rows(profile: pd.DataFrame, lines: pd.DataFrame, root: Path) -> None:
    for name, column, table in (
        ("transactions", "channel", lines),
        ("transactions", "category", lines),
        ("engagement", "event_type", read(root, "engagement")),
        ("customers", "region", read(root, "customers")),
    ):
        counts = table[column].value_counts()
        assert profile.loc[(name, column)].distinct_values == len(counts)
        told = {each["value"]: each["rows"] for each in profile.loc[(name, column)].top_values}
        assert told == counts.head(10).to_dict()
        assert profile.loc[(name, column)].top_values[0]["share"] == pytest.approx(counts.iloc[0] / len(table))


@pytest.mark.parametrize(("table", "column"), [("transactions", "customer_id"), ("transactions", "order_id")])
def test_of_identifiers_no_value_is_told(profile: pd.DataFrame, table: str, column: str) -> None:
    told = profile.loc[(table, column)]

    assert (told.minimum, told.maximum, told.top_values, told.quantiles) == (None, None, [], {})


def test_orders_and_net_spend_are_those_of_pandas_by_month_weekday_and_hour(
    buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame, orders: pd.DataFrame
) -> None:
    for measure, key in (
        ("orders_by_month", lambda at: at.dt.strftime("%Y-%m")),
        ("orders_by_weekday", lambda at: at.dt.day_name()),
        ("orders_by_hour", lambda at: at.dt.strftime("%H")),
    ):
        told = buckets(measure).set_index("label")
        net, counts = lines.groupby(key(lines["at"])).amount.sum(), orders.groupby(key(orders["at"])).size()
        assert {label: value for label, value in told.amount.items() if value} == net.to_dict()
        assert {label: value for label, value in told["count"].items() if value} == counts.to_dict()


def test_returns_by_month_are_those_of_pandas(buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame) -> None:
    back = lines[lines.is_return]
    month = back["at"].dt.strftime("%Y-%m")
    told = buckets("returns_by_month").set_index("label")

    assert told[told["count"] > 0]["count"].to_dict() == month.value_counts().to_dict()
    assert told[told["count"] > 0].amount.to_dict() == (-back.groupby(month).amount.sum()).to_dict()


def test_customers_by_number_of_orders_are_those_of_pandas(
    buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame, orders: pd.DataFrame
) -> None:
    counts = orders.groupby("customer_id").size().reindex(lines.customer_id.unique(), fill_value=0)

    for measure in ("customers_by_orders", "orders_per_customer"):
        told = buckets(measure)
        assert told["count"].sum() == len(counts)
        for lower, upper, count in told[["lower", "upper", "count"]].itertuples(index=False):
            assert count == ((counts >= _or(lower, -np.inf)) & (counts < _or(upper, np.inf))).sum()


def test_every_histogram_holds_what_pandas_puts_between_its_edges(
    buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame, orders: pd.DataFrame
) -> None:
    days = orders.assign(day=orders["at"].dt.normalize()).drop_duplicates(["customer_id", "day"])
    gaps = days.sort_values("day").groupby("customer_id").day.diff().dropna().dt.days
    for measure, values in {
        "line_amount": lines.amount,
        "order_value": orders.value,
        "items_per_order": orders["items"],
        "spend_per_customer": lines.groupby("customer_id").amount.sum(),
        "days_between_orders": gaps,
    }.items():
        told, numbers = buckets(measure), values.astype(float)
        assert told["count"].sum() == len(values), measure
        for lower, upper, count in told[["lower", "upper", "count"]].itertuples(index=False):
            inside = (numbers >= _or(lower, -np.inf)) & (numbers < _or(upper, np.inf))
            assert count == inside.sum(), (measure, lower)
        if measure not in ("items_per_order", "days_between_orders"):
            assert sum(filter(None, told.amount)) == sum(values), measure
    assert len(buckets("order_value")) > 8


def test_new_customers_are_counted_in_the_month_of_their_first_purchase(
    buckets: Callable[[str], pd.DataFrame], orders: pd.DataFrame
) -> None:
    first = orders.groupby("customer_id")["at"].min().dt.strftime("%Y-%m").value_counts().to_dict()
    told = buckets("new_customers_by_month").set_index("label")["count"]

    assert told[told > 0].to_dict() == first


def test_what_the_top_customers_bring_is_that_of_pandas(
    buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame
) -> None:
    spend = lines.groupby("customer_id").amount.sum().astype(float).clip(lower=0).sort_values(ascending=False)
    for label, customers, amount in buckets("top_customers")[["label", "count", "amount"]].itertuples(index=False):
        part = int(label.removeprefix("top ").removesuffix("%")) / 100
        assert customers == math.ceil(part * len(spend))
        assert float(amount) == pytest.approx(spend.head(customers).sum(), rel=0.005)


def test_categories_add_up_to_the_lines(buckets: Callable[[str], pd.DataFrame], lines: pd.DataFrame) -> None:
    told = buckets("spend_by_category")

    assert dict(zip(told.label, told.amount, strict=True)) == lines.groupby("category").amount.sum().to_dict()
    assert told["count"].sum() == len(lines)
    assert list(told.amount) == sorted(told.amount, reverse=True)


def test_lines_read_are_those_accepted_and_those_refused(
    buckets: Callable[[str], pd.DataFrame], root: Path, lines: pd.DataFrame
) -> None:
    refused = read(root, "rejected_transactions")
    text = Page((root / "explore.html").read_text()).text

    told = buckets("rejected_by_reason")
    assert dict(zip(told.label, told["count"], strict=True)) == refused.reasons.explode().value_counts().to_dict()
    assert (f"{len(lines) + len(refused):,} lines read = {len(lines):,} accepted + {len(refused):,} rejected") in text


def test_no_customer_is_on_the_page_or_in_the_tables(root: Path, lines: pd.DataFrame) -> None:
    page = (root / "explore.html").read_text()
    written = "\n".join(contents(root, "data_profile") + contents(root, "data_distributions"))
    for name in {*lines.customer_id, *read(root, "customers").customer_id, *lines.order_id.head(500)}:
        assert f'"{name}"' not in written
        assert f">{name}<" not in page
        assert f" {name} " not in page


def test_every_declared_column_has_its_comment(root: Path) -> None:
    for declared in (t.DATA_PROFILE, t.DATA_DISTRIBUTIONS):
        fields = DeltaTable(str(root / declared.name)).schema().fields
        assert {field.name: field.metadata["comment"] for field in fields} == {
            column.name: column.comment for column in declared.columns
        }


@pytest.mark.long
@pytest.mark.slow
def test_the_command_writes_page_and_tables_and_a_second_time_the_same(
    root: Path, generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {table.name: contents(root, table.name) for table in (t.DATA_PROFILE, t.DATA_DISTRIBUTIONS)}
    page = (root / "explore.html").read_text()
    (root / "explore.html").unlink()
    sources = [f"sources.{name}.path={generated}/data/{name}" for name in ("transactions", "customers", "engagement")]
    files = [part for name in ("base", "synthetic") for part in ("--config", str(ROOT / "conf" / f"{name}.yml"))]
    # The settings that make the run's name, as in the run before.
    same = [
        "checks.severity.duplicate=warn",
        "clustering.retrain_after_days=0",
        "clustering.k_min=2",
        "clustering.k_max=8",
    ]
    settings = [f"--set={value}" for value in (*sources, *same, f"tables.root={root}")]

    assert main(["explore", *files, *settings]) == 0

    told = capsys.readouterr().out
    assert told.splitlines()[-1] == f"Page: {root}/explore.html"
    assert "lines in =" in told
    assert (root / "explore.html").read_text() == page
    for name, rows in before.items():
        assert contents(root, name) == rows, name


@pytest.mark.long
@pytest.mark.slow
def test_only_what_happened_before_the_configured_date_enters(
    spark: SparkSession, generated: Path, lines: pd.DataFrame, tmp_path: Path
) -> None:
    # Tables of its own: a reading for another date would replace those that other tests look at.
    settings = ["checks.severity.date_in_future=off", "as_of=2023-07-01", f"explore.path={tmp_path}/deep/page.html"]
    run = quiet(spark, configured(generated, "until", *settings))

    assert explore_data(run, Console(file=io.StringIO())) == tmp_path / "deep" / "page.html"

    told = run.warehouse.rows(t.DATA_PROFILE, column="run_id", value=run.run_id).toPandas()
    then = lines[lines["at"] < "2023-07-01"]
    assert 0 < len(then) < len(lines)
    assert set(told[told.table_name == "transactions"].row_count) == {len(then)}
    assert told[told.column_name == "occurred_at"].maximum.max() < "2023-07-01"
    assert f"{len(lines) - len(then):,} accepted lines of 1 July 2023 or later did not enter" in (
        Page((tmp_path / "deep" / "page.html").read_text()).text
    )


DEGENERATE: dict[str, list[tuple[Any, ...]]] = {
    "nothing": [],
    "a free line": [line(amount="0.00", category=None, channel=None, product_id=None)],
    "equal amounts": [line(f"K{number}", f"O{number}") for number in range(30)],
    "a customer without categories": [
        line(order=f"O{number}", at=f"2024-05-{number:02}", category=None, amount=f"{number}.10")
        for number in range(1, 20)
    ],
    "returns alone": [line(f"K{number}", f"O{number}", is_return=True, amount=f"{number}.00") for number in range(5)],
}


@pytest.mark.slow
@pytest.mark.parametrize("rows", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_data_with_next_to_nothing_in_it_makes_a_page(rows: list[tuple[Any, ...]], explored: Explore) -> None:
    found = explored(rows)
    page = shown(found)

    assert f"{len(rows)} lines read = {len(rows)} accepted + 0 rejected" in page.text
    assert "nan" not in page.text.lower().split()
    assert found.customers == len({row[0] for row in rows})
    assert found.buyers == len({row[0] for row in rows if not row[-1]})
    assert sum(bucket.count for bucket in found.distributions[d.LINE_AMOUNT.name].buckets) == len(rows)


def test_what_the_data_holds_is_shown_and_never_run(frame: Callable[..., DataFrame], explored: Explore) -> None:
    texts = [text for text in HOSTILE if text]
    rows = [
        line(f"K{number}", f"O{number}", category=text, channel=text) for number, text in enumerate([*texts, *texts])
    ]
    people = [(row[0], texts[0], "one of a kind " + row[0], 1_000 + number) for number, row in enumerate(rows)]
    found = explored(
        rows,
        customers=frame(people, 'customer_id string, `<i>a"b` string, motto string, card_no int'),
        rejected=frame([(texts[2], '{"customer": "Eve"}', [texts[1]], datetime(2024, 6, 2), "b")], REFUSED),
        line_counts=RowCounts(len(rows) + 1, len(rows), 1, by_reason={texts[1]: 1}),
    )
    page = shown(found)

    for tag, attributes in page.elements:
        assert tag not in ("script", "img", "iframe", "object", "foreignobject", "use")
        assert not [name for name in attributes if name.startswith("on")]
    assert "<script>alert('name')</script>" in page.text
    assert page.html.count("</style>") == 1
    for told in ("Eve", "one of a kind", "1,003", "1003"):
        assert told not in page.text


def test_the_page_needs_nothing_beside_itself(root: Path) -> None:
    page = Page((root / "explore.html").read_text())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "action", "data"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
        for reference in ("href", "aria-labelledby"):
            if reference in attributes:
                assert (attributes[reference] or "").removeprefix("#") in ids
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")


def calendar(orders: dict[date, int]) -> Calendar:
    return Calendar(
        {(day, 9): Activity(orders=count, lines=count, bought=Decimal(count)) for day, count in orders.items()}
    )


def test_gaps_and_spikes_are_found_by_their_rules() -> None:
    days = [day.date() for day in pd.date_range("2024-01-01", "2024-03-31")]
    counts = {day: 20 for day in days if not date(2024, 2, 10) <= day <= date(2024, 2, 13)}
    counts[date(2024, 3, 5)] = 61

    found = calendar(counts)

    assert [(gap.first, gap.last, gap.days) for gap in found.inactive_periods] == [
        (date(2024, 2, 10), date(2024, 2, 13), 4)
    ]
    assert [(spike.day, spike.orders, spike.usual) for spike in found.spikes] == [(date(2024, 3, 5), 61, 20)]
    assert calendar(counts | {date(2024, 3, 5): 60}).spikes == []
    assert [month.is_complete for month in calendar(dict.fromkeys(days[3:], 1)).months] == [False, True, True]


def is_warning(finding: Finding) -> bool:
    return finding.severity is Severity.WARNING


def test_warnings_come_first_and_say_what_and_when(explored: Explore) -> None:
    rows = [line(f"K{number}", f"O{number}", f"2024-05-{1 + number % 9:02}") for number in range(40)]
    rows += [line("Big", "O99", "2024-05-20", amount="900.00")]
    found = replace(
        explored(rows), line_counts=RowCounts(100, 41, 59, by_reason={"missing_customer": 50, "zero_price": 9})
    )

    told = findings(found, "$")

    assert [is_warning(finding) for finding in told] == sorted(map(is_warning, told), reverse=True)
    text = " ".join(finding.text for finding in told)
    assert "59.0% of the lines read were rejected, most often for missing customer (50 lines)." in text
    assert "50.0% of the lines read name no customer" in text
    assert "from 10 May to 19 May 2024 (10 days)" in text
    assert "One customer brings 81.8% of the spend, $900" in text
    assert "No line is a return." in text
    assert all(finding.rule for finding in told)


@pytest.mark.parametrize("seed", range(20))
def test_the_gini_coefficient_is_the_mean_difference_by_twice_the_mean(seed: int) -> None:
    draw = np.random.default_rng(seed)
    cents = np.round(draw.lognormal(4, draw.uniform(0, 2), draw.integers(1, 60)) * 100).astype(int)
    values, counts = np.unique(cents, return_counts=True)
    groups = [
        Group(str(value), int(count), Decimal(int(value * count)) / 100)
        for value, count in zip(values, counts, strict=True)
    ]

    found = concentration(groups)

    expected = np.abs(cents[:, None] - cents[None, :]).mean() / (2 * cents.mean())
    assert found.gini == pytest.approx(expected, abs=1e-9)
    assert found.spend == Decimal(int(cents.sum())) / 100
    for top in found.tops:
        assert float(top.amount) == pytest.approx(np.sort(cents)[::-1][: top.count].sum() / 100)
    assert found.lorenz[0] == (0, 0)
    assert found.lorenz[-1] == (1, pytest.approx(1))


def test_customers_are_grouped_by_the_first_digits_of_their_spend_with_little_lost(
    root: Path, lines: pd.DataFrame
) -> None:
    spend = lines.groupby("customer_id").amount.sum().astype(float).clip(lower=0).to_numpy()
    gini = np.abs(spend[:, None] - spend[None, :]).mean() / (2 * spend.mean())
    text = Page((root / "explore.html").read_text()).text

    assert f"Gini coefficient {gini:.2f}" in text


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_edges_are_round_few_and_hold_nearly_everything(seed: int, whole: bool) -> None:
    draw = np.random.default_rng(seed)
    values = np.sort(draw.lognormal(draw.uniform(-3, 9), draw.uniform(0, 3), 500) - draw.choice([0, 5]))
    values = np.round(values, 0 if whole else 2)
    quantiles = dict(zip(PROBABILITIES, map(float, np.quantile(values, PROBABILITIES, method="lower")), strict=True))

    found = fit_buckets(Summary(500, float(values[0]), float(values[-1]), float(values.mean()), quantiles), whole=whole)

    assert 2 <= len(found.edges) <= 45
    assert list(found.edges) == sorted(set(found.edges))
    assert (values >= float(found.edges[-1])).mean() <= 0.02
    assert not whole or all(edge == int(edge) for edge in found.edges)


def test_buckets_are_told_in_words() -> None:
    whole, money = Buckets((Decimal(1), Decimal(2), Decimal(5)), whole=True), Buckets((Decimal("0.5"), Decimal(1000)))

    assert [whole.label(number) for number in range(4)] == ["under 1", "1", "2 to 4", "5 or more"]
    assert [money.label(number) for number in range(3)] == ["under 0.5", "0.5 to <1,000", "1,000 or more"]


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


@pytest.mark.slow
def test_amounts_and_quantities_as_large_as_a_column_holds_are_counted_and_shown(explored: Explore) -> None:
    largest, most = "9999999999999999.99", "999999999999999.999"
    rows = [
        line("K1", f"O{number}", f"2024-05-0{number + 1} 10:00", amount=largest, quantity=most, discount=largest)
        for number in range(4)
    ]
    rows.append(line("K2", "O9", amount="1000000000000.00"))
    rows.append(line("K2", "O8", amount=largest, quantity=most, is_return=True))

    found = explored(rows)
    shown(found)

    assert found.calendar.total.bought == 4 * Decimal(largest) + 10**12
    assert found.calendar.total.returned == Decimal(largest)
    assert found.distributions[d.SPEND_PER_CUSTOMER.name].summary.maximum == 4 * Decimal(largest)


def test_hours_are_told_with_the_time_zone_that_they_are_of(explored: Explore) -> None:
    found = explored([line(), line("K2", "O2")], timezone="Asia/Kolkata")

    (panel,) = [figure.panel(found, "") for figure in chain(*SECTIONS.values()) if figure.title == "Orders by hour"]

    assert "Asia/Kolkata" in panel["note"]
    assert "Asia/Kolkata" in panel["caption"]
