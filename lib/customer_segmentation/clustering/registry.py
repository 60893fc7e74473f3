"""What the library knows of an algorithm, and the registry in which all else searches for algorithms.

A leaf of the package: the entries are in `algorithms`, which imports what they refer to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from customer_segmentation.clustering.estimator.base import SegmentationEstimator
    from customer_segmentation.clustering.fitting import FittedSegmentation, TrainingData
    from customer_segmentation.clustering.model.base import SegmentationModel
    from customer_segmentation.clustering.selection.choice import Choice
    from customer_segmentation.clustering.selection.coreset import Coreset
    from customer_segmentation.clustering.selection.metrics import ClusterMetrics, Partition
    from customer_segmentation.clustering.selection.stability import Stability
    from customer_segmentation.config.schema import Clustering


@dataclass(frozen=True)
class AlgorithmSpec:
    """One algorithm: how it is fitted, tried, trained, evaluated and read again.

    An algorithm needs an estimator, a model and its parameters; what else is None has a general answer.

    estimator: its class, whose `algorithm` is the name of the algorithm.
    model: the class of its fitted models, which reads them from JSON.
    parameters: the estimator's parameters but k and seed, from the settings of a training.
    needs_k: whether the number of segments is a parameter; otherwise it follows from the customers.
    by_mllib: whether Spark's MLlib fits it, where the session has one.
    by_rapids: whether Spark RAPIDS ML fits it, where that is asked for and installed.
    fit_coreset: segmentations of a coreset on the driver, for several k: (coreset, ks, n_init, seed). None: k can't be
        chosen, and stability can't be measured by fitting again.
    refit: what was chosen on the coreset, fitted to all customers: (data, choice, settings, seed). None: the estimator
        is fitted with the chosen k.
    follow: the incumbent's segments, changed as little as it takes to be nearly as good as an independent fit: (data,
        incumbent, independent fit of as many segments, settings), None where that can't be. None: they are no start.
    train: all of a training, where it is another than `fitting.train_estimator`: (data, settings, seed).
    evaluate: metrics of a model over all customers: (data, model). None: over the segments that it assigns.
    stability: how well the segments are recovered from bootstraps: (coreset, model, seed); None where it can't be
        measured. None: by `fit_coreset`.
    bootstraps: the segments that fits of bootstraps put the points of a coreset into, for a calibration: (coreset,
        model, number, seed). None: by `fit_coreset`, which has to take weights then.
    """

    estimator: type[SegmentationEstimator[Any]]
    model: type[SegmentationModel]
    parameters: Callable[[Clustering], dict[str, Any]]
    needs_k: bool = True
    by_mllib: bool = False
    by_rapids: bool = False
    fit_coreset: Callable[[Coreset, Sequence[int], int, int], list[Partition]] | None = None
    refit: Callable[[TrainingData, Choice, Clustering, int], SegmentationModel] | None = None
    follow: Callable[[TrainingData, Any, Any, Clustering], SegmentationModel | None] | None = None
    train: Callable[[TrainingData, Clustering, int], FittedSegmentation] | None = None
    evaluate: Callable[[TrainingData, Any], ClusterMetrics] | None = None
    stability: Callable[[Coreset, Any, int], Stability | None] | None = None
    bootstraps: Callable[[Coreset, Any, int, int], Iterable[np.ndarray]] | None = None

    @property
    def name(self) -> str:
        """The name of the algorithm, in settings and in saved models."""
        return self.estimator.algorithm

    def configured(self, settings: Clustering, *, k: int | None, seed: int) -> SegmentationEstimator[Any]:
        """The estimator with the parameters that the settings ask for."""
        params = {**self.parameters(settings), "seed": seed, **({"k": k} if self.needs_k else {})}
        return self.estimator(**params)


ALGORITHMS: dict[str, AlgorithmSpec] = {}
"""Every algorithm by name."""


def register(spec: AlgorithmSpec) -> None:
    """Make an algorithm known under its name."""
    ALGORITHMS[spec.name] = spec
