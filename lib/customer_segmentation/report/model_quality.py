"""Quality of the model in words: clusterability, stability, metrics, and how the number of segments was chosen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from customer_segmentation.clustering.selection.choice import is_stable
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.verdict import Verdict
from customer_segmentation.report.content import ReportContent, Row

CLUSTERABILITY = ("no structure", "weak structure", "clear structure")
"""The words for `model_runs.quality.structure`, 0 to 2."""

# Hennig (2007), Cluster-wise assessment of cluster stability: bounds of the mean Jaccard index.
UNSTABLE_BELOW = 0.60
DOUBTFUL_BELOW = 0.75
STABLE_UP_TO = 0.85
_STABILITY = ("not measured", "unstable", "doubtful", "stable", "highly stable")
"""The words of `stability`, from none to the best."""

_ALGORITHMS = {
    "kmeans": "k-means",
    "bisecting_kmeans": "bisecting k-means",
    "gaussian_mixture": "Gaussian mixture",
    "agglomerative": "Ward's hierarchy",
    "dbscan": "DBSCAN",
}

_CLEAR = "The customers form groups that stand apart, and that reappear when customers are resampled."
_BLURRED = "The customers form groups, but these pass into one another: one near a border could be in either."
_UNTESTED = "The customers form groups; how well these reappear could not be measured."
_UNSTABLE = "There are groups, but other ones are found when customers are resampled: do not rest much on one."
_NONE = (
    "The customers form no groups: the segments are cuts through a continuum. They help to treat similar customers "
    "alike; where one ends and the next begins is a choice."
)
_ONE_SEGMENT = (
    "All customers that are in a segment are in one, which tells none of them apart. Lower clustering.eps, raise "
    "clustering.min_samples, or choose another clustering.algorithm."
)
_BASIS = {
    "structure_p_value": "p-value",
    "separation": "separation",
    "agreement": "bootstrap agreement",
    "silhouette": "silhouette",
    "stability": "stability",
}
"""What the word for the clusterability rests on."""

_METRICS: dict[str, tuple[str, str]] = {
    "silhouette": ("Silhouette", "-1 to 1: how much nearer to the own segment than to the next"),
    "stability": ("Stability", "1: resampled customers are segmented alike; 0: as by chance"),
    "agreement": ("Bootstrap agreement", "1: two resamplings agree on every segment; of the one they agree on least"),
    "separation": ("Separation", "0: segments are cuts through a crowd; 1: empty space between them"),
    "structure_p_value": ("Clusterability p-value", "share of clouds without groups that are as compact"),
    "hopkins": ("Hopkins statistic", "0.5 spread evenly, 1 in clusters"),
    "smallest_share": ("Smallest segment", "share of the customers in segments"),
    "noise_share": ("Unclassified", "share of the customers in no segment"),
    "compression_loss": ("Compression loss", "share of the variance within the groups that the hierarchy is built on"),
    "calinski_harabasz": ("Calinski-Harabasz index", "between by within segments, more is clearer"),
    "davies_bouldin": ("Davies-Bouldin index", "likeness of neighbouring segments, less is clearer"),
    "cost": ("Cost", "squared distances to the centres, in prepared units"),
}
"""Heading and how to read it, in the order of the page."""
_SHARES = {"smallest_share", "noise_share", "compression_loss"}


@dataclass(frozen=True)
class Metric:
    """A metric: its heading, its value, and how to read it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Candidate:
    """A number of segments that was tried, with its metrics formatted."""

    segments: str
    chosen: bool
    tied: bool
    agreement: str
    separation: str
    silhouette: str
    smallest: str


def clusterability(content: ReportContent) -> Verdict | None:
    """Whether the customers form clusters at all; None where the training did not measure it."""
    metrics = _metrics(content)
    if not fmt.known(metrics.get("structure")):
        return None
    level = int(metrics["structure"])
    stability = metrics.get("stability")
    if content.model["k"] == 1:
        sentence = _ONE_SEGMENT
    elif level == 2:
        sentence = _CLEAR
    elif level == 0:
        sentence = _NONE
    elif stability is None or not fmt.known(stability):
        sentence = _UNTESTED
    else:
        found = is_stable(float(metrics.get("agreement") or stability), 0.0)
        sentence = _BLURRED if found else _UNSTABLE
    figures = (f"{name} {metrics[key]:.2f}" for key, name in _BASIS.items() if fmt.known(metrics.get(key)))
    return Verdict(CLUSTERABILITY[level], level + 1, len(CLUSTERABILITY), sentence, ", ".join(figures))


