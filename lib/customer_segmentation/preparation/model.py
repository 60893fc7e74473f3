"""A fitted preparation: plain, checked numbers that give plain SQL, and an inverse transform for centres."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame

from customer_segmentation.preparation import columns, sql
from customer_segmentation.preparation.columns import (
    Feature,
    OneHotFeature,
    OwnFeature,
    PCAFeature,
    PreparedFeature,
    measurable_sql,
)
from customer_segmentation.preparation.frames import numeric_columns
from customer_segmentation.preparation.pca import PCA


@dataclass(frozen=True)
class PreparationModel:
    """A fitted `Preparation`: part of every model, and so of every assignment.

    features_: the prepared features in order.
    dropped_: features that are left out because they distinguish no customers, with the reason.
    components_: the principal components that the features are projected on; None: they are not.

    Example:
        >>> from customer_segmentation.preparation import Preparation
        >>> features = spark.createDataFrame([(1.0,), (3.0,), (5.0,), (None,)], "orders double")
        >>> preparation = Preparation(columns=["orders"]).fit(features)
        >>> [row.z_orders for row in preparation.transform(features).collect()]
        [-1.0, 0.0, 1.0, 0.0]
        >>> preparation.inverse_transform([1.0]), preparation.missing()
        ({'orders': 5.0}, {'orders': 3.0})
    """

    features_: tuple[Feature, ...]
    dropped_: Mapping[str, str]
    components_: PCA | None = None

    @property
    def features(self) -> tuple[Feature, ...]:
        """`features_`, by its name in 0.1.0."""
        return self.features_

    @property
    def dropped(self) -> Mapping[str, str]:
        """`dropped_`, by its name in 0.1.0."""
        return self.dropped_

    @property
    def names(self) -> list[str]:
        """The features that are prepared, in order."""
        return [feature.name for feature in self.features_]

    @property
    def inputs(self) -> list[str]:
        """The columns that a frame needs, each once."""
        return list(dict.fromkeys(feature.column for feature in self.features_))

    @property
    def numbers(self) -> list[str]:
        """The columns among the inputs that must be numbers; the others are attributes of any type."""
        return list(dict.fromkeys(own.column for own in self._own if not isinstance(own, OneHotFeature)))

    @property
    def outputs(self) -> list[str]:
        """The columns that `transform` adds, in the order of the features."""
        return [prepared_name(name) for name in self.names]

    def stage(self) -> SQLTransformer:
        """The preparation as a Spark ML stage: adds a column z_NAME for each feature."""
        return SQLTransformer(statement=f"SELECT *, {', '.join(self._columns())} FROM __THIS__")

    def transform(self, frame: DataFrame) -> DataFrame:
        """The frame with a column z_NAME for each feature, in place of columns of such names."""
        prepared = {name.lower() for name in self.outputs}
        present = frame.columns
        kept = [sql.column(name) for name in present if name.lower() not in prepared]
        return frame.selectExpr(*(["*"] if len(kept) == len(present) else kept), *self._columns())

    def measurable(self, frame: DataFrame) -> list[str]:
        """The prepared values as Spark SQL, by feature, for an assignment of the frame's customers.

        At least one is infinite for a customer with a value that is infinite or beyond 1e100: in a feature, or in one
        that was left out of the preparation because it repeats another, which is not true of such a value.
        """
        dropped = numeric_columns(frame, self.dropped_)
        return [measurable_sql(feature, () if i else dropped) for i, feature in enumerate(self.features_)]

    def inverse_transform(self, prepared: Sequence[float] | np.ndarray) -> dict[str, float]:
        """A point in prepared units, in original units by feature."""
        values = zip(self.features_, prepared, strict=True)
        return {feature.name: feature.inverse_transform(float(value)) for feature, value in values}

    def transform_point(self, values: Mapping[str, float]) -> np.ndarray:
        """A point in original units by feature, in prepared units: what `inverse_transform` inverts."""
        own = np.array([feature.transform(values[feature.name]) for feature in self._own])
        return own if self.components_ is None else self.components_.project(own)

    def missing(self) -> dict[str, float]:
        """What a missing value counts as, by numeric feature in original units."""
        own = (feature for feature in self._own if isinstance(feature, PreparedFeature))
        return {feature.name: feature.inverse_transform(feature.missing) for feature in own}

    def to_dict(self) -> dict[str, Any]:
        """The preparation as JSON-able data."""
        features = [columns.to_dict(feature) for feature in self._own]
        data: dict[str, Any] = {"features": features, "dropped": dict(self.dropped_)}
        return data if self.components_ is None else {**data, "components": self.components_.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PreparationModel":
        """The preparation that `to_dict` made data of; raises TypeError, KeyError or ValueError where it is none."""
        unknown = data.keys() - {"features", "dropped", "components"}
        if unknown:
            raise ValueError(f"a preparation has no {', '.join(sorted(unknown))}")
        own = tuple(columns.from_dict(feature) for feature in data["features"])
        dropped = {str(name): str(reason) for name, reason in data["dropped"].items()}
        if data.get("components") is None:
            return cls(own, dropped)
        components = PCA.from_dict(data["components"])
        return cls(components.projected(own), dropped, components)

    @property
    def _own(self) -> list[OwnFeature]:
        return [feature.own if isinstance(feature, PCAFeature) else feature for feature in self.features_]

    def _columns(self) -> list[str]:
        named = zip(self.features_, self.outputs, strict=True)
        return [f"{feature.sql} AS {sql.column(name)}" for feature, name in named]


def identity_preparation(names: Iterable[str]) -> PreparationModel:
    """The preparation that changes nothing but counts a missing value as 0."""
    return PreparationModel(tuple(PreparedFeature(name, False, 0.0, 1.0, 1.0) for name in names), {})


def coordinate_names(preparation: PreparationModel) -> list[str]:
    """Working names for the columns that hold the prepared features, whatever the features are called."""
    return [f"_x{j}" for j in range(len(preparation.features_))]


def prepared_name(name: str) -> str:
    """The column that holds a feature's prepared values."""
    return f"z_{name}"
