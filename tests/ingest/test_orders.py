"""What the lines of an order say of each other."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.config.schema import Checks
from customer_segmentation.contract import tables as t
from customer_segmentation.contract.checks import IS_MALFORMED
from customer_segmentation.ingest.batches import Orders, changed_lines, existing_rows, multiset_difference
from customer_segmentation.ingest.checks import CheckSuite
from customer_segmentation.ingest.counts import count_lines
from customer_segmentation.ingest.orders import order_key, resolved, suspects, unfilled

NOON = datetime(2024, 3, 1, 12)
KNOWN_BEFORE = date(2024, 4, 1)
SUITE = CheckSuite(known_before=KNOWN_BEFORE)
Lines = Callable[..., DataFrame]


@pytest.fixture
def lines(spark: SparkSession) -> Lines:
    def make(*given: dict[str, Any]) -> DataFrame:
        good = {"customer_id": "C1", "order_id": "O1", "ordered_at": NOON, "reasons": [], "warnings": []}
        names = t.REJECTED_TRANSACTIONS.column_names
        rows = [
            tuple((good | {"line_id": number} | one).get(name) for name in names) for number, one in enumerate(given)
        ]
        return spark.createDataFrame(rows, t.REJECTED_TRANSACTIONS.ddl).coalesce(1)

    return make


def outcome(frame: DataFrame) -> list[tuple[Any, ...]]:
    rows = frame.orderBy("line_id").collect()
    return [(row.customer_id, row.ordered_at, row.reasons, row.warnings) for row in rows]


def missing(*columns: str, **more: Any) -> dict[str, Any]:
    """A line without some fields, with the reasons that its own checks give."""
    reasons = {"customer_id": "missing_customer", "ordered_at": "missing_date"}
    own = [reasons[name] for name in columns if name in reasons]
    return dict.fromkeys(columns) | {"reasons": own + more.pop("reasons", [])} | more


def test_a_line_takes_the_customer_and_the_date_that_all_other_lines_of_its_order_agree_on(lines: Lines) -> None:
    filled = resolved(
        lines({}, missing("customer_id", "ordered_at"), {"reasons": ["zero_price"]}),
        SUITE,
    )

    assert outcome(filled) == [
        ("C1", NOON, [], []),
        ("C1", NOON, [], ["customer_from_order", "date_from_order"]),
        ("C1", NOON, ["zero_price"], []),
    ]


def test_a_malformed_line_says_nothing_of_the_others_of_its_order(lines: Lines) -> None:
    shifted = {"customer_id": "large", "ordered_at": datetime(2020, 1, 1), "reasons": ["malformed_line"]}
    given = lines({}, missing("customer_id"), shifted, shifted | {"line_id": 2}, missing("customer_id", order_id="O2"))
    only_malformed = lines(missing("customer_id", "ordered_at"), shifted)

    assert outcome(resolved(given, SUITE)) == [
        ("C1", NOON, [], []),
        ("C1", NOON, [], ["customer_from_order"]),
        ("large", datetime(2020, 1, 1), ["malformed_line"], []),
        ("large", datetime(2020, 1, 1), ["malformed_line", "duplicate"], []),
        (None, NOON, ["missing_customer"], []),
    ]
    assert outcome(resolved(only_malformed, SUITE))[0][2] == ["missing_customer", "missing_date"]
    marked = given.withColumn(IS_MALFORMED, F.array_contains("reasons", "malformed_line"))
    with suspects(marked, SUITE) as found:
        assert found.mixed.count == 0
        assert {row[0] for row in found.lines.values.collect()} == {0, 2}


def test_a_line_takes_nothing_where_the_others_disagree_or_have_nothing(lines: Lines) -> None:
    torn = [{"customer_id": "C2"}, {"ordered_at": datetime(2024, 3, 2)}, missing("customer_id", "ordered_at")]
    alone = [missing("customer_id", order_id="O2"), missing("customer_id", order_id=None)]

    result = outcome(resolved(lines({}, *torn, *alone), SUITE))

    mixed = "order_changes_customer"
    assert [reasons for _, _, reasons, _ in result] == [
        [mixed],
        [mixed],
        [mixed],
        ["missing_customer", "missing_date", mixed],
        ["missing_customer"],
        ["missing_customer"],
    ]


@pytest.mark.parametrize("severity", ["off", "reject"])
def test_nothing_is_taken_where_that_is_not_wanted(lines: Lines, severity: str) -> None:
    checks = Checks(severity={"customer_from_order": severity, "date_from_order": severity})

    result = outcome(resolved(lines({}, missing("customer_id")), CheckSuite(checks, KNOWN_BEFORE)))

    assert result[1] == (None, NOON, ["missing_customer"], [])


def test_a_taken_date_is_checked_like_one_of_its_own(lines: Lines) -> None:
    late = datetime(2024, 4, 1)
    given = lines({"ordered_at": late, "reasons": ["date_in_future"]}, missing("ordered_at"))

    result = outcome(resolved(given, SUITE))

    assert result[1] == ("C1", late, ["date_in_future"], ["date_from_order"])


def test_what_was_taken_can_be_given_back(lines: Lines) -> None:
    given = lines(
        {},
        missing("customer_id", "ordered_at"),
        missing("ordered_at", order_id="O2"),
        {"order_id": "O2", "ordered_at": datetime(2024, 4, 2), "reasons": ["date_in_future"]},
    )
    filled = resolved(given, SUITE)

    assert outcome(filled) != outcome(given)
    assert outcome(unfilled(filled)) == outcome(given)


def test_the_codes_of_a_line_have_one_order_however_they_came_about(lines: Lines) -> None:
    copies = [{"line_id": 7, "reasons": ["zero_price"], "source_file": name} for name in ("a", "b")]

    result = outcome(resolved(lines({"customer_id": "C2"}, *copies), SUITE))

    assert result[2][2] == ["zero_price", "duplicate", "order_changes_customer"]


def test_lines_that_others_concern_are_found_by_their_keys(lines: Lines) -> None:
    given = lines(
        {},
        {"line_number": "1", "order_id": "O2"},
        {"line_number": "1", "order_id": "O2"},
        {"order_id": "O3"},
        {"order_id": "O3", "customer_id": "C2"},
        {"order_id": "O4", "line_id": 50},
        {"order_id": "O4", "line_id": 50},
        {"order_id": "O5", "line_id": -9},
        missing("customer_id", order_id="O5", line_id=9),
        missing("ordered_at", order_id="O6", line_id=-1),
        {"order_id": "O6", "line_id": 60},
        missing("customer_id", order_id="O7"),
        missing("customer_id", order_id="O7"),
        {"order_id": "O8", "line_id": 80},
        {"order_id": "O8", "line_id": 80},
        missing("customer_id", order_id="O8", line_id=81),
        {"order_id": "O8", "line_id": 82},
        {"order_id": "O9", "line_id": 90},
        missing("customer_id", order_id="O9", line_id=91),
        {"order_id": "O9", "line_id": 92, "customer_id": "C2"},
    )

    with suspects(given.withColumn(IS_MALFORMED, F.lit(False)), SUITE) as found:
        concerned = {row[0] for row in found.lines.values.collect()}
        keys = {row[0]: row[1] for row in given.select(order_key(), "order_id").distinct().collect()}
        mixed = {keys[row[0]] for row in found.mixed.values.collect()}

    assert concerned == {50, -9, 80, 82, 90, 92}
    assert mixed == {"O2", "O3", "O6", "O9"}


@pytest.mark.slow
def test_a_batch_reads_lines_as_they_were_before_their_order_was_resolved(spark: SparkSession, lines: Lines) -> None:
    given = lines(
        {}, missing("customer_id"), {"line_id": 5}, {"line_id": 5}, {"order_id": "O9", "reasons": ["zero_price"]}
    )
    result = resolved(given, SUITE)
    accepted, rejected = result.where("size(reasons) = 0"), result.where("size(reasons) > 0")
    keys = given.select(order_key().alias("_order")).distinct()

    orders = Orders(keys, 2, "O1", "O9")
    existing = existing_rows(accepted, rejected, orders, known_before=KNOWN_BEFORE)

    assert sorted(map(str, outcome(existing))) == sorted(map(str, outcome(given)))
    assert changed_lines(existing, result).isEmpty()
    other = result.withColumn("customer_id", F.when(F.col("line_id") == 1, "C7").otherwise(F.col("customer_id")))
    assert [row[0] for row in changed_lines(existing, other).collect()] == [1]


def test_a_multiset_difference_takes_away_as_many_lines_as_are_subtracted_rejected_ones_first(lines: Lines) -> None:
    given = lines({"line_id": 1}, {"line_id": 1, "reasons": ["duplicate"]}, {"line_id": 1}, {"line_id": 2})

    rest = multiset_difference(given, lines({"line_id": 1}, {"line_id": 1}, {"line_id": 3}))

    assert [(row.line_id, row.reasons) for row in rest.orderBy("line_id").collect()] == [(1, []), (2, [])]


def test_copies_and_lines_not_known_yet_say_nothing_against_the_data(lines: Lines) -> None:
    given = lines(
        {},
        {"warnings": ["fee_product"]},
        {"reasons": ["duplicate"]},
        {"reasons": ["date_in_future"]},
        {"reasons": ["duplicate", "zero_price"]},
    )

    counts = count_lines(given)

    assert (counts.lines, counts.rejected, counts.harmless) == (5, 3, 2)
    assert counts.by_reason == {"duplicate": 2, "date_in_future": 1, "zero_price": 1}
    assert counts.by_warning == {"fee_product": 1}
