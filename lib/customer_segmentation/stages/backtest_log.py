"""What the newest backtest of some settings found, in `backtests`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

from pyspark.sql import functions as F

from customer_segmentation.backtest import best_column
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.report.ranking import main_horizon
from customer_segmentation.storage import Warehouse


class BacktestLog:
    """The newest backtest of the models of some settings, up to a date.

    Args:
        warehouse: has the tables.
        settings: digest of the settings that make a model.
        as_of: gives the date.
    """

    def __init__(self, warehouse: Warehouse, settings: str, *, as_of: Callable[[], date]) -> None:
        self._warehouse = warehouse
        self._settings = settings
        self._as_of = as_of

    @cached_property
    def newest(self) -> list[Mapping[str, Any]]:
        """Its rows; none where there is no backtest."""
        if not self._warehouse.exists(t.BACKTESTS):
            return []
        own = self._warehouse.rows(t.BACKTESTS, column="configuration", value=self._settings)
        until = own.where(F.col(c.RUN_ID) < f"{self._as_of():%Y%m%d}.")  # above any digest of that date
        newest = until.agg(F.max_by(c.RUN_ID, "tested_at")).first()
        if newest is None or newest[0] is None:
            return []
        rows = self._warehouse.rows(t.BACKTESTS, column=c.RUN_ID, value=newest[0])
        return [row.asDict() for row in rows.orderBy(*t.BACKTESTS.key).collect()]

    def record(self, run_id: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Keep the rows of a backtest under its id; as they are kept, with a time after that of any one before."""
        if self._warehouse.exists(t.BACKTESTS):
            latest = self._warehouse.read(t.BACKTESTS).agg(F.max("tested_at")).first()
            self._warehouse.clock.saw(latest[0] if latest else None)
        known = {"tested_at": self._warehouse.clock.now(), "configuration": self._settings, c.RUN_ID: run_id}
        recorded = [{**row, **known} for row in rows]
        self._warehouse.replace_rows(t.BACKTESTS, recorded, column=c.RUN_ID, value=run_id)
        self.__dict__.pop("newest", None)
        return recorded

    def ranking_column(self, columns: Collection[str], *, horizon_days: int, windows: Mapping[str, int]) -> str:
        """The column of customer_features, of these, that it ranks customers by best, else net spend.

        Args:
            columns: names.
            horizon_days: of its horizons the nearest to this one counts.
            windows: days of the windows of the features by name.
        """
        horizon = main_horizon(self.newest, horizon_days)
        if horizon is None:
            return c.MONETARY
        return best_column(self.newest, columns, horizon_days=horizon, windows=windows)
