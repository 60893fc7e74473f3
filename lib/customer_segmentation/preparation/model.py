"""The preparation of all features: part of a Spark ML pipeline at the fit, and of a saved model ever after."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame

from customer_segmentation.preparation import learning, sql
from customer_segmentation.preparation.columns import (
    Blended,
    Indicator,
    Prepared,
    heard,
    measured_sql,
    told,
)
from customer_segmentation.preparation.frames import numeric_columns
from customer_segmentation.preparation.pca import Components


@dataclass(frozen=True)
class Preparation:
    """The prepared features in order, and those left out because they tell no customers apart, with why.

    components: the principal components that the features are seen through; None: as they are.
    """

    features: tuple[Prepared, ...]
    dropped: Mapping[str, str]
    components: Components | None = None

    @property
    def names(self) -> list[str]:
        """The features that are prepared, in order."""
        return [feature.name for feature in self.features]

    @property
    def inputs(self) -> list[str]:
        """The columns that a frame needs, each once."""
        return list(dict.fromkeys(feature.column for feature in self.features))

    @property
    def numbers(self) -> list[str]:
        """The columns among the inputs that must be numbers; the others are attributes of any type."""
        return list(dict.fromkeys(one.column for one in self._own if not isinstance(one, Indicator)))

    def stage(self) -> SQLTransformer:
        """The preparation as a Spark ML stage: adds a column z_NAME for each feature."""
        return SQLTransformer(statement=f"SELECT *, {', '.join(self._columns())} FROM __THIS__")

    def transform(self, frame: DataFrame) -> DataFrame:
        """The frame with a column z_NAME for each feature, in place of columns of such names."""
        prepared = {prepared_name(name).lower() for name in self.names}
        present = frame.columns
        kept = [sql.column(name) for name in present if name.lower() not in prepared]
        return frame.selectExpr(*(["*"] if len(kept) == len(present) else kept), *self._columns())

    def measured(self, frame: DataFrame) -> list[str]:
        """The prepared values as Spark SQL, by feature, for an assignment of the frame's customers.

        One at least is infinite for a customer with a value that is infinite or beyond 1e100: in a feature, or in one
        that was left out of the preparation because it told nothing new, which of such a value is not true.
        """
        dropped = numeric_columns(frame, self.dropped)
        return [measured_sql(one, () if i else dropped) for i, one in enumerate(self.features)]

    def subset(self, names: Iterable[str]) -> "Preparation":
        """The preparation of these features only, not seen through components; names that were dropped stay told."""
        wanted = list(names)
        by_name = {feature.name: feature for feature in self._own}
        return Preparation(
            tuple(by_name[name] for name in wanted if name in by_name),
            {name: why for name, why in self.dropped.items() if name in wanted},
        )

    def natural(self, prepared: Sequence[float] | np.ndarray) -> dict[str, float]:
        """A point in prepared units, told in natural units by feature."""
        return {f.name: f.natural(float(value)) for f, value in zip(self.features, prepared, strict=True)}

    def missing(self) -> dict[str, float]:
        """What a missing value counts as, by feature in natural units; indicators of missing texts are not among it."""
        found = {f.name: getattr(f, "missing", None) for f in self._own}
        own = {f.name: f for f in self._own}
        return {name: own[name].natural(value) for name, value in found.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """The preparation as JSON-able data."""
        data: dict[str, Any] = {"features": [told(feature) for feature in self._own], "dropped": dict(self.dropped)}
        return data if self.components is None else {**data, "components": self.components.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preparation":
        """The preparation that `to_dict` told; raises TypeError, KeyError or ValueError where it is none."""
        unknown = data.keys() - {"features", "dropped", "components"}
        if unknown:
            raise ValueError(f"a preparation has no {', '.join(sorted(unknown))}")
        own = tuple(heard(feature) for feature in data["features"])
        dropped = {str(name): str(why) for name, why in data["dropped"].items()}
        if data.get("components") is None:
            return cls(own, dropped)
        components = Components.from_dict(data["components"])
        return cls(components.blended(own), dropped, components)

    @classmethod
    def fit(
        cls,
        frame: DataFrame,
        *,
        columns: Sequence[str],
        skewed: Iterable[str] = (),
        powered: Iterable[str] = (),
        scaling: Literal["robust", "standard"] = "robust",
        winsorise: tuple[float, float] | None = None,
        attributes: Sequence[str] = (),
        categories: int = 10,
        weights: Mapping[str, float] | None = None,
        variance: float | None = None,
        seed: int = 0,
    ) -> "Preparation":
        """Learn all numbers from all rows, whatever their order. Runs two aggregations, a few more for what is asked.

        Args:
            frame: a row per customer.
            columns: numeric features to prepare.
            skewed: those of them to take the logarithm of.
            powered: those of them to take the Yeo-Johnson transform of; its lambda is the likeliest on a sample.
            scaling: robust: median and interquartile range (where half of the values are equal, 1.349 standard
                deviations); standard: mean and standard deviation.
            winsorise: the quantiles that lower and higher values are moved to, such as (0.01, 0.99).
            attributes: columns of texts to encode one-hot: the most frequent values, the others together.
            categories: most columns that an attribute becomes, the others' included; at least 2.
            weights: by feature or attribute, above 0: what the prepared values are multiplied by.
            variance: share of the variance, above 0 to 1, that the principal components kept have at least; None:
                no components.
            seed: of the sample for Yeo-Johnson.

        Returns:
            The preparation. Features without values, with one value only, and features that are a straight line of
            another one once prepared (|correlation| = 1), are dropped and told in `dropped`. NaN is a missing value,
            as null is.

        Raises:
            ConfigurationError: an argument is out of range, or a column is not there.
            DataRefusedError: there are no customers; a feature is no number, or has values that are infinite or beyond
                1e100; a name stands for several columns.
        """
        recipe = learning.Recipe(
            columns=tuple(columns),
            logs=frozenset(skewed),
            powered=frozenset(powered),
            scaling=scaling,
            winsorise=winsorise,
            attributes=tuple(attributes),
            categories=categories,
            weights=dict(weights or {}),
            variance=variance,
            seed=seed,
        )
        own, dropped, components = learning.learnt(frame, recipe)
        return cls(own if components is None else components.blended(own), dropped, components)

    @property
    def _own(self) -> list[Any]:
        return [feature.own if isinstance(feature, Blended) else feature for feature in self.features]

    def _columns(self) -> list[str]:
        return [f"{feature.sql} AS {sql.column(prepared_name(feature.name))}" for feature in self.features]


def coordinate_names(preparation: Preparation) -> list[str]:
    """Working names for the columns that hold the prepared features, whatever the features are called."""
    return [f"_x{j}" for j in range(len(preparation.features))]


def prepared_name(name: str) -> str:
    """The column that holds a feature's prepared values."""
    return f"z_{name}"
