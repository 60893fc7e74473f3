"""What a backtest found, in words and figures: how well scores ranked customers by what they spent next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from customer_segmentation.backtest.outcomes import NET_SPEND
from customer_segmentation.backtest.scores import LEARNED, PAST_SPEND, SEGMENTS
from customer_segmentation.contract.columns import AS_OF_DATE, NOISE_ID, SEGMENT_ID
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display.terminal import as_text
from customer_segmentation.report.content import Row
from customer_segmentation.report.model_quality import algorithm_name

_TITLES = {
    PAST_SPEND: "Past spend",
    "recent_spend": "Recent spend",
    "frequency": "Orders so far",
    "rfm_cell": "RFM cell",
    "rfm_grid": "RFM segment",
    SEGMENTS: "Segment",
    "rank_in_segment": "Past spend within segments",
    "spend_then_segment": "Past spend, ties by segment",
    "lifetime_value": "Expected spend",
    LEARNED: "Learned score",
}
WORSE, BETTER, NO_DIFFERENCE = "worse than past spend", "better than past spend", "no clear difference"
_WORDS = {WORSE: "worse", BETTER: "better", NO_DIFFERENCE: "not clear"}


@dataclass(frozen=True)
class RankedScore:
    """A score with its mean figures over the dates of a horizon.

    gini, low, high: normalised Gini coefficient and its 95% interval.
    dates: how many the figures are means of.
    comparison: with past spend, in words: worse or better where the interval of the difference leaves out 0.
    gain, top_10, top_20, spearman, error_of_total: formatted; a dash where there is none.
    """

    name: str
    title: str
    gini: float
    low: float
    high: float
    dates: int
    comparison: str
    gain: str
    top_10: str
    top_20: str
    spearman: str
    error_of_total: str

    @property
    def figure(self) -> str:
        """The Gini coefficient with its interval."""
        return f"{self.gini:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class SegmentOutcome:
    """What customers of a segment did in the horizon after the last date; formatted, with 95% intervals."""

    title: str
    customers: str
    retention: str
    spend: str


def horizons(rows: Sequence[Row]) -> list[int]:
    """The horizons of a backtest, in days, ascending."""
    return sorted({row["horizon_days"] for row in rows})


def ranking(rows: Sequence[Row], horizon: int) -> list[RankedScore]:
    """The scores by how well they ranked customers by net spend in a horizon, the best first."""
    means: dict[str, dict[str, Row]] = {}
    dates: dict[str, int] = {}
    for row in rows:
        if row["horizon_days"] == horizon and row["outcome"] == NET_SPEND and row[SEGMENT_ID] is None:
            if row[AS_OF_DATE] is None:
                means.setdefault(row["score"], {})[row["metric"]] = row
            elif row["metric"] == "gini":
                dates[row["score"]] = dates.get(row["score"], 0) + 1
    scores = [_ranked(name, metrics, dates[name]) for name, metrics in means.items() if "gini" in metrics]
    return sorted(scores, key=lambda score: (-score.gini, score.name))


def conclusions(rows: Sequence[Row], horizon: int) -> list[str]:
    """Sentences on a horizon: what ranks best, what the segments are worth, and what ranks worse than past spend."""
    scores = ranking(rows, horizon)
    by_name = {score.name: score for score in scores}
    if PAST_SPEND not in by_name:
        return []
    past, best = by_name[PAST_SPEND], scores[0]
    days = f"the next {fmt.count(horizon)} days"
    first = f"Past spend ranks customers by what they spend in {days} with a Gini coefficient of {past.gini:.3f}"
    if best.name != PAST_SPEND:
        first += f"; best of all: {best.title}, {best.gini:.3f}, {best.comparison}"
    sentences = [f"{first}."]
    segments = by_name.get(SEGMENTS)
    if segments is not None:
        told = {
            WORSE: "rank customers worse than past spend: within them, rank by a score",
            BETTER: "rank customers better than past spend",
            NO_DIFFERENCE: "rank customers no worse than past spend, as far as can be told",
        }[segments.comparison]
        sentences.append(
            f"The segments alone {told} (Gini coefficient {segments.gini:.3f}, difference to past spend "
            f"{segments.gain})."
        )
    worse = [score.title for score in scores if score.comparison == WORSE and score.name != SEGMENTS]
    if worse:
        sentences.append(f"Also worse than past spend: {'; '.join(worse)}.")
    return sentences


def segment_outcomes(rows: Sequence[Row], horizon: int, currency: str) -> list[SegmentOutcome]:
    """What each segment's customers did after the last date of a horizon.

    Its segments were found at that date, from what was known then: their numbers are no `segment_id` of a run.
    """
    of_segments = [row for row in rows if row["horizon_days"] == horizon and row[SEGMENT_ID] is not None]
    last = max((row[AS_OF_DATE] for row in of_segments), default=None)
    found: dict[int, dict[str, Row]] = {}
    for row in of_segments:
        if row[AS_OF_DATE] == last:
            found.setdefault(row[SEGMENT_ID], {})[row["metric"]] = row
    return [
        SegmentOutcome(
            "In none" if segment == NOISE_ID else f"Group {segment}",
            fmt.count(metrics["customers"]["value"]),
            _interval(metrics["retention"], fmt.share),
            _interval(metrics["spend"], lambda amount: fmt.money(amount, currency)),
        )
        for segment, metrics in sorted(found.items(), key=lambda each: (each[0] == NOISE_ID, each[0]))
    ]


def main_horizon(rows: Sequence[Row], wanted: int = 90) -> int | None:
    """The horizon that is shown first: the nearest to so many days; None without a backtest."""
    return min(horizons(rows), key=lambda horizon: (abs(horizon - wanted), horizon), default=None)


def print_ranking(rows: Sequence[Row], console: Console) -> None:
    """Print the scores of every horizon in a table, and what they say."""
    for horizon in horizons(rows):
        scores = ranking(rows, horizon)
        dates = max((score.dates for score in scores), default=0)
        on = "one date" if dates == 1 else f"the mean of {dates} dates"
        console.print(as_text(console, f"Ranking by net spend in the next {horizon} days, {on}", "bold"))
        table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII, show_edge=False, pad_edge=False)
        table.add_column("Score", overflow="fold")
        for heading in ("Gini", "95% interval", "Top 20%", "Spearman"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("Against past spend", no_wrap=True)
        for score in scores:
            interval, word = f"{score.low:.3f} to {score.high:.3f}", _WORDS.get(score.comparison, "")
            cells = (score.title, f"{score.gini:.3f}", interval, score.top_20, score.spearman, word)
            table.add_row(*(as_text(console, cell) for cell in cells))
        console.print(table)
        for sentence in conclusions(rows, horizon):
            console.print(as_text(console, sentence))
        console.print()


def _ranked(name: str, metrics: dict[str, Row], dates: int) -> RankedScore:
    gini, gain = metrics["gini"], metrics.get("gini_gain")
    comparison = ""
    if gain is not None:
        comparison = WORSE if gain["high"] < 0 else BETTER if gain["low"] > 0 else NO_DIFFERENCE

    def figure(metric: str) -> float | None:
        return metrics[metric]["value"] if metric in metrics else None

    return RankedScore(
        name=name,
        title=_TITLES.get(name) or f"Segments by {algorithm_name(name)}",
        gini=gini["value"],
        low=gini["low"],
        high=gini["high"],
        dates=dates,
        comparison=comparison,
        gain=_interval(gain, lambda difference: f"{difference:+.3f}") if gain else fmt.NOTHING,
        top_10=fmt.share(figure("top_10_share")),
        top_20=fmt.share(figure("top_20_share")),
        spearman=fmt.figure(figure("spearman")),
        error_of_total=fmt.share(figure("total_error")),
    )


def _interval(row: Row, formatted: Callable[[float], str]) -> str:
    return f"{formatted(row['value'])} ({formatted(row['low'])} to {formatted(row['high'])})"
