"""What every estimator of a segmentation has in common."""

from abc import ABC, abstractmethod
from numbers import Real
from typing import ClassVar, Generic, TypeVar

from pyspark.sql import DataFrame

from customer_segmentation.clustering.calibrating import SAMPLE_SIZE, calibrated
from customer_segmentation.clustering.estimator.points import Points, points_of, sample_of
from customer_segmentation.clustering.model.base import SegmentationModel
from customer_segmentation.config.arguments import MAX_SEED
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import Preparation, PreparationModel
from customer_segmentation.preparation.estimator import Estimator

Model = TypeVar("Model", bound=SegmentationModel)

MAX_OUTLIER_SHARE = 0.2


def fitted_preparation(given: object, features: DataFrame, caller: str) -> PreparationModel:
    """A preparation as a caller gives it: fitted here where it is not yet.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(given, Preparation):
        return given.fit(features)
    if not isinstance(given, PreparationModel):
        raise ConfigurationError(
            f"{caller}: preparation must be a Preparation, such as Preparation(columns=[...]); found {given!r:.60}"
        )
    return given


def restart_seeds(seed: int, count: int) -> list[int]:
    """The seeds of so many restarts: this one and those after it."""
    return [(seed + number) % (MAX_SEED + 1) for number in range(count)]


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
        if "seed" in self.get_params():
            self._require_whole("seed", minimum=0, maximum=MAX_SEED)
        caller = f"{type(self).__name__}.fit"
        preparation = None if preparation is None else fitted_preparation(preparation, features, caller)
        points = points_of(features, columns=columns, preparation=preparation, caller=caller)
        return self._calibrated(self._fit(points), points)

    @abstractmethod
    def _validate(self) -> None:
        """Reject parameters out of range, with a ConfigurationError."""

    def _validate_calibration(self) -> None:
        self._require_whole("bootstraps", minimum=0)
        share = self.get_params()["outlier_share"]
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= MAX_OUTLIER_SHARE:
            raise self._error("outlier_share", f"a number from 0 to {MAX_OUTLIER_SHARE}", share)

    def _calibrated(self, model: Model, points: Points) -> Model:
        """The model with a calibration by a sample of the customers, the same one whatever the partitions."""
        params = self.get_params()
        asked = {name: params[name] for name in ("bootstraps", "outlier_share") if name in params}
        seed = params.get("seed", 0)
        if asked.get("bootstraps") == 0:
            return model
        return calibrated(model, sample_of(points, size=SAMPLE_SIZE, seed=seed), seed=seed, **asked)

    @abstractmethod
    def _fit(self, points: Points) -> Model:
        """The model of prepared, validated customers."""
