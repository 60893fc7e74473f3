"""What every estimator of a segmentation has in common."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pyspark.sql import DataFrame

from customer_segmentation.clustering.estimator.points import Points, points_of
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.preparation import Preparation, PreparationModel
from customer_segmentation.preparation.estimator import Estimator

Model = TypeVar("Model", bound=SegmentationModel)


class SegmentationEstimator(Estimator, ABC, Generic[Model]):
    """Finds segments: a constructor that only stores, and `fit`, which validates and returns a model.

    algorithm: the name of the algorithm, in settings and in saved models.
    """

    algorithm: ClassVar[str]

    def fit(
        self,
        features: DataFrame,
        *,
        columns: list[str] | None = None,
        preparation: PreparationModel | Preparation | None = None,
    ) -> Model:
        """Find the segments of customers.

        Args:
            features: a row per customer, with `customer_id` to order the rows by where there is one.
            columns: numeric columns to cluster on as they are; a missing value or NaN counts as 0.
            preparation: instead of columns, prepares the features first; one that is not fitted yet is fitted here.

        Returns:
            The model: plain data that assigns customers to segments, which are numbered from 1.

        Raises:
            ConfigurationError: a parameter is out of range, neither or both of columns and preparation are given, or
                one of the columns is not there.
            DataRejectedError: the customers can't make the segments asked for, have several rows each or no id, or the
                columns are no numbers or have values that can't be measured.
        """
        self._validate()
        if isinstance(preparation, Preparation):
            preparation = preparation.fit(features)
        caller = f"{type(self).__name__}.fit"
        return self._fit(points_of(features, columns=columns, preparation=preparation, caller=caller))

    @abstractmethod
    def _validate(self) -> None:
        """Reject parameters out of range, with a ConfigurationError."""

    @abstractmethod
    def _fit(self, points: Points) -> Model:
        """The model of prepared, validated customers."""
