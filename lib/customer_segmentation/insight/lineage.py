"""Lineage: what became of each segment when a model was trained after another.

Shares are of today's customers, whom both models assign, without newcomers (see `clustering.matching`), so that a group
of these is born, not split off. An earlier and a later segment belong together where most of the one are in the other,
and they are a considerable part of it:

split: most customers of a later segment were in the earlier one, at least `MIN_PART` of the earlier one's customers are
    in it, and there are several such segments, which together have most of the earlier one's customers. One of them
    may have kept the id.
merged: the reverse: most customers of an earlier segment are in the later one, of whose customers they are at least
    `MIN_PART`, and there are several such segments, which together make up most of the later one.
kept: the later segment has the earlier one's id (see `clustering.matching`), and is not of several.
born: a later segment that is none of these: its customers come from many, or were few in another.
ended: an earlier segment that is none of these: its customers went to many.

The idea of telling survival, split and absorption apart by overlap is that of MONIC (Spiliopoulou et al. 2006).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from customer_segmentation.clustering.matching import Overlap

MAJORITY = 0.5
MIN_PART = 0.2
KEPT, SPLIT, MERGED, BORN, ENDED = EVENTS = ("kept", "split", "merged", "born", "ended")


def lineage(shared: Overlap) -> list[dict[str, Any]]:
    """The lineage of all segments: rows of `segment_lineage` without the model.

    Args:
        shared: of the two models, the later one with its final ids: those that both have were kept.

    Returns:
        By segment and previous segment: segment_id, None for one that ended; previous_segment_id, None for one that was
        born; the event; the customers that are in both, or in the segment that was born or ended.
    """
    counts = shared.counts
    before, after = (np.maximum(counts.sum(axis=axis), 1) for axis in (1, 0))
    split = _parted(counts, before, after)[:-1, :-1]
    merged = _parted(counts.T, after, before).T[:-1, :-1]
    kept = np.equal.outer(shared.previous_ids, shared.ids)
    links = split | merged | kept
    rows = [
        _row(shared.ids[j], shared.previous_ids[i], SPLIT if split[i, j] else MERGED if merged[i, j] else KEPT, n)
        for i, j in np.argwhere(links)
        for n in [counts[i, j]]
    ]
    born, ended = np.flatnonzero(~links.any(axis=0)), np.flatnonzero(~links.any(axis=1))
    rows += [_row(shared.ids[j], None, BORN, counts[:, j].sum() + shared.newcomers[j]) for j in born]
    rows += [_row(None, shared.previous_ids[i], ENDED, counts[i].sum()) for i in ended]
    return sorted(rows, key=lambda row: [row[name] or 0 for name in ("segment_id", "previous_segment_id")])


def first_lineage(sizes: dict[int, int]) -> list[dict[str, Any]]:
    """The lineage of a first model: all of its segments are born.

    Args:
        sizes: customers by segment id.
    """
    return [_row(segment, None, BORN, customers) for segment, customers in sorted(sizes.items())]


def describe_lineage(rows: Sequence[Mapping[str, Any]]) -> str:
    """The events in words, such as "4 kept, 1 split, 1 new": of the earlier model, and those that are new."""
    earlier = {event: {row["previous_segment_id"] for row in rows if row["event"] == event} for event in EVENTS}
    counts = {event: len(ids) for event, ids in earlier.items()} | {BORN: sum(row["event"] == BORN for row in rows)}
    words = {KEPT: "kept", SPLIT: "split", MERGED: "merged", BORN: "new", ENDED: "gone"}
    return ", ".join(f"{n} {words[event]}" for event, n in counts.items() if n)


def _parted(counts: np.ndarray, whole: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Which columns are parts of which row: mostly of it, a considerable part of it, several, and together most."""
    shares = counts / whole[:, None]
    parts = (counts / part > MAJORITY) & (shares >= MIN_PART)
    parts[-1], parts[:, -1] = False, False  # who is in no segment is no part of one
    several = (parts.sum(axis=1) > 1) & (np.where(parts, shares, 0.0).sum(axis=1) > MAJORITY)
    found: np.ndarray = parts & several[:, None]
    return found


def _row(segment: int | None, previous: int | None, event: str, customers: float) -> dict[str, Any]:
    return {
        "segment_id": segment,
        "previous_segment_id": previous,
        "event": event,
        "customers": int(customers),
    }
