"""Cuts space into boxes that are clustered apart, and makes one of what they found.

A box is a product of half-open intervals; together the boxes are the whole space, and each point is at home in one. A
box is clustered with its points and a halo of all points within 2 eps. Then everything within eps of the box has its
true neighbourhood, so core points there are told exactly, and so is every pair of them of which one is at home in the
box. Core points that several boxes see within eps tell which of their components are one. The result is that of all
points at once, wherever the cuts are.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from customer_segmentation.clustering.dbscan.distances import SLACK
from customer_segmentation.clustering.dbscan.kernel import Clusters, clusters, places

MOST_BOXES = 4096
WORTH = 0.7
"""A box is cut when the larger of its halves has at most this part of its points, halos counted."""

_WINDOWS = np.linspace(0.25, 0.75, 11)
"""Between these parts of a box's own points it may be cut, at the widest gap of each."""


@dataclass(frozen=True)
class Boxes:
    """A tree of cuts.

    Node i parts its points by coordinate `axis[i]`: those below `cut[i]` go to `below[i]`, the others to `above[i]`. A
    child that is not negative is a node, -1 - b is box b. Without nodes there is one box, 0.
    """

    axis: tuple[int, ...] = ()
    cut: tuple[float, ...] = ()
    below: tuple[int, ...] = ()
    above: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.axis)
        if not len(self.cut) == len(self.below) == len(self.above) == n or not np.isfinite(self.cut).all():
            raise ValueError("boxes need an axis, a finite cut and two children at each node")
        reached = sorted(self.below + self.above)
        if n and reached != [*range(-1 - n, 0), *range(1, n)]:
            raise ValueError("boxes must be a tree")
        if any(0 <= child <= i for i, pair in enumerate(zip(self.below, self.above, strict=True)) for child in pair):
            raise ValueError("boxes must be numbered from the top")

    @property
    def count(self) -> int:
        """Number of boxes."""
        return len(self.axis) + 1

    def reached(self, points: np.ndarray, halo: float) -> tuple[np.ndarray, np.ndarray]:
        """The boxes within `halo` of the points along each coordinate: positions of points, and a box for each.

        With a halo of 0, each point and its home.
        """
        found: list[tuple[np.ndarray, int]] = []
        stack = [(0 if self.axis else -1, np.arange(len(points)))]
        while stack:
            node, at = stack.pop()
            if node < 0:
                found.append((at, -1 - node))
                continue
            beyond = points[at, self.axis[node]] - self.cut[node]
            stack.append((self.below[node], at[(beyond < 0) | (beyond < halo)]))
            stack.append((self.above[node], at[-beyond <= halo]))
        rows = np.concatenate([at for at, _ in found])
        return rows, np.repeat([box for _, box in found], [len(at) for at, _ in found])

    def homes(self, points: np.ndarray) -> np.ndarray:
        """The box of each point."""
        rows, boxes = self.reached(points, 0.0)
        home = np.empty(len(points), dtype=np.int64)
        home[rows] = boxes
        return home

    def to_dict(self) -> dict[str, Any]:
        """The boxes as JSON-able data."""
        return {"axis": list(self.axis), "cut": list(self.cut), "below": list(self.below), "above": list(self.above)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Boxes":
        """The boxes that `to_dict` told; raises TypeError, KeyError or ValueError where they are none."""
        whole = {key: tuple(int(value) for value in data[key]) for key in ("axis", "below", "above")}
        return cls(cut=tuple(float(value) for value in data["cut"]), **whole)

    @classmethod
    def cut_evenly(cls, sample: np.ndarray, *, halo: float, most: float) -> "Boxes":
        """Boxes with at most `most` of the sample's points, halos counted, as far as cuts can do that.

        The box with most points is cut first, where the larger half has fewest points: through gaps rather than
        through crowds.
        """
        nodes: list[tuple[int, float, int, int]] = []
        parents: list[tuple[int, bool]] = []  # by box: the node above it, and on which side
        crowds = [np.arange(len(sample))]
        homes = [np.arange(len(sample))]
        whole: set[int] = set()
        parents.append((-1, True))
        while len(crowds) < MOST_BOXES:
            open_ = [b for b in range(len(crowds)) if b not in whole and len(crowds[b]) > most]
            if not open_:
                break
            b = max(open_, key=lambda b: (len(crowds[b]), -b))
            best = _best_cut(sample[homes[b]], sample[crowds[b]], halo)
            if best is None:
                whole.add(b)
                continue
            axis, cut = best
            parent, is_below = parents[b]
            if parent >= 0:
                i, value, below, above = nodes[parent]
                nodes[parent] = (i, value, len(nodes), above) if is_below else (i, value, below, len(nodes))
            new = len(crowds)
            parents[b] = (len(nodes), True)
            parents.append((len(nodes), False))
            nodes.append((axis, cut, -1 - b, -1 - new))
            beyond_crowd = sample[crowds[b], axis] - cut
            beyond_home = sample[homes[b], axis] - cut
            crowds.append(crowds[b][-beyond_crowd <= halo])
            homes.append(homes[b][beyond_home >= 0])
            crowds[b] = crowds[b][beyond_crowd < halo]
            homes[b] = homes[b][beyond_home < 0]
        if not nodes:
            return cls()
        return cls(*zip(*nodes, strict=True))


def _best_cut(home: np.ndarray, crowd: np.ndarray, halo: float) -> tuple[int, float] | None:
    """The cut whose larger half has fewest points; None where no cut is worth it."""
    if len(home) < 2:
        return None
    tried = []
    for axis in range(home.shape[1]):
        along, lying = np.sort(home[:, axis]), np.sort(crowd[:, axis])
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
    if not tried or min(tried)[0] > WORTH * len(crowd):
        return None
    return min(tried)[2:]


def crowd_halo(eps: float) -> float:
    """How far around a box points are needed."""
    return 2 * eps * (1 + SLACK)


def shared_halo(eps: float) -> float:
    """How far around a box core points tell which components of different boxes are one."""
    return eps * (1 + SLACK)


def routed(boxes: Boxes, points: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which point goes to which box.

    Returns:
        Positions of points, by it the box, whether the point is at home there, and whether several boxes see it
        within eps.
    """
    rows, box = boxes.reached(points, crowd_halo(eps))
    seen_by = np.bincount(boxes.reached(points, shared_halo(eps))[0], minlength=len(points))
    return rows, box, boxes.homes(points)[rows] == box, seen_by[rows] > 1


def united(components: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """For each component a number that those connected by the pairs share.

    Args:
        components: all there are, sorted.
        pairs: two rows of components.
    """
    ends = np.searchsorted(components, pairs)
    n = len(components)
    graph = coo_array((np.ones(ends.shape[1], dtype=np.int8), (ends[0], ends[1])), shape=(n, n))
    one: np.ndarray = connected_components(graph, directed=False)[1]
    return one


def clusters_by_box(
    boxes: Boxes, points: np.ndarray, *, weights: np.ndarray, order: np.ndarray, eps: float, min_samples: int
) -> Clusters:
    """The clusters of all points, found box by box: what the distributed fit does, in memory."""
    rows, box, home, shared = routed(boxes, points, eps)
    core = np.zeros(len(points), dtype=bool)
    labels = np.full(len(points), -1, dtype=np.int64)
    seen: list[np.ndarray] = []
    first = 0
    for b in np.unique(box):
        here = np.nonzero(box == b)[0]
        at = rows[here]
        found = clusters(points[at], weights=weights[at], order=order[at], eps=eps, min_samples=min_samples)
        numbered = np.where(found.labels >= 0, found.labels + first, -1)
        core[at[home[here]]], labels[at[home[here]]] = found.core[home[here]], numbered[home[here]]
        tells = found.core & shared[here]
        seen.append(np.stack([at[tells], numbered[tells]]))
        first += int(found.labels.max(initial=-1)) + 1
    point, component = np.concatenate(seen, axis=1)
    by_point = np.argsort(point, kind="stable")
    point, component = point[by_point], component[by_point]
    same = point[1:] == point[:-1]
    one = united(np.arange(first), np.stack([component[1:][same], component[:-1][same]]))
    labels[labels >= 0] = one[labels[labels >= 0]]
    least = np.full(first, np.iinfo(np.int64).max)
    np.minimum.at(least, labels[core], order[core])
    number = places(np.argsort(least))
    labels[labels >= 0] = number[labels[labels >= 0]]
    return Clusters(core, labels)
