"""The estimator of a preparation: what is asked for, validated before any job runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Literal

from pyspark.sql import DataFrame

from customer_segmentation.config.arguments import MAX_SEED
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import frames, learning
from customer_segmentation.preparation.estimator import Estimator, also_of_the_class
from customer_segmentation.preparation.model import PreparationModel

TRANSFORMS = ("none", "log", "yeo_johnson")
"""What can be done about the skew of a feature."""


@dataclass(repr=False, eq=False)
class Preparation(Estimator):
    """Prepares features for distances: transforms, scales and weighs numbers, encodes attributes, keeps components.

    Args:
        columns: numeric features to prepare.
        skewed: the transform. One name for all columns: "log" (the signed logarithm sign(x) ln(1 + |x|)),
            "yeo_johnson" (Yeo and Johnson 2000, its lambda the likeliest on a sample) or "none"; or a list of columns
            to take the logarithm of; or a dictionary of transforms by column.
        scaling: robust: median and interquartile range, as far as that is 0.84 to 1.19 times what it is in a normal
            distribution with the same standard deviation, else the nearer end of this range, so that a feature that
            is mostly zero or has a heavy tail has at most twice the variance of another; standard: mean and standard
            deviation.
        winsorise: the quantiles that lower and higher values are moved to, such as (0.01, 0.99).
        attributes: columns of texts to encode one-hot: the most frequent values, the others together.
        categories: most columns that an attribute becomes, the others' included; at least 2.
        weights: by feature or attribute, above 0: what the prepared values are multiplied by.
        variance: share of the variance, above 0 to 1, that the principal components kept have at least; None:
            no components.
        seed: of the sample for Yeo-Johnson.

    Example:
        >>> from customer_segmentation.preparation import Preparation
        >>> features = spark.createDataFrame([(1.0, 7), (9.0, 7), (99.0, 7)], "monetary double, frequency int")
        >>> preparation = Preparation(columns=["monetary", "frequency"], skewed="log").fit(features)
        >>> preparation.names, preparation.dropped_
        (['monetary'], {'frequency': 'has the same value for every customer'})
        >>> [round(row.z_monetary, 3) for row in preparation.transform(features).collect()]
        [-0.823, 0.0, 1.177]
    """

    columns: Sequence[str]
    _: KW_ONLY
    skewed: str | Iterable[str] | Mapping[str, str] = "none"
    scaling: Literal["robust", "standard"] = "robust"
    winsorise: tuple[float, float] | None = None
    attributes: Sequence[str] = ()
    categories: int = 10
    weights: Mapping[str, float] | None = None
    variance: float | None = None
    seed: int = 0

    @also_of_the_class
    def fit(self, frame: DataFrame) -> PreparationModel:
        """Learn all numbers from all rows, whatever their order. Runs two aggregations, a few more for what is asked.

        Args:
            frame: a row per customer.

        Returns:
            The preparation's model. Features without values, with one value only, and features that are a straight
            line of another one once prepared (|correlation| = 1), are left out: `dropped_` says why. NaN is a missing
            value, as null is.

        Raises:
            ConfigurationError: a parameter is out of range, or a column is not there.
            DataRejectedError: there are no customers; a feature is no number, or has values that are infinite or beyond
                1e100; a name stands for several columns.
        """
        self._validate()
        own, dropped, components = learning.learn(frame, self)
        return PreparationModel(own if components is None else components.projected(own), dropped, components)

    @property
    def transforms(self) -> dict[str, str]:
        """The transform of each column, one of `TRANSFORMS`."""
        if isinstance(self.skewed, str):
            return dict.fromkeys(self.columns, self.skewed)
        skewed = self.skewed if isinstance(self.skewed, Mapping) else dict.fromkeys(self.skewed, "log")
        return {**dict.fromkeys(self.columns, "none"), **skewed}

    def weight(self, name: str) -> float:
        """What the prepared values of a feature or attribute are multiplied by."""
        return (self.weights or {}).get(name, 1.0)

    def _validate(self) -> None:
        frames.require_names(learning.CALLER, self.columns)
        frames.require_names(learning.CALLER, self.attributes, kind="attributes")
        if not isinstance(self.skewed, Iterable) or not all(isinstance(name, str) for name in self.skewed):
            raise self._error("skewed", "a transform, a list of columns or a dictionary of transforms", self.skewed)
        unknown = sorted(self.transforms.keys() - set(self.columns))
        if unknown:
            raise ConfigurationError(
                f"skewed has {', '.join(unknown)}, which is not among the columns {', '.join(self.columns)}"
            )
        for name, transform in self.transforms.items():
            if transform not in TRANSFORMS:
                raise self._error(f"skewed: {name}", f"one of {', '.join(TRANSFORMS)}", transform)
        if self.scaling not in ("robust", "standard"):
            raise self._error("scaling", "robust or standard", self.scaling)
        if self.winsorise is not None and not _are_rising_quantiles(self.winsorise):
            raise self._error("winsorise", "two rising quantiles from 0 to 1", self.winsorise)
        self._require_whole("categories", minimum=2)
        self._require_whole("seed", minimum=0, maximum=MAX_SEED)
        if self.variance is not None and not (isinstance(self.variance, Real) and 0 < float(self.variance) <= 1):
            raise self._error("variance", "above 0, up to 1", self.variance)
        prepared = {*self.columns, *self.attributes}
        if not isinstance(self.weights, Mapping | None):
            raise self._error("weights", "a dictionary of numbers by feature", self.weights)
        for name, weight in (self.weights or {}).items():
            if name not in prepared:
                raise ConfigurationError(
                    f"weights has {name!r}, which is not prepared; known: {', '.join(sorted(prepared))}"
                )
            if not (isinstance(weight, Real) and 0 < float(weight) < float("inf")):
                raise self._error(f"weights.{name}", "a number above 0", weight)


def _are_rising_quantiles(given: object) -> bool:
    """Whether these are two numbers from 0 to 1, the second one larger."""
    if not isinstance(given, Sequence) or len(given) != 2 or not all(isinstance(value, Real) for value in given):
        return False
    low, high = map(float, given)
    return 0 <= low < high <= 1
