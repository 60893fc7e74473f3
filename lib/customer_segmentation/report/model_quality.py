"""How far to trust the segments, in words: structure, quality, and how their number came about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from customer_segmentation.clustering.structure import STABLE
from customer_segmentation.display import formatting as w
from customer_segmentation.report.content import ReportContent, Row

STRUCTURES = ("no structure", "weak structure", "clear structure")
"""The words for `model_runs.quality.structure`, 0 to 2."""

_ALGORITHMS = {
    "kmeans": "k-means",
    "bisecting_kmeans": "bisecting k-means",
    "gaussian_mixture": "Gaussian mixture",
    "agglomerative": "Ward's hierarchy",
    "dbscan": "DBSCAN",
}

_CLEAR = "The customers form groups that stand apart, and that are found again when customers are drawn anew."
_BLURRED = "The customers form groups, but these pass into one another: one near a border could be in either."
_UNTESTED = "The customers form groups; how well these are found again could not be measured."
_NOT_FOUND_AGAIN = "There are groups, but other ones are found when customers are drawn anew: do not rest much on one."
_NONE = (
    "The customers form no groups: the segments are cuts through a continuum. They serve to address customers alike, "
    "but where they end is a choice."
)
_ONE = "All customers that are in a segment are in one: the customers form a single crowd, with nothing to tell apart."
_FIGURES = {"silhouette": "silhouette", "stability": "stability", "hopkins": "Hopkins statistic"}
"""What the word for the structure rests on."""

_QUALITY: dict[str, tuple[str, str]] = {
    "silhouette": ("Silhouette", "-1 to 1: how much nearer to the own segment than to the next"),
    "stability": ("Stability", "1: customers drawn anew are segmented alike; 0: as by chance"),
    "hopkins": ("Hopkins statistic", "0.5 spread evenly, 1 in clusters"),
    "smallest_share": ("Smallest segment", "share of the customers in segments"),
    "noise_share": ("Unclassified", "share of the customers in no segment"),
    "lost_variance": ("Variance not seen", "share within the groups that the hierarchy is built on"),
    "calinski_harabasz": ("Calinski-Harabasz index", "between by within segments, more is clearer"),
    "davies_bouldin": ("Davies-Bouldin index", "likeness of neighbouring segments, less is clearer"),
    "cost": ("Cost", "squared distances to the centres, in prepared units"),
}
"""Heading and how to read it, in the order of the page."""
_SHARES = {"smallest_share", "noise_share", "lost_variance"}


@dataclass(frozen=True)
class Structure:
    """Whether there are segments to be found: a grade from 0 to 2, its word, a sentence, and what it rests on."""

    grade: int
    word: str
    sentence: str
    figures: str


@dataclass(frozen=True)
class Quality:
    """A quality figure: its heading, its value, and how to read it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Tried:
    """A number of segments that was tried, with its figures in words."""

    k: int
    chosen: bool
    score: str
    silhouette: str
    stability: str
    smallest: str


def structure(content: ReportContent) -> Structure | None:
    """What the training found of structure; None where it did not say."""
    found = _quality(content)
    if not w.known(found.get("structure")):
        return None
    grade = int(found["structure"])
    stability = found.get("stability")
    if content.model["k"] == 1:
        sentence = _ONE
    elif grade == 2:
        sentence = _CLEAR
    elif grade == 0:
        sentence = _NONE
    elif stability is None or not w.known(stability):
        sentence = _UNTESTED
    else:
        sentence = _BLURRED if stability >= STABLE else _NOT_FOUND_AGAIN
    told = (f"{words} {found[name]:.2f}" for name, words in _FIGURES.items() if w.known(found.get(name)))
    return Structure(grade, STRUCTURES[grade], sentence, ", ".join(told))


def algorithm(content: ReportContent) -> str:
    """What the algorithm is called."""
    name = content.model["algorithm"]
    return _ALGORITHMS.get(name) or w.plain(name)


def quality(content: ReportContent) -> list[Quality]:
    """The model's quality figures, those without a heading of their own last."""
    found = {name: value for name, value in _quality(content).items() if name != "structure"}
    order = [name for name in _QUALITY if name in found] + sorted(set(found) - set(_QUALITY))
    return [
        Quality(heading, w.share(found[name]) if name in _SHARES else w.figure(found[name]), note)
        for name in order
        for heading, note in (_heading(name),)
    ]


def search(content: ReportContent) -> str:
    """One sentence on how the number of segments came about."""
    ks = [row["k"] for row in candidates(content)]
    chosen = w.count(content.model["k"])
    if ks:
        return (
            f"{w.count(ks[0])} to {w.count(ks[-1])} segments were tried on a sample of the customers and judged on "
            f"all; {chosen} were chosen."
        )
    if content.model["algorithm"] != "dbscan":
        return f"The number of segments, {chosen}, was set and not searched for."
    settings = content.model.get("parameters") or {}
    eps, samples = settings.get("found_eps") or settings.get("eps"), settings.get("min_samples")
    if not eps or not samples:
        return f"The number of segments, {chosen}, follows from where customers are dense."
    how = "measured from the data" if "found_eps" in settings else "as set"
    return (
        f"The number of segments, {chosen}, follows from where customers are dense: {w.count(json.loads(samples))} or "
        f"more within eps {json.loads(eps):.3g}, {how}. Customers away from such places are in no segment."
    )


def candidates(content: ReportContent) -> list[Row]:
    """What was tried, fewest segments first."""
    return sorted(content.model["candidates"] or (), key=lambda row: row["k"])


def tried(content: ReportContent) -> list[Tried]:
    """What was tried, in words."""
    return [
        Tried(
            row["k"],
            row["k"] == content.model["k"],
            w.figure(row.get("score")),
            w.figure(row["silhouette"]),
            w.figure(row.get("stability")),
            w.share(row["smallest_share"]),
        )
        for row in candidates(content)
    ]


def best_scores(content: ReportContent, most: int) -> str:
    """The numbers of segments with the highest scores, the chosen one first; empty where nothing was tried."""
    scored = [row for row in candidates(content) if w.known(row.get("score"))]
    ranked = sorted(scored, key=lambda row: (row["k"] != content.model["k"], -row["score"], row["k"]))[:most]
    return ", ".join(
        f"{w.count(row['k'])} ({row['score']:.2f}{', chosen' if row['k'] == content.model['k'] else ''})"
        for row in ranked
    )


def _quality(content: ReportContent) -> Mapping[str, float]:
    return content.model["quality"] or {}


def _heading(name: str) -> tuple[str, str]:
    return _QUALITY.get(name) or (w.feature_name(name), "")