def stability(value: float | None) -> Verdict:
    """How far a segment reappears in refits, by Hennig's bounds on its mean Jaccard index, 0 to 1."""
    steps = len(_STABILITY) - 1
    if value is None or not fmt.known(value):
        return Verdict(_STABILITY[0], 0, steps)
    bounds = (value >= UNSTABLE_BELOW, value >= DOUBTFUL_BELOW, value > STABLE_UP_TO)
    reached = 1 + sum(bounds)
    return Verdict(_STABILITY[reached], reached, steps, figures=f"{value:.2f}")


def algorithm(content: ReportContent) -> str:
    """What the algorithm is called."""
    return algorithm_name(content.model["algorithm"])


def algorithm_name(algorithm: str) -> str:
    """What an algorithm is called, by its name in the settings."""
    return _ALGORITHMS.get(algorithm) or fmt.plain_text(algorithm)


def metrics(content: ReportContent) -> list[Metric]:
    """The model's metrics, those without a heading of their own last."""
    values = {name: value for name, value in _metrics(content).items() if name != "structure"}
    order = [name for name in _METRICS if name in values] + sorted(set(values) - set(_METRICS))
    return [
        Metric(heading, fmt.share(values[name]) if name in _SHARES else fmt.figure(values[name]), note)
        for name in order
        for heading, note in (_heading(name),)
    ]


def search(content: ReportContent) -> str:
    """One sentence on how the number of segments was chosen."""
    tried = candidates(content)
    chosen = fmt.count(content.model["k"])
    if tried:
        return (
            f"{fmt.count(tried[0]['k'])} to {fmt.count(tried[-1]['k'])} segments were tried on a sample of the "
            f"customers and evaluated on all; {chosen} were chosen{_reason(content)}."
        )
    if content.model["algorithm"] != "dbscan":
        return f"The number of segments, {chosen}, was set and not searched for."
    settings = content.model.get("parameters") or {}
    eps, samples = settings.get("auto_eps") or settings.get("eps"), settings.get("min_samples")
    if not eps or not samples:
        return f"The number of segments, {chosen}, follows from where customers are dense."
    how = "measured from the data" if "auto_eps" in settings else "as set"
    return (
        f"The number of segments, {chosen}, follows from where customers are dense: {fmt.count(json.loads(samples))} "
        f"or more within eps {json.loads(eps):.3g}, {how}. Customers away from such places are in no segment."
    )


def candidates(content: ReportContent) -> list[Row]:
    """The numbers of segments that were tried, fewest first."""
    return sorted(content.model["candidates"] or (), key=lambda row: row["k"])


def formatted_candidates(content: ReportContent) -> list[Candidate]:
    """The candidates with their metrics formatted."""
    algorithms = {row.get("algorithm") for row in candidates(content)}
    return [
        Candidate(
            fmt.count(row["k"]) + (f", {algorithm_name(row['algorithm'])}" if len(algorithms) > 1 else ""),
            _is_chosen(row, content),
            bool(row.get("tied")),
            fmt.figure(row.get("agreement")) + _give_or_take(row.get("agreement_error")),
            fmt.figure(row.get("separation")),
            fmt.figure(row["silhouette"]),
            fmt.share(row["smallest_share"]),
        )
        for row in candidates(content)
    ]


def _reason(content: ReportContent) -> str:
    """Why the chosen number of segments was; empty where the rule was another one, of an earlier release."""
    chosen = next((row for row in candidates(content) if _is_chosen(row, content)), None)
    if chosen is None or not fmt.known(chosen.get("agreement")):
        return ""
    if is_stable(chosen["agreement"], chosen.get("agreement_error") or 0.0):
        return ", all of which reappear when customers are resampled"
    return "; no number is stable when customers are resampled, so any is a choice"


def ties(content: ReportContent) -> str:
    """A sentence on the numbers of segments that would do as well as the chosen one; empty where there is none."""
    tied = sorted({row["k"] for row in candidates(content) if row.get("tied")} - {content.model["k"]})
    if not tied:
        return ""
    numbers = ", ".join(map(fmt.count, tied))
    chosen = next((row for row in candidates(content) if _is_chosen(row, content)), {})
    if not is_stable(chosen.get("agreement") or 0.0, chosen.get("agreement_error") or 0.0):
        return f"Other choices: {numbers}."
    return f"As good within one standard error: {numbers}."


def _is_chosen(row: Row, content: ReportContent) -> bool:
    return bool(row["k"] == content.model["k"] and row.get("algorithm") == content.model["algorithm"])


def _give_or_take(error: float | None) -> str:
    return f" ± {error:.2f}" if error is not None and fmt.known(error) else ""


def _metrics(content: ReportContent) -> Mapping[str, float]:
    return content.model["quality"] or {}


def _heading(name: str) -> tuple[str, str]:
    return _METRICS.get(name) or (fmt.feature_name(name), "")
