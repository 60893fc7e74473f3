"""Returns and the purchases they undo: literal frames, a naive oracle on random histories, what always holds."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from customer_segmentation.contract import columns as c
from customer_segmentation.contract.tables import RETURNS
from customer_segmentation.ingest.returns import Line, Piece, match_lines, matched_returns, returned_orders
from tests.csv_lines import seeded

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA = (
    "customer_id string, order_id string, ordered_at timestamp, product_id string, quantity decimal(18,3), "
    "amount decimal(18,2), is_return boolean, line_id bigint"
)


class Row(NamedTuple):
    """A line of `transactions`, the columns that count here."""

    customer_id: str
    order_id: str
    ordered_at: datetime
    product_id: str | None
    quantity: Decimal
    amount: Decimal
    is_return: bool
    line_id: int


def number(name: str) -> int:
    """The id of a line that a test calls by a name; ids are in the order of names of one length."""
    return int.from_bytes(name.encode(), "big")


def name_of(number: int | None) -> str | None:
    return None if number is None else number.to_bytes((number.bit_length() + 7) // 8, "big").decode()


def bought(
    line: str,
    day: int,
    quantity: str = "1",
    amount: str = "10.00",
    *,
    customer: str = "C1",
    product: str | None = "P1",
    order: str | None = None,
) -> Row:
    at = datetime(2024, 1, day, 12, tzinfo=UTC)
    return Row(customer, order or f"O-{line}", at, product, Decimal(quantity), Decimal(amount), False, number(line))


def returned(
    line: str, day: int, quantity: str = "1", amount: str = "10.00", *, customer: str = "C1", product: str | None = "P1"
) -> Row:
    at = datetime(2024, 1, day, 12, tzinfo=UTC)
    return Row(customer, f"O-{line}", at, product, -Decimal(quantity), -Decimal(amount), True, number(line))


def lines_of(spark: SparkSession, rows: list[Row]) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA)


def pieces_without_spark(rows: Iterable[Row]) -> Iterator[Piece]:
    """What `match_lines` gives for the lines in whole units, sorted as Spark does: nulls first."""
    lines = [
        Line(
            row.customer_id,
            row.product_id,
            micros(row.ordered_at),
            row.is_return,
            row.line_id,
            row.order_id,
            int(row.quantity * 1000),
            int(row.amount * 100),
        )
        for row in rows
    ]
    return match_lines(iter(sorted(lines, key=nulls_first)))


def matches(*rows: Row) -> list[tuple]:
    """Return line, purchase line, items and value of every piece, in order."""
    pieces = list(pieces_without_spark(rows))
    assert all(piece.is_matched == (piece.line_id is not None) for piece in pieces)
    found = [
        (name_of(p.return_line_id), name_of(p.line_id), f"{p.quantity / 1000:.3f}", f"{p.amount / 100:.2f}")
        for p in pieces
    ]
    return sorted(found, key=lambda piece: [part or "~" for part in piece])


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def nulls_first(values: Iterable) -> list[tuple]:
    return [(value is not None, value) for value in values]


def test_a_return_undoes_the_latest_purchase_before_it() -> None:
    found = matches(bought("a", 1), bought("b", 3), returned("r", 5), bought("c", 7))

    assert found == [("r", "b", "1.000", "10.00")]


def test_what_the_latest_purchase_cannot_explain_goes_to_the_one_before() -> None:
    found = matches(bought("a", 1, "5"), bought("b", 3, "2"), returned("r", 5, "4", "40.00"))

    assert found == [("r", "a", "2.000", "20.00"), ("r", "b", "2.000", "20.00")]


def test_a_purchase_is_given_back_once() -> None:
    found = matches(
        bought("a", 1, "2"),
        bought("b", 2, "1"),
        returned("r", 3, "1"),
        returned("s", 4, "1"),
        returned("t", 5, "3", "30.00"),
    )

    assert found == [
        ("r", "b", "1.000", "10.00"),
        ("s", "a", "1.000", "10.00"),
        ("t", "a", "1.000", "10.00"),
        ("t", None, "2.000", "20.00"),
    ]


def test_a_return_without_a_purchase_before_it_stays_unmatched() -> None:
    found = matches(
        returned("r", 1, "2", "7.50"),
        bought("later", 2),
        bought("another customer", 1, customer="C2"),
        bought("another product", 1, product="P2"),
    )

    assert found == [("r", None, "2.000", "7.50")]


def test_at_the_same_instant_purchases_come_first_and_equal_lines_go_by_line_id() -> None:
    found = matches(returned("a", 1), returned("c", 1), bought("x", 1), bought("z", 1))

    assert found == [("a", "z", "1.000", "10.00"), ("c", "x", "1.000", "10.00")]


def test_lines_without_a_product_are_never_matched() -> None:
    found = matches(
        bought("a", 1, product=None), returned("r", 2, product=None), bought("b", 1, product=""), bought("d", 1)
    )

    assert found == [("r", None, "1.000", "10.00")]


def test_a_return_without_items_is_a_value_without_a_purchase() -> None:
    found = matches(bought("a", 1), returned("r", 2, "0", "3.20"), returned("s", 3))

    assert found == [("r", None, "0.000", "3.20"), ("s", "a", "1.000", "10.00")]


def test_the_last_piece_takes_the_cents_that_do_not_divide() -> None:
    found = matches(
        *(bought(line, 1, "1") for line in "abc"),
        returned("r", 2, "3", "10.00"),
        bought("d", 3, "0.333", customer="C2"),
        returned("s", 4, "1.000", "0.01", customer="C2"),
    )

    assert found == [
        ("r", "a", "1.000", "3.34"),
        ("r", "b", "1.000", "3.33"),
        ("r", "c", "1.000", "3.33"),
        ("s", "d", "0.333", "0.00"),
        ("s", None, "0.667", "0.01"),
    ]


def test_a_purchase_of_nothing_is_passed_over() -> None:
    found = matches(bought("a", 1), bought("b", 2, "0"), bought("c", 3, "-1"), returned("r", 4))

    assert found == [("r", "a", "1.000", "10.00")]


def test_the_largest_numbers_the_columns_hold_stay_exact(spark: SparkSession) -> None:
    items, value = "999999999999999.999", "9999999999999999.99"

    pieces = matched_returns(lines_of(spark, [bought("a", 1, items, value), returned("r", 2, items, value)])).collect()

    assert [(piece[c.QUANTITY], piece[c.AMOUNT]) for piece in pieces] == [(Decimal(items), Decimal(value))]


def test_a_piece_names_both_lines_their_orders_and_times(spark: SparkSession) -> None:
    pieces = matched_returns(lines_of(spark, [bought("a", 1), returned("r", 2, "2", "8.00")])).orderBy(c.LINE_ID)

    unmatched, matched = (row.asDict() for row in pieces.withColumns(_as_text()).collect())

    back = {
        "customer_id": "C1",
        "product_id": "P1",
        "return_line_id": number("r"),
        "return_order_id": "O-r",
        "returned_at": "2024-01-02 12:00:00",
        "quantity": Decimal("1.000"),
        "amount": Decimal("4.00"),
    }
    purchase = {"line_id": number("a"), "order_id": "O-a", "ordered_at": "2024-01-01 12:00:00"}
    assert matched == back | purchase | {"is_matched": True}
    assert unmatched == back | dict.fromkeys(purchase) | {"is_matched": False}


def _as_text() -> dict:
    return {name: F.col(name).cast("string") for name in (c.RETURNED_AT, c.ORDERED_AT)}


def test_the_columns_are_those_of_the_table(spark: SparkSession) -> None:
    fields = matched_returns(lines_of(spark, [])).schema.fields

    assert [(f.name, f.dataType.simpleString()) for f in fields] == [(f.name, f.type) for f in RETURNS.columns]
    assert [f.metadata["comment"] for f in fields] == [f.comment for f in RETURNS.columns]
    assert list(Piece._fields) == RETURNS.column_names


# --- random histories ---


def random_lines(draw: random.Random, customers: int) -> list[Row]:
    """Histories full of ties, fractions, returns of more than was bought, copies and colliding line ids."""
    rows = []
    for customer in range(customers):
        fractions = draw.random() < 0.5
        for _ in range(draw.randrange(1, 25)):
            is_return = draw.random() < 0.4
            most = draw.choice([1, 3, 12])
            quantity = Decimal(draw.randrange(1, most * 1000) if fractions else draw.randrange(1, most + 1) * 1000)
            if is_return and draw.random() < 0.1:
                quantity = Decimal(0)
            cents = draw.choice([0, 1, draw.randrange(100), draw.randrange(100_000)])
            sign = -1 if is_return else 1
            rows.append(
                Row(
                    f"C{customer}",
                    f"O{draw.randrange(12)}",
                    datetime(2024, 1, 1, tzinfo=UTC)
                    + timedelta(days=draw.randrange(15), microseconds=draw.choice([0, 0, 1])),
                    draw.choice([None, "P1", "P1", "P2", "é"]),
                    sign * quantity / 1000,
                    Decimal(sign * cents) / 100,
                    is_return,
                    draw.randrange(40),
                )
            )
        if draw.random() < 0.3:
            rows.append(draw.choice(rows))
    draw.shuffle(rows)
    return rows


def oracle(rows: list[Row]) -> list[tuple]:
    """Every return looks through all purchases before it, latest first: slow, and nothing to get wrong."""
    purchases = sorted((row for row in rows if not row.is_return), key=_age, reverse=True)
    left = [row.quantity for row in purchases]
    found = []
    for back in sorted((row for row in rows if row.is_return), key=_age):
        wanted = -back.quantity
        pieces: list[tuple[Row | None, Decimal]] = []
        for i, purchase in enumerate(purchases):
            same = purchase.product_id == back.product_id is not None and purchase.customer_id == back.customer_id
            taken = min(wanted, left[i])
            if same and purchase.ordered_at <= back.ordered_at and taken > 0:
                pieces.append((purchase, taken))
                left[i] -= taken
                wanted -= taken
        if wanted or not back.quantity:
            pieces.append((None, wanted))
        values = [
            (-back.amount * taken / -back.quantity).quantize(Decimal("0.01"), ROUND_DOWN) for _, taken in pieces[:-1]
        ]
        values.append(-back.amount - sum(values))
        for (purchase, taken), value in zip(pieces, values, strict=True):
            whose = (purchase.line_id, purchase.order_id, purchase.ordered_at) if purchase else (None, None, None)
            head = (back.customer_id, back.product_id, back.line_id, back.order_id, back.ordered_at)
            found.append((*head, *whose, taken, value, purchase is not None))
    return found


def _age(row: Row) -> tuple:
    return row.ordered_at, row.line_id, row.order_id, row.quantity, row.amount


def pieces_of(frame: DataFrame) -> list[tuple]:
    """The pieces as tuples in a fixed order, times in UTC."""
    times = {name: F.unix_micros(name) for name in (c.RETURNED_AT, c.ORDERED_AT)}
    rows = []
    for row in frame.withColumns(times).collect():
        values = row.asDict()
        for name in times:
            values[name] = None if values[name] is None else EPOCH + timedelta(microseconds=values[name])
        rows.append(tuple(values.values()))
    return sorted(rows, key=nulls_first)


@contextmanager
def setting(spark: SparkSession, **values: str | int) -> Iterator[None]:
    """Spark settings (`__` for a dot) for a while."""
    names = {name.replace("__", "."): str(value) for name, value in values.items()}
    before = {name: spark.conf.get(name) for name in names}
    for name, value in names.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


@pytest.mark.parametrize("seed", [7, None])
def test_every_match_is_that_of_a_naive_search_over_random_histories(spark: SparkSession, seed: int | None) -> None:
    rows = random_lines(seeded(seed), customers=300)

    found = pieces_of(matched_returns(lines_of(spark, rows)))

    expected = sorted(oracle(rows), key=nulls_first)
    assert found == expected
    assert {piece[-1] for piece in expected} == {True, False}


def test_the_search_itself_is_exact_over_many_more_histories() -> None:
    draw = seeded()
    for _ in range(400):
        rows = random_lines(draw, customers=4)

        expected = [
            (*head, micros(at), line, order, bought_at and micros(bought_at), int(items * 1000), int(worth * 100), ok)
            for *head, at, line, order, bought_at, items, worth, ok in oracle(rows)
        ]
        assert sorted(pieces_without_spark(rows), key=nulls_first) == sorted(expected, key=nulls_first)


def test_the_order_and_the_partitions_of_the_lines_change_nothing(spark: SparkSession) -> None:
    draw = seeded()
    rows = random_lines(draw, customers=60)
    expected = pieces_of(matched_returns(lines_of(spark, rows)))
    draw.shuffle(rows)

    for partitions, batch, threshold in ((1, 1, -1), (5, 3, -1), (2, 7, 10_000_000)):
        with setting(
            spark,
            spark__sql__execution__arrow__maxRecordsPerBatch=batch,
            spark__sql__shuffle__partitions=partitions,
            spark__sql__autoBroadcastJoinThreshold=threshold,
        ):
            assert pieces_of(matched_returns(lines_of(spark, rows).repartition(partitions))) == expected


def test_nothing_is_lost_and_no_purchase_is_given_back_twice(spark: SparkSession) -> None:
    rows = random_lines(seeded(), customers=150)

    back, undone = defaultdict(lambda: [Decimal(0), Decimal(0)]), defaultdict(Decimal)
    unmatched = defaultdict(int)
    for piece in pieces_of(matched_returns(lines_of(spark, rows))):
        customer, product, return_line, return_order, returned_at, line, order, ordered_at, quantity, amount, ok = piece
        assert amount >= 0
        back[customer, product, return_line, return_order, returned_at][0] += quantity
        back[customer, product, return_line, return_order, returned_at][1] += amount
        if ok:
            assert quantity > 0
            assert ordered_at <= returned_at
            undone[customer, product, line, order, ordered_at] += quantity
        else:
            unmatched[customer, product, return_line, return_order, returned_at] += 1

    asked, had, lines = defaultdict(lambda: [Decimal(0), Decimal(0)]), defaultdict(Decimal), defaultdict(int)
    for row in rows:
        key = (row.customer_id, row.product_id, row.line_id, row.order_id, row.ordered_at)
        if row.is_return:
            asked[key][0] -= row.quantity
            asked[key][1] -= row.amount
            lines[key] += 1
        else:
            had[key] += row.quantity
    assert back == asked
    assert all(given <= had[key] for key, given in undone.items())
    assert all(count <= lines[key] for key, count in unmatched.items())


def test_the_matches_before_a_date_are_those_of_the_lines_before_it(spark: SparkSession) -> None:
    lines = lines_of(spark, random_lines(seeded(), customers=100))
    moment = F.lit("2024-01-09").cast("timestamp")
    prefix = lines.where(F.col(c.ORDERED_AT) < moment)

    then = matched_returns(prefix).localCheckpoint()
    now = matched_returns(lines).where(F.col(c.RETURNED_AT) < moment).localCheckpoint()

    assert pieces_of(then) == pieces_of(now) != []
    assert rows_of(fully_returned_orders(prefix, then)) == rows_of(fully_returned_orders(prefix, now)) != []


@pytest.mark.classic("it looks at the physical plan")
def test_a_customer_and_product_stay_together_whatever_the_join_was_split_by(spark: SparkSession) -> None:
    with setting(spark, spark__sql__autoBroadcastJoinThreshold=-1, spark__sql__adaptive__enabled="true"):
        plan = matched_returns(lines_of(spark, [bought("a", 1), returned("r", 2)]))._jdf.queryExecution().toString()

    executed = plan[plan.index("== Physical Plan ==") :]
    assert "SortMergeJoin" in executed
    assert "REPARTITION_BY_COL" in executed[: executed.index("SortMergeJoin")], executed


# --- orders that were given back whole ---


def rows_of(frame: DataFrame) -> list[tuple]:
    return sorted(map(tuple, frame.collect()))


def fully_returned_orders(transactions: DataFrame, returns: DataFrame) -> DataFrame:
    orders = returned_orders(transactions, returns).where("is_fully_returned")
    return orders.select(c.CUSTOMER_ID, c.ORDER_ID, c.RETURNED_AMOUNT)


def fully_returned(spark: SparkSession, *rows: Row) -> list[tuple]:
    lines = lines_of(spark, list(rows))
    return rows_of(fully_returned_orders(lines, matched_returns(lines)))


def test_an_order_is_undone_when_every_item_was_given_back(spark: SparkSession) -> None:
    found = fully_returned(
        spark,
        bought("a", 1, "2", order="whole"),
        bought("b", 1, product="P2", order="whole"),
        returned("r", 2, "1", "9.00"),
        returned("s", 3, "1", "8.50"),
        returned("t", 4, "1", "4.00", product="P2"),
        bought("d", 1, product="P3", order="half"),
        bought("e", 1, product="P4", order="half"),
        returned("u", 2, product="P3"),
        bought("f", 1, product="P5", order="kept"),
    )

    assert found == [("C1", "whole", Decimal("21.50"))]


def test_an_order_with_a_line_that_cannot_be_matched_is_never_fully_returned(spark: SparkSession) -> None:
    found = fully_returned(
        spark,
        bought("a", 1, order="O1"),
        bought("b", 1, product=None, order="O1"),
        returned("r", 2),
        returned("s", 2, product=None),
    )

    assert found == []


def test_orders_of_one_number_are_told_apart_by_customer(spark: SparkSession) -> None:
    found = fully_returned(
        spark,
        bought("a", 1, order="O1"),
        returned("r", 2, "5", "50.00"),
        bought("b", 1, order="O1", customer="C2"),
    )

    assert found == [("C1", "O1", Decimal("10.00"))]


def test_undone_orders_are_those_of_a_count_by_hand_on_random_histories(spark: SparkSession) -> None:
    rows = random_lines(seeded(), customers=200)
    lines = lines_of(spark, rows)

    had: dict[tuple, Decimal] = defaultdict(Decimal)
    for row in rows:
        if not row.is_return:
            had[row.customer_id, row.order_id] += row.quantity
    worth: dict[tuple, Decimal] = defaultdict(Decimal)
    left = dict(had)
    for piece in oracle(rows):
        if piece[-1]:
            left[piece[0], piece[6]] -= piece[8]
            worth[piece[0], piece[6]] += piece[9]
    expected = sorted((*order, worth[order]) for order, items in left.items() if items == 0)

    assert rows_of(fully_returned_orders(lines, matched_returns(lines))) == expected != []
