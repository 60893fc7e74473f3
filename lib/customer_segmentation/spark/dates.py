"""The dates of which a state is asked for, and how sums over rows become states at each of them.

Time falls into the periods between the dates: what happened in one counts from the date that ends it. Rows are summed
once by period, and running sums over the periods are states, each of which holds from one place among the dates until
another. Of a single date there is one period and one state, and all of this leaves the sums as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from customer_segmentation.spark.shuffling import shuffled_once

SINCE = "since"
"""Place of the first date, from 0, on which a row counts."""

UNTIL = "until"
"""Place of the first date on which a state no longer holds; the number of dates where it holds to the end."""

PLACE = "place"
"""Place of the date, from 0, that a row is as of."""

INTERVAL = (SINCE, UNTIL)
"""When a state holds."""


@dataclass(frozen=True)
class Dates:
    """Dates, ascending and each once. Where they are no series, there is a single one, and rows name no places."""

    days: tuple[date, ...] = ()
    is_series: bool = False

    @property
    def last(self) -> date:
        """Nothing of this day or later enters."""
        return self.days[-1]

    @property
    def day(self) -> Column:
        """The date that a row is as of."""
        if not self.is_series:
            return F.lit(self.last)
        return F.get(F.array(*map(F.lit, self.days)), F.col(PLACE))

    def place(self, day: Column) -> Column:
        """Place of the first date after a day; the number of dates where there is none."""

        def between(low: int, high: int) -> Column:
            if low == high:
                return F.lit(low)
            middle = (low + high) // 2
            earlier = day < F.lit(self.days[middle])
            return F.when(earlier, between(low, middle)).otherwise(between(middle + 1, high))

        return between(0, len(self.days))

    def summed_by(self, *names: str) -> list[str]:
        """What rows are grouped by for sums that become states."""
        return [*names, SINCE] if self.is_series else [*names]

    def key(self, *names: str) -> list[str]:
        """What a row at a date is one of."""
        return [*names, PLACE] if self.is_series else [*names]

    @property
    def interval(self) -> list[str]:
        """The columns that say when a state holds."""
        return [*INTERVAL] if self.is_series else []

    def states(self, sums: DataFrame, *by: str, totals: Sequence[str], maxima: Sequence[str] = ()) -> DataFrame:
        """Sums by period as running totals and maxima, with the interval in which they hold.

        Args:
            sums: a row for each value of `by` and period in which something was added or taken away.
        """
        if not self.is_series:
            return sums
        in_order = Window.partitionBy(*by).orderBy(SINCE)
        so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        return sums.select(
            *(*by, SINCE),
            F.lead(SINCE, 1, len(self.days)).over(in_order).alias(UNTIL),
            *(F.sum(name).over(so_far).alias(name) for name in totals),
            *(F.max(name).over(so_far).alias(name) for name in maxima),
        )

    def sums_of(
        self, states: DataFrame, of: Sequence[str], by: Sequence[str], columns: Mapping[str, Column]
    ) -> DataFrame:
        """Sums over the states of each value of `of`; of a series, by period: what is added and taken away.

        Args:
            states: a row for each state of a value of `of` and `by`.
            columns: what is summed, by name; whole numbers.
        """
        if not self.is_series:
            return states.groupBy(*of).agg(*(F.sum(column).alias(name) for name, column in columns.items()))
        in_order = Window.partitionBy(*of, *by).orderBy(SINCE)
        values = states.select(*of, *by, SINCE, *(column.alias(name) for name, column in columns.items()))
        changes = values.select(
            *(*of, SINCE),
            *((F.col(name) - F.lag(name, 1, 0).over(in_order)).alias(name) for name in columns),
        )
        return changes.groupBy(*of, SINCE).agg(*(F.sum(name).alias(name) for name in columns))

    def places(self, rows: DataFrame, of: str) -> DataFrame:
        """The places at which something of each `of` changes; of a single date, the rows."""
        if not self.is_series:
            return rows
        return shuffled_once(rows.select(of, F.col(SINCE).alias(PLACE)).distinct(), of)

    def accumulated(self, sums: Sequence[DataFrame], places: DataFrame, of: str) -> list[DataFrame]:
        """Sums of each `of`; of a series, one frame of their running totals at all of its places.

        Args:
            sums: see `sums_of`.
            places: see `places`.
        """
        if not self.is_series:
            return list(sums)
        key = [of, PLACE]
        parts = [part.withColumnRenamed(SINCE, PLACE) for part in sums]
        totals = [name for part in parts for name in part.columns if name not in key]
        joined = reduce(lambda rows, part: rows.join(part.hint("shuffle_hash"), on=key, how="left"), parts, places)
        in_order = Window.partitionBy(of).orderBy(PLACE)
        so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        accumulated = joined.select(
            *key,
            F.col(PLACE).alias(SINCE),
            F.lead(PLACE, 1, len(self.days)).over(in_order).alias(UNTIL),
            *(F.coalesce(F.sum(name).over(so_far), F.lit(0)).alias(name) for name in totals),
        )
        return [accumulated]

    def at_places(self, states: DataFrame, places: DataFrame, of: str) -> DataFrame:
        """The states at the places of their `of`."""
        if not self.is_series:
            return states
        holds = (F.col(PLACE) >= F.col(SINCE)) & (F.col(PLACE) < F.col(UNTIL))
        return states.join(places.hint("shuffle_hash"), on=of, how="inner").where(holds).drop(SINCE, UNTIL)

    def at_all(self, states: DataFrame) -> DataFrame:
        """The states at every date on which they hold."""
        if not self.is_series:
            return states
        places = F.explode(F.sequence(SINCE, F.col(UNTIL) - 1))
        return states.where(F.col(SINCE) < F.col(UNTIL)).withColumn(PLACE, places).drop(SINCE, UNTIL)
