"""The value model: when customers buy, what they spend, and how their worth ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from customer_segmentation.config.schema import Value
from customer_segmentation.value.forecasts import DAYS_A_YEAR, Forecaster
from customer_segmentation.value.histories import distinct_histories
from customer_segmentation.value.purchases import PurchaseModel, fit_purchases
from customer_segmentation.value.spend import SpendModel, fit_spend, no_value, value_moments


@dataclass(frozen=True)
class ValueModel:
    """A purchase model and a spend model, fitted to the same customers, with times in days.

    spend: None where nobody has spent more than was returned; spend is then expected to be 0.
    cuts: where the rank by present value changes, ascending; empty before they are known.
    horizons: in days, ascending.
    discount_rate: by which spend to come is discounted, a year.
    interval: the level of the predictive intervals.
    """

    purchases: PurchaseModel
    spend: SpendModel | None
    cuts: tuple[float, ...]
    horizons: tuple[int, ...]
    discount_rate: float
    interval: float

    @property
    def messages(self) -> list[str]:
        """What a person should know of the fits, in sentences; none where all is well."""
        if self.spend is None:
            return [*self.purchases.messages, "nobody has spent more than was returned: the expected spend is 0"]
        return [*self.purchases.messages, *self.spend.messages]

    def forecaster(self) -> Forecaster:
        """Forecasts by customer, to be sent to workers."""
        member, parameters = self.purchases.member, self.purchases.values
        return Forecaster(
            active=partial(member("probability_active"), parameters),
            shares=partial(member("phase_shares"), parameters),
            future=partial(member("future_purchases"), parameters),
            values=no_value if self.spend is None else partial(value_moments, self.spend.values),
            horizons=tuple(map(float, self.horizons)),
            level=self.interval,
            discount=float(np.log1p(self.discount_rate)) / DAYS_A_YEAR,
        )

    def to_dict(self) -> dict[str, Any]:
        """The model as plain JSON."""
        return {
            **vars(self),
            "purchases": self.purchases.to_dict(),
            "spend": None if self.spend is None else self.spend.to_dict(),
            "cuts": list(self.cuts),
            "horizons": list(self.horizons),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ValueModel":
        """The model from what `to_dict` gives."""
        spend = data["spend"]
        models = PurchaseModel.from_dict(data["purchases"]), None if spend is None else SpendModel.from_dict(spend)
        return cls(*models, tuple(data["cuts"]), tuple(data["horizons"]), data["discount_rate"], data["interval"])


def fit_models(counts: pd.DataFrame, values: pd.DataFrame, settings: Value) -> ValueModel:
    """The model from counts of histories and of values, without cuts.

    Args:
        counts: what `purchase_counts` gives.
        values: days, mean and customers: how many have so many purchase days of this mean value.
    """
    columns = (values[name].to_numpy(dtype=float) for name in ("days", "mean", "customers"))
    has_value = bool((values["mean"] > 0).any())
    return ValueModel(
        fit_purchases(distinct_histories(counts), settings.model),
        fit_spend(*columns) if has_value else None,
        (),
        tuple(settings.horizons),
        settings.discount_rate,
        settings.interval,
    )
