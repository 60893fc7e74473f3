"""Partitions space into regions that are clustered apart, and merges what was clustered in them.

A region is a product of half-open intervals; together the regions are the whole space, and each point is at home in
one. A region is clustered with its points and a halo of all points within 2 eps. Then everything within eps of the
region has its true neighbourhood, so core points there are exact, and so is every pair of them of which one is at home
in the region. Core points that lie within eps of several regions say which of their components are the same. The
result is that of all points at once, wherever the cuts are.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from customer_segmentation.clustering.dbscan.distances import SLACK
from customer_segmentation.clustering.dbscan.merging import merge_labels

MAX_REGIONS = 4096
MAX_HALF_SHARE = 0.7
"""A region is cut when the larger of its halves has at most this share of its points, halos counted."""

_WINDOWS = np.linspace(0.25, 0.75, 11)
"""Between these shares of a region's own points it may be cut, at the widest gap of each."""


@dataclass(frozen=True)
class SpacePartition:
    """A partition of space into regions, by a tree of cuts.

    Node i parts its points by coordinate `axis[i]`: those below `cut[i]` go to `below[i]`, the others to `above[i]`. A
    child that is not negative is a node, -1 - r is region r. Without nodes there is one region, 0.
    """

    axis: tuple[int, ...] = ()
    cut: tuple[float, ...] = ()
    below: tuple[int, ...] = ()
    above: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.axis)
        if not len(self.cut) == len(self.below) == len(self.above) == n or not np.isfinite(self.cut).all():
            raise ValueError("regions need an axis, a finite cut and two children at each node")
        reached = sorted(self.below + self.above)
        if n and reached != [*range(-1 - n, 0), *range(1, n)]:
            raise ValueError("regions must be a tree")
        if any(0 <= child <= i for i, pair in enumerate(zip(self.below, self.above, strict=True)) for child in pair):
            raise ValueError("regions must be numbered from the top")

    @property
    def count(self) -> int:
        """Number of regions."""
        return len(self.axis) + 1

    def regions_within(self, points: np.ndarray, halo: float) -> tuple[np.ndarray, np.ndarray]:
        """The regions within `halo` of the points along each coordinate: positions of points, and a region for each.

        With a halo of 0, each point and its own region.
        """
        leaves: list[tuple[np.ndarray, int]] = []
        stack = [(0 if self.axis else -1, np.arange(len(points)))]
        while stack:
            node, at = stack.pop()
            if node < 0:
                leaves.append((at, -1 - node))
                continue
            beyond = points[at, self.axis[node]] - self.cut[node]
            stack.append((self.below[node], at[(beyond < 0) | (beyond < halo)]))
            stack.append((self.above[node], at[-beyond <= halo]))
        rows = np.concatenate([at for at, _ in leaves])
        return rows, np.repeat([region for _, region in leaves], [len(at) for at, _ in leaves])

    def region_of(self, points: np.ndarray) -> np.ndarray:
        """The region of each point."""
        rows, regions = self.regions_within(points, 0.0)
        home = np.empty(len(points), dtype=np.int64)
        home[rows] = regions
        return home

    def to_dict(self) -> dict[str, Any]:
        """The partition as JSON-able data."""
        return {"axis": list(self.axis), "cut": list(self.cut), "below": list(self.below), "above": list(self.above)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SpacePartition":
        """The partition that `to_dict` made data of; raises TypeError, KeyError or ValueError where it is none."""
        nodes = {key: tuple(int(value) for value in data[key]) for key in ("axis", "below", "above")}
        return cls(cut=tuple(float(value) for value in data["cut"]), **nodes)

    @classmethod
    def cut_evenly(cls, sample: np.ndarray, *, halo: float, max_points: float) -> "SpacePartition":
        """Regions with at most `max_points` of the sample's points, halos counted, as far as cuts can do that.

        The region with most points is cut first, where the larger half has fewest points: through gaps rather than
        through dense places.
        """
        nodes: list[tuple[int, float, int, int]] = []
        parents: list[tuple[int, bool]] = []  # by region: the node above it, and on which side
        members = [np.arange(len(sample))]
        own = [np.arange(len(sample))]
        uncut: set[int] = set()
        parents.append((-1, True))
        while len(members) < MAX_REGIONS:
            large = [i for i, points in enumerate(members) if i not in uncut and len(points) > max_points]
            if not large:
                break
            region = max(large, key=lambda i: (len(members[i]), -i))
            best = _best_cut(sample[own[region]], sample[members[region]], halo)
            if best is None:
                uncut.add(region)
                continue
            axis, cut = best
            parent, is_below = parents[region]
            if parent >= 0:
                i, value, below, above = nodes[parent]
                nodes[parent] = (i, value, len(nodes), above) if is_below else (i, value, below, len(nodes))
            new = len(members)
            parents[region] = (len(nodes), True)
            parents.append((len(nodes), False))
            nodes.append((axis, cut, -1 - region, -1 - new))
            beyond_members = sample[members[region], axis] - cut
            beyond_own = sample[own[region], axis] - cut
            members.append(members[region][-beyond_members <= halo])
            own.append(own[region][beyond_own >= 0])
            members[region] = members[region][beyond_members < halo]
            own[region] = own[region][beyond_own < 0]
        if not nodes:
            return cls()
        return cls(*zip(*nodes, strict=True))


def _best_cut(own: np.ndarray, members: np.ndarray, halo: float) -> tuple[int, float] | None:
    """The cut whose larger half has fewest points; None where no cut is worth it."""
    if len(own) < 2:
        return None
    tried = []
    for axis in range(own.shape[1]):
        along, lying = np.sort(own[:, axis]), np.sort(members[:, axis])
        gaps = np.diff(along)
        ends = (_WINDOWS * len(gaps)).astype(int)
        for first, last in itertools.pairwise(ends.tolist()):
            at = first + int(np.argmax(gaps[first : max(last, first + 1)]))
            if gaps[at] == 0:
                continue
            middle = along[at] + gaps[at] / 2
            value = float(middle if along[at] < middle else along[at + 1])
            below = int(np.searchsorted(lying, value + halo))
            above = len(lying) - int(np.searchsorted(lying, value - halo))
            tried.append((max(below, above), below + above, axis, value))
    if not tried or min(tried)[0] > MAX_HALF_SHARE * len(members):
        return None
    return min(tried)[2:]


def clustering_halo(eps: float) -> float:
    """How far around a region points are needed."""
    return 2 * eps * (1 + SLACK)


def shared_halo(eps: float) -> float:
    """How far around a region core points say which components of different regions are the same."""
    return eps * (1 + SLACK)


def routed(
    regions: SpacePartition, points: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which point goes to which region.

    Returns:
        Positions of points, by it the region, whether the point is at home there, and whether it lies within eps of
        several regions.
    """
    rows, region = regions.regions_within(points, clustering_halo(eps))
    regions_near = np.bincount(regions.regions_within(points, shared_halo(eps))[0], minlength=len(points))
    return rows, region, regions.region_of(points)[rows] == region, regions_near[rows] > 1


def component_roots(components: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """For each component a number that those connected by the pairs share.

    Args:
        components: all there are, sorted.
        pairs: two rows of components.
    """
    return merge_labels(np.arange(len(components)), np.searchsorted(components, pairs), len(components))
