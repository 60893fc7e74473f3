"""Order lines of any DataFrame: literal frames in, accepted and rejected lines out."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame

from customer_segmentation.contract.checks import Check
from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
from customer_segmentation.ingest.order_lines import OrderLines, order_lines

SCHEMA = "`Customer ID` string, no string, at string, item string, pieces string, price string"
MAPPING = {
    "customer_id": "Customer ID",
    "order_id": "no",
    "ordered_at": "at",
    "product_id": "upper(item)",
    "quantity": "pieces",
    "unit_price": "price",
}
GOOD = ("C1", "O1", "2024-03-01 10:00:00", "tea", "2", "3.50")
Make = Callable[..., OrderLines]


@pytest.fixture
def lines_of(frame: Callable[[list[tuple], str], DataFrame]) -> Make:
    return lambda *rows, **more: order_lines(frame([*rows], SCHEMA), **(MAPPING | more))


def reasons_by_row(lines: OrderLines) -> dict[str, list[str]]:
    rows = lines.rejected.collect()
    return {json.loads(row["row"])["item"]: row["reasons"] for row in rows}


def test_an_accepted_line_has_the_mapped_columns_of_transactions_in_their_types(lines_of: Make) -> None:
    lines = lines_of(GOOD)

    assert lines.accepted.columns == [
        *("customer_id", "order_id", "ordered_at", "product_id", "quantity", "amount", "is_return", "warnings"),
        "line_id",
    ]
    (row,) = lines.accepted.drop("line_id").collect()
    at = datetime(2024, 3, 1, 10)
    assert row == ("C1", "O1", at, "TEA", Decimal("2.000"), Decimal("7.00"), False, [])
    assert lines.rejected.count() == 0


def test_a_line_is_rejected_with_all_its_reasons_and_as_it_was(lines_of: Make) -> None:
    lines = lines_of(GOOD, (None, "O2", "at noon", "cup", "x", "1"))

    (row,) = lines.rejected.collect()
    assert row["reasons"] == ["missing_customer", "unreadable_date", "unreadable_number"]
    columns = ("Customer ID", "no", "at", "item", "pieces", "price")
    assert json.loads(row["row"]) == dict(zip(columns, (None, "O2", "at noon", "cup", "x", "1"), strict=True))


def test_the_lines_of_an_order_are_compared(lines_of: Make) -> None:
    lines = lines_of(
        GOOD,
        GOOD,
        (None, "O1", "", "cup", "1", "1"),
        ("C2", "O2", *GOOD[2:]),
        ("C3", "O2", *GOOD[2:]),
    )

    assert lines.counts.by_reason == {"duplicate": 1, "order_changes_customer": 2}
    (cup,) = lines.accepted.where("product_id = 'CUP'").collect()
    assert (cup.customer_id, cup.ordered_at) == ("C1", datetime(2024, 3, 1, 10))
    assert cup.warnings == ["customer_from_order", "date_from_order"]


def test_columns_may_have_any_name_also_one_that_is_a_word_of_sql(frame: Callable[..., DataFrame]) -> None:
    names = {
        "customer_id": "Kunde",
        "order_id": "case",
        "ordered_at": "null",
        "quantity": "Stück",
        "unit_price": "Größe",
    }
    schema = ", ".join(f"`{name}` string" for name in names.values())

    lines = order_lines(frame([("C1", "O1", "2024-03-01", "2", "3.50")], schema), **names)

    (accepted,) = lines.accepted.collect()
    assert (accepted["customer_id"], accepted["order_id"], accepted["amount"]) == ("C1", "O1", Decimal("7.00"))


def test_rows_in_are_accepted_or_rejected_or_filtered_out(lines_of: Make) -> None:
    bad = ("C1", "O9", "2024-03-01", "cup", "0", "1")
    counts = lines_of(GOOD, bad, ("C1", "O3", "2024-03-01", "test", "1", "1"), where="item <> 'test'").counts

    assert counts.describe() == "3 lines in = 1 accepted + 1 rejected + 1 filtered out (by `where`)"
    assert counts.by_reason == {"zero_quantity": 1}


def test_checks_are_set_as_in_a_configuration(lines_of: Make) -> None:
    checks = {"max_quantity": 1, "severity": {"absurd_quantity": "warn"}}

    (row,) = lines_of(GOOD, checks=checks).accepted.collect()

    assert row.warnings == ["absurd_quantity"]


def test_a_check_is_one_declaration(lines_of: Make) -> None:
    broken = Check("broken_goods", "a product that is broken", "product_id = 'BROKEN'")
    cheap = Check("cheap", "a line for less than a limit", "amount < {max_amount}", "warn")

    lines = lines_of(GOOD, (None, "O2", "", "broken", "1", "9"), extra_checks=[broken, cheap])

    assert reasons_by_row(lines) == {"broken": ["missing_customer", "missing_date", "broken_goods"]}
    assert lines.accepted.first()["warnings"] == ["cheap"]
    assert lines.counts.by_reason == {"missing_customer": 1, "missing_date": 1, "broken_goods": 1}
    assert lines.counts.by_warning == {"cheap": 1}


def test_local_times_are_those_of_the_time_zone(lines_of: Make) -> None:
    (row,) = lines_of(GOOD, timezone="Europe/Berlin").accepted.collect()

    assert row.ordered_at == datetime(2024, 3, 1, 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "piece"}, r"^order_lines: .* no column piece; did you mean pieces\? It has Customer ID, no, at"),
        ({"where": "pieces"}, "^order_lines: where must be true or false for a row, but 'pieces' is string"),
        ({"ordered_at": "array(at)"}, "^order_lines: .* ordered_at must be a timestamp, a date or text"),
    ],
)
def test_a_mapping_that_does_not_fit_the_frame_is_rejected_with_a_hint(
    lines_of: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataRejectedError, match=message):
        lines_of(GOOD, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "sum(pieces)"}, "^order_lines: quantity may only use the row's own columns"),
        ({"unit_price": None}, "^order_lines: the mapping needs amount .* or unit_price"),
        ({"timezone": "Berlin"}, "^order_lines: timezone is not a time zone"),
        ({"checks": {"max_quantity": -1}}, "^order_lines: max_quantity"),
    ],
)
def test_an_argument_that_is_not_valid_is_named(lines_of: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        lines_of(GOOD, **changes)


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
def test_a_time_of_day_alone_is_no_date(lines_of: Make, timezone: str) -> None:
    times = ["08:26", "10:45:00", "T10:45", " 8:26"]
    rows = [("C1", f"O{i}", time, f"item{i}", "2", "3.50") for i, time in enumerate(times)]

    lines = lines_of(GOOD, *rows, timezone=timezone)

    assert lines.accepted.count() == 1
    assert set(map(tuple, reasons_by_row(lines).values())) == {("unreadable_date",)}
