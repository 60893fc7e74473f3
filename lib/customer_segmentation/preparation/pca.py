"""Principal components of prepared features: the directions that most of their variance lies in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from customer_segmentation.preparation.columns import OwnFeature, PCAFeature
from customer_segmentation.preparation.rounding import rounded


@dataclass(frozen=True)
class PCA:
    """The principal components that are kept of prepared features.

    means: (d,) of the prepared features.
    axes: (p, d) orthonormal rows, the one with most variance first; the largest entry of each is positive.
    variances: (d,) along all axes, kept or not, in falling order.
    """

    means: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    def __post_init__(self) -> None:
        d = len(self.means)
        if self.means.shape != (d,) or self.variances.shape != (d,) or self.axes.ndim != 2 or self.axes.shape[1] != d:
            raise ValueError(f"components of {d} features need {d} means, {d} variances and axes of {d} entries")
        if not all(np.isfinite(values).all() for values in (self.means, self.axes, self.variances)):
            raise ValueError("components must be finite")
        if not np.allclose(self.axes @ self.axes.T, np.eye(len(self.axes)), atol=1e-6):
            raise ValueError("the axes of components must be orthonormal")

    @classmethod
    def fit(cls, means: np.ndarray, covariance: np.ndarray, *, variance: float) -> "PCA":
        """The fewest components that have this share of the variance.

        Args:
            means: (d,) of the prepared features.
            covariance: (d, d) of the prepared features.
            variance: above 0, up to 1.
        """
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = np.maximum(values[::-1], 0.0), vectors.T[::-1]
        share = np.cumsum(values) / max(values.sum(), 1e-300)
        kept = min(int(np.searchsorted(share, variance - 1e-9)) + 1, len(values))
        axes = vectors[:kept]
        largest = np.abs(axes).argmax(axis=1)
        axes = axes * np.sign(axes[np.arange(kept), largest])[:, None]
        return cls(rounded(means), rounded(axes), rounded(values))

    def scores(self, prepared: np.ndarray) -> np.ndarray:
        """(n, p) scores of prepared points (n, d): as far from each other, in fewer dimensions."""
        scores: np.ndarray = (prepared - self.means) @ self.axes.T
        return scores

    def project(self, prepared: np.ndarray) -> np.ndarray:
        """Prepared points (n, d) moved to where the kept components place them, in the features' own axes."""
        projected: np.ndarray = self.means + self.scores(prepared) @ self.axes
        return projected

    def projected(self, own: Sequence[OwnFeature]) -> tuple[PCAFeature, ...]:
        """The features projected on the components: their scores, turned back to the features' axes."""
        if len(own) != len(self.means):
            raise ValueError(f"components of {len(self.means)} features can't be those of {len(own)}")
        projections = rounded(self.axes.T @ self.axes)
        covariance = self.axes.T * self.variances[: len(self.axes)] @ self.axes
        spreads = rounded(np.sqrt(np.maximum(np.diag(covariance), 0.0)))
        return tuple(
            PCAFeature(feature, tuple(own), tuple(self.means.tolist()), tuple(projection.tolist()), float(spread))
            for feature, projection, spread in zip(own, projections, spreads, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """The components as JSON-able data."""
        return {"means": self.means.tolist(), "axes": self.axes.tolist(), "variances": self.variances.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PCA":
        """The components that `to_dict` made data of; raises TypeError, KeyError or ValueError where they are none."""
        means, axes, variances = (np.array(data[name], dtype=float) for name in ("means", "axes", "variances"))
        return cls(means, axes, variances)
