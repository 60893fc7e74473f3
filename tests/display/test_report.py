"""The report: the page, the summary on the terminal, and the words of both."""

import io
import itertools
import random
import re
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import customer_segmentation
from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.contract.features import FEATURE_BY_NAME, FEATURES
from customer_segmentation.display import formatting as fmt
from customer_segmentation.display import palette
from customer_segmentation.report import ReportContent, render_page, summary
from customer_segmentation.report.descriptions import describe_differentiator, describe_trait, notable_differentiators
from customer_segmentation.report.effects import profile_effects
from customer_segmentation.report.model_quality import clusterability, search, stability, ties
from customer_segmentation.report.movement import movement

CLUSTERED = ["recency_days", "frequency", "monetary", "discount_rate"]
OVERALL = {"recency_days": 25.0, "frequency": 46.0, "monetary": 1204.5, "discount_rate": 0.142}
SPREAD = {"recency_days": 1.1, "frequency": 0.9, "monetary": 1.3, "discount_rate": 0.08}
HOSTILE = [
    "<script>alert('name')</script>",
    '" onload="alert(1)" x="',
    "</title></style></svg><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} & [bold red]markup[/] ]]> --> \x1b[31m\x07\x00",
    "\u202eDonaudampfschifffahrtsgesellschaftskapitänsmützenliebhaberinnen",
    "日本語の名前",
    "",
]


def prepared(feature: str, value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value))) if FEATURE_BY_NAME[feature].shape == "skewed" else value


def segment(segment_id: int, name: str | None, customers: int, revenue: str, **changes: Any) -> dict[str, Any]:
    centre = {feature: OVERALL[feature] * (0.4 + 0.3 * (abs(segment_id) % 5)) for feature in CLUSTERED}
    effects = {f: (prepared(f, centre[f]) - prepared(f, OVERALL[f])) / SPREAD[f] for f in CLUSTERED}
    told = sorted(CLUSTERED, key=lambda feature: -abs(effects[feature]))
    row = {
        "run_id": "run-7",
        "segment_id": segment_id,
        "segment_name": name,
        "customers": customers,
        "revenue": Decimal(revenue),
        "customer_share": customers / 2469,
        "revenue_share": float(Decimal(revenue)) / 4_590_390,
        "centroid": centre,
        "averages": {feature: 1.1 * value for feature, value in centre.items()},
        "differentiators": [
            {"feature": f, "value": centre[f], "overall": OVERALL[f], "effect": effects[f]} for f in told
        ],
        "traits": [{"attribute": "age_group", "value": "35-44", "share": 0.31, "overall": 0.24}],
        "stability": 0.91,
        "action": "Reward them.",
    }
    return row | changes


REASON = {
    "share": 0.641,
    "feature": "recency_days",
    "direction": "low",
    "segment_value": 3.0,
    "other_value": 25.0,
}


def usual_segments() -> list[dict[str, Any]]:
    return [
        segment(1, "Champions", 412, "1702345.11"),
        segment(2, "Loyal, big orders", 603, "1354220.40", stability=0.80),
        segment(3, "At Risk", 281, "611004.93", stability=0.70),
        segment(4, "New", 355, "402113.75", stability=0.10, traits=None),
        segment(5, "Promising", 498, "371223.02", stability=None, traits=[]),
        segment(6, "Lost", 320, "149482.79"),
    ]


def candidate(k: int) -> dict[str, Any]:
    away = abs(k - 6)
    figures = {"silhouette": 0.4 - 0.02 * away, "separation": 0.3 - 0.03 * away, "agreement": 0.9 - 0.05 * away}
    figures |= {"agreement_error": 0.02, "tied": away <= 1 and k <= 6}
    return {"algorithm": "kmeans", "k": k, "smallest_share": 0.05, **figures}


def content(**changes: Any) -> ReportContent:
    run = {
        "run_id": "run-7",
        "as_of_date": date(2018, 1, 1),
        "previous_run_id": "run-6",
        "model_version": "kmeans-4be1",
        "rows_in": 1_469_307,
        "rows_accepted": 1_464_880,
        "rows_rejected": 4_427,
        "rows_filtered_out": 0,
        "rejected_by_reason": {"zero_quantity": 3_981, "missing_customer": 458},
        "customers": 2_469,
        "segments": 6,
        "revenue": Decimal("4590390.00"),
    }
    model = {
        "model_version": "kmeans-4be1",
        "algorithm": "kmeans",
        "k": 6,
        "trained_as_of": date(2018, 1, 1),
        "features": CLUSTERED,
        "quality": {"silhouette": 0.358, "cost": 6421.7, "stability": 0.87, "hopkins": 0.91, "structure": 1.0},
        "candidates": [candidate(k) for k in range(3, 11)],
        "model": '{"centres": "not to be shown"}',
    }
    moves = [(1, 1, 380), (2, 1, 22), (None, 1, 10), (2, 2, 603), (3, 3, 281), (4, 4, 355), (5, 5, 495), (9, 5, 3)]
    moves += [(6, 6, 301), (5, 6, 19)]
    values: dict[str, Any] = {
        "run": run | changes.pop("run", {}),
        "model": model | changes.pop("model", {}),
        "segments": usual_segments(),
        "rfm_cells": [
            {"r_score": r, "f_score": f, "customers": 100 * r + f, "revenue": Decimal(1000 * r * f)}
            for r in range(1, 6)
            for f in range(1, 5)
        ],
        "rfm_segments": [
            {"rfm_segment": "Lost", "customers": 300, "revenue": Decimal("54321.50")},
            {"rfm_segment": "Champions", "customers": 412, "revenue": Decimal("1702345.11")},
        ],
        "transitions": [
            {"from_segment_id": a, "to_segment_id": b, "customers": n, "revenue": Decimal(n * 10)} for a, b, n in moves
        ],
        "reasons": [
            {"segment_id": 1, "confidence": 0.874, "outlier_share": 0.012, "reasons": [REASON]},
            {"segment_id": -1, "confidence": 0.0, "outlier_share": 1.0, "reasons": []},
        ],
        "title": "Segments of the grocer",
        "currency": "$",
    }
    return ReportContent(**(values | changes))


def hostile_content() -> ReportContent:
    """Thirty segments with every name that could break out, holes where a profile may have them, and noise."""
    draw = random.Random(5)
    segments = [segment(-1, "Noise", 31, "-250.00", revenue_share=-0.01)]
    for number in range(30):
        holes: dict[str, Any] = {"action": HOSTILE[number % 3], "traits": [_trait(HOSTILE[number % 4])]}
        if number % 4 == 1:
            holes = {"differentiators": None, "traits": None, "action": None, "stability": float("nan")}
        elif number % 4 == 2:
            holes |= {"differentiators": [], "centroid": None, "averages": None, "revenue_share": None}
        name = HOSTILE[number] if number < len(HOSTILE) else f"Twin {number // 2}"
        segments.append(segment(number, name, draw.randrange(1, 90), str(draw.randrange(-900, 90_000)), **holes))
    unknown = {"feature": HOSTILE[0], "value": 1.0, "overall": None, "effect": 2.0}
    segments[1]["differentiators"] = [unknown, *segments[1]["differentiators"]]
    return content(
        segments=segments,
        title=HOSTILE[2],
        currency='<b>"',
        run={"run_id": HOSTILE[0], "rejected_by_reason": {HOSTILE[1]: 5}, "segments": 30},
        model={"model_version": HOSTILE[1], "algorithm": HOSTILE[2], "quality": {HOSTILE[0]: float("nan")}, "k": 30},
        rfm_segments=[{"rfm_segment": name, "customers": 3, "revenue": None} for name in [*HOSTILE, None]],
    )


def empty_content() -> ReportContent:
    """Two segments without a cent, and nothing that a run may lack."""
    bare: dict[str, Any] = {
        "centroid": {},
        "averages": None,
        "differentiators": None,
        "traits": None,
        "stability": None,
    }
    segments = [
        segment(number, f"Segment {number}", 0, "0", customer_share=0.0, revenue_share=None, action=None, **bare)
        for number in (1, 2)
    ]
    none = dict.fromkeys(["rows_in", "rows_accepted", "rows_rejected", "rows_filtered_out", "customers"], 0)
    return content(
        segments=segments,
        rfm_cells=[],
        rfm_segments=[],
        transitions=[],
        currency="",
        run={**none, "rejected_by_reason": None, "previous_run_id": None, "revenue": None},
        model={"candidates": None, "quality": None, "features": None},
    )


def _trait(text: str) -> dict[str, Any]:
    return {"attribute": text, "value": text, "share": 0.5, "overall": 0.25}


class Page(HTMLParser):
    """A page as its elements: fails on a tag that is never closed or closes another's element."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[list[str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open and any(tag in ("td", "th") for tag in self.open):
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def rows(self) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.cells]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_page(content()))


@pytest.fixture(scope="module")
def hostile() -> Page:
    return Page(render_page(hostile_content()))


@pytest.fixture(scope="module")
def bare() -> Page:
    return Page(render_page(empty_content()))


@pytest.fixture(params=["page", "hostile", "bare"])
def any_page(request: pytest.FixtureRequest) -> Page:
    found: Page = request.getfixturevalue(request.param)
    return found


def printed(shown: ReportContent, width: int, **options: Any) -> str:
    console = Console(width=width, file=io.StringIO(), **options)
    summary(shown, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_a_name_holds_is_shown_and_never_run(hostile: Page) -> None:
    for tag, attributes in hostile.elements:
        assert tag not in ("script", "img", "iframe", "object", "foreignobject", "use")
        assert not [name for name in attributes if name.startswith("on")]
    assert "<script>alert('name')</script>" in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text
    assert hostile.html.count("</style>") == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", hostile.html)


def test_the_page_needs_nothing_beside_itself(any_page: Page) -> None:
    for tag, attributes in any_page.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "xlink:href", "action", "data"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    style = any_page.html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in style


def test_the_page_forbids_itself_to_load_or_run_anything(page: Page) -> None:
    policy = next(a for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_figures_on_the_page_are_the_contents(page: Page) -> None:
    shown = content()
    for row in shown.segments:
        average = fmt.money(row["revenue"] / row["customers"], "$")
        assert [
            row["segment_name"],
            f"{row['customers']:,}",
            f"{100 * row['customer_share']:.1f}%",
            f"${row['revenue']:,.0f}",
            f"{100 * row['revenue_share']:.1f}%",
        ] in page.rows
        assert f"Average {average} a customer" in page.text
    assert "Customers 2,469" in page.text
    assert "Net revenue $4,590,390" in page.text
    assert "1,469,307 lines read = 1,464,880 accepted + 4,427 rejected" in page.text
    assert ["Zero quantity", "3,981", "89.9%"] in page.rows
    assert ["Missing customer", "458", "10.3%"] in page.rows
    assert ["Lost", "300", "$54,322"] in page.rows
    assert ["F 4", "104", "204", "304", "404", "504"] in page.rows
    assert ["F 5", "0", "0", "0", "0", "0"] in page.rows
    assert ["6, chosen", "0.900 ± 0.02", "0.300", "0.400", "5.0%"] in page.rows
    assert ["5, tied", "0.850 ± 0.02", "0.270", "0.380", "5.0%"] in page.rows
    assert ["Silhouette -1 to 1: how much nearer to the own segment than to the next", "0.358"] in page.rows
    assert ["Champions", "380", "22", "10", "412", "0"] in page.rows


def test_a_card_says_what_sets_its_segment_apart_and_how_far_to_trust_it(page: Page) -> None:
    card = page.text.split("Segment by segment")[1].split("At Risk")[0]
    assert "Age group 35-44: 31% vs 24% overall" in card
    assert "Full price 9.9% vs 14.2% overall" in card
    assert "Highly stable (0.91)" in card
    assert "Suggested action Reward them." in card
    for word in ("Stable (0.80)", "Doubtful (0.70)", "Unstable (0.10)", "Not measured"):
        assert word in page.text


@pytest.mark.parametrize(
    ("quality", "word", "said"),
    [
        ({"structure": 2.0, "silhouette": 0.61, "stability": 0.97}, "clear structure", "groups that stand apart"),
        ({"structure": 1.0, "silhouette": 0.31, "stability": 0.87}, "weak structure", "these pass into one another"),
        ({"structure": 1.0, "silhouette": 0.61, "stability": 0.44}, "weak structure", "other ones are found"),
        ({"structure": 1.0, "silhouette": 0.61}, "weak structure", "could not be measured"),
        ({"structure": 0.0, "silhouette": 0.2, "stability": 0.9}, "no structure", "cuts through a continuum"),
    ],
)
def test_the_structure_is_a_word_and_a_sentence_that_fits_its_figures(
    quality: dict[str, float], word: str, said: str
) -> None:
    shown = content(model={"quality": quality})

    told = " ".join(printed(shown, 200).split())
    found = clusterability(shown)

    assert found is not None
    assert (found.word, said in found.sentence) == (word, True)
    assert f"{fmt.capitalized(word)}. {found.sentence}" in told
    assert ("stability" in found.figures) == ("stability" in quality)


def test_one_segment_makes_a_page_that_does_not_speak_of_several() -> None:
    one = [segment(1, "Loyal", 2469, "4590390.00", stability=1.0, differentiators=[])]
    model = {"k": 1, "quality": {"structure": 0.0, "hopkins": 0.8}, "candidates": [], "algorithm": "dbscan"}

    page = Page(render_page(content(segments=one, model=model, run={"segments": 1}, transitions=[])))

    assert "No structure All customers that are in a segment are in one" in page.text
    assert "follows from where customers are dense" in page.text


def test_a_single_number_that_was_tried_is_drawn() -> None:
    page = Page(render_page(content(model={"candidates": [candidate(6)]})))

    assert ["6, chosen", "0.900 ± 0.02", "0.300", "0.400", "5.0%"] in page.rows
    assert "6 chosen" in page.text


def test_the_page_says_the_structure_before_the_segments(page: Page, bare: Page) -> None:
    assert "Weak structure The customers form groups, but" in page.text
    assert page.text.index("Weak structure") < page.text.index("Segment by segment")
    assert not any(attributes.get("class") == "verdict" for _, attributes in bare.elements)


def test_how_the_number_of_segments_came_about_is_said_for_each_algorithm() -> None:
    dense = {"candidates": [], "algorithm": "dbscan", "k": 3}
    set_ = {"eps": "0.25", "min_samples": "12"}

    assert search(content()).startswith("3 to 10 segments were tried")
    assert "6 were chosen, all of which reappear" in search(content())
    assert ties(content()) == "As good within one standard error: 5."
    continuum = [candidate(6) | {"agreement": 0.4, "tied": True}]
    assert "no number is stable" in search(content(model={"candidates": continuum}))
    earlier = [{"algorithm": "kmeans", "k": 6, "silhouette": 0.4, "smallest_share": 0.1, "score": 0.5}]
    assert search(content(model={"candidates": earlier})).endswith("6 were chosen.")
    assert "was set and not searched for" in search(content(model={"candidates": None}))
    assert "12 or more within eps 0.25, as set" in search(content(model={**dense, "parameters": set_}))
    found = {"eps": '"auto"', "min_samples": "12", "auto_eps": "0.31415"}
    assert "within eps 0.314, measured from the data" in search(content(model={**dense, "parameters": found}))


def test_noise_has_no_stability_and_is_explained_only_where_there_is_some(page: Page) -> None:
    segments = [segment(-1, "Unclassified", 300, "900.00", stability=None, centroid=None), *usual_segments()]
    gone = [{"from_segment_id": -1, "to_segment_id": 1, "customers": 9, "revenue": Decimal(5)}]

    noisy = Page(render_page(content(segments=segments)))
    told = " ".join(printed(content(segments=segments), 100).split())

    card = noisy.text.split("Segment by segment")[1].split("How the segments differ")[0].split("Unclassified")[1]
    assert "Stability" not in card
    assert "like too few others" in noisy.text
    assert "like too few others" not in page.text
    assert "2,469 customers in 6 segments, 300 in none" in told
    assert {move.from_name for move in movement(content(transitions=gone)).moves} == {"Unclassified"}


def test_segments_come_by_value_and_noise_last(page: Page, hostile: Page) -> None:
    names = [row["segment_name"] for row in sorted(usual_segments(), key=lambda row: -row["revenue"])]
    places = [page.text.index(name, page.text.index("Customers and net revenue by segment")) for name in names]
    assert places == sorted(places)
    assert hostile_content().by_value[-1]["segment_id"] == -1
    assert "and 31 customers in none" in hostile.text


def test_every_segment_of_thirty_has_a_card_and_a_name_of_its_own(hostile: Page) -> None:
    shown = hostile_content()
    assert len(set(shown.names.values())) == 31
    assert sum(tag == "article" for tag, _ in hostile.elements) == 31
    for name in shown.names.values():
        assert name
        assert name in hostile.text


def test_a_card_says_how_sure_its_segment_is_and_why_customers_are_in_it(page: Page) -> None:
    card = page.text.split("Segment by segment")[1].split("Loyal, big orders")[0]
    assert "Why its customers are here and not in the next segment" in card
    assert "Recently active (3 days vs 25 in the next segment), for 64%" in card
    assert "Confidence 87% on average, 1.2% outliers" in card
    assert page.text.count("in the next segment)") == 1


def test_two_segments_without_a_cent_make_a_page(bare: Page) -> None:
    assert sum(tag == "article" for tag, _ in bare.elements) == 2
    assert "No line was rejected." in bare.text
    assert "was set and not searched for" in bare.text


def test_what_moved_is_told_only_when_there_is_a_run_to_compare_with(page: Page, bare: Page) -> None:
    assert "What moved since the run before" in page.text
    assert "Segment 9, no longer there to" in page.text
    assert "What moved" not in bare.text
    assert not content(run={"previous_run_id": None}).has_previous_run


def test_those_who_moved_because_of_a_training_are_told_from_those_who_moved_by_behaviour() -> None:
    def moves(by_model: int | None) -> list[dict[str, Any]]:
        rows = [(1, 1, 90, 0), (1, 2, 7, by_model), (2, 3, 4, by_model and 0), (None, 2, 5, None)]
        return [
            {"from_segment_id": a, "to_segment_id": b, "customers": n, "revenue": Decimal(n), "moved_by_model": by}
            for a, b, n, by in rows
        ]

    retrained, same, unknown = (content(transitions=moves(by_model)) for by_model in (6, 0, None))
    page, told = Page(render_page(retrained)).text, " ".join(printed(retrained, 300).split())

    for text in (page, told):
        assert "11 moved to another and 5 are new" in text
        assert "5 did so by their behaviour and 6 only because the model was trained again" in text
    assert "By the model" in page
    assert movement(same).summary.endswith("Those who moved did so by their behaviour.")
    assert "By the model" not in Page(render_page(same)).text
    assert movement(unknown).summary.endswith("5 are new.")


def test_segments_of_other_settings_are_not_compared() -> None:
    new = [{"from_segment_id": None, "to_segment_id": 1, "customers": 9, "revenue": Decimal(5)}]

    assert not content(transitions=new).has_previous_run


def test_stayed_and_joined_and_new_are_the_customers_of_a_segment() -> None:
    shown = content()
    customers = {row["segment_id"]: row["customers"] for row in shown.segments}
    moved = movement(shown)
    assert {b.segment_id: b.now for b in moved.balances} == {**customers, 2: 603, 9: 0}
    assert sum(b.left for b in moved.balances) == sum(b.joined for b in moved.balances) == moved.moved == 44
    assert moved.stayed + moved.moved + moved.new == sum(customers.values())
    assert [move.customers for move in moved.moves] == [22, 19, 3]


@pytest.mark.parametrize("part", ["run", "model", "segments", "rfm_cells", "rfm_segments", "transitions"])
def test_a_row_that_names_a_customer_is_refused(part: str) -> None:
    good = getattr(content(), part)
    named = {**good, "customer_id": "C1"} if isinstance(good, dict) else [{**good[0], "customer_id": "C1"}]
    with pytest.raises(CustomerSegmentationError, match="customer_id"):
        content(**{part: named})


def test_a_row_that_lacks_a_column_is_refused_by_its_name() -> None:
    with pytest.raises(CustomerSegmentationError, match=r"needs customers in its rfm_cells.*r_score"):
        content(rfm_cells=[{"r_score": 1, "f_score": 1, "revenue": None}])


def test_the_model_itself_stays_out_of_the_page(page: Page) -> None:
    assert "not to be shown" not in page.html


def test_headings_come_in_order_and_every_anchor_leads_somewhere(any_page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in any_page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in any_page.elements if "id" in attributes]
    assert not [name for name, times in Counter(ids).items() if times > 1]
    for _, attributes in any_page.elements:
        for reference in ("href", "aria-labelledby"):
            if reference in attributes:
                assert (attributes[reference] or "").removeprefix("#") in ids


def test_tables_have_captions_and_scopes_and_drawings_have_labels(any_page: Page) -> None:
    tags = [tag for tag, _ in any_page.elements]
    assert tags.count("table") == tags.count("caption")
    for tag, attributes in any_page.elements:
        assert tag != "th" or attributes.get("scope") in ("row", "col")
        assert tag != "svg" or (attributes["role"], bool(attributes["aria-label"])) == ("img", True)


def test_drawings_scale_and_use_the_palette_alone(any_page: Page) -> None:
    tones = {tone.light for tone in palette.TONES} | {"none", "transparent", None}
    drawn = [attributes for tag, attributes in any_page.elements if tag == "svg"]
    assert all("viewbox" in attributes and "width" not in attributes for attributes in drawn)
    for tag, attributes in any_page.elements:
        if tag in ("path", "line", "rect", "text", "circle"):
            assert attributes.get("fill") in tones
            assert attributes.get("stroke") in tones


def test_the_same_content_gives_the_same_page(bare: Page) -> None:
    assert render_page(empty_content()) == bare.html


@pytest.mark.slow
def test_the_page_is_made_from_a_zip(tmp_path: Path) -> None:
    library = Path(customer_segmentation.__file__).parents[1]
    with zipfile.ZipFile(tmp_path / "library.zip", "w") as archive:
        for file in sorted((library / "customer_segmentation").rglob("*")):
            if file.suffix in (".py", ".j2", ".css", ".yml"):
                archive.write(file, str(file.relative_to(library)))
    script = (
        "import customer_segmentation.display.template as template\n"
        "assert 'library.zip' in template.__file__\n"
        "template.environment('customer_segmentation.report').get_template('page.html.j2')\n"
        "print(len(template.environment().get_template('page.css').render()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tmp_path / "library.zip")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 1_000


@pytest.mark.parametrize(("module", "package"), [("altair", "altair"), ("vl_convert", "vl-convert-python")])
def test_without_the_extra_the_page_says_what_to_install(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name
        for name in sys.modules
        if name.startswith(("customer_segmentation.report.", "customer_segmentation.display."))
    ]:
        if name.rsplit(".", 1)[1] in ("drawings", "charts", "rfm_charts", "bars", "chart_style", "heat_map", "svg"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CustomerSegmentationError, match=rf"need {package}, .*pip install altair vl-convert-python"):
        render_page(empty_content())
    assert "Segment 1" in printed(empty_content(), 80)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_the_summary_fits_its_console_and_names_every_segment(width: int, terminal: bool) -> None:
    for shown in (content(), hostile_content(), empty_content()):
        told = printed(shown, width, force_terminal=terminal, color_system=None)
        assert max(len(line) for line in told.splitlines()) <= width
        letters = "".join(told.split()).replace("|", "")
        for name in shown.names.values():
            assert name[:12].replace(" ", "") in letters
        assert "\x1b" not in told


def test_the_summary_says_the_run_in_a_line_and_the_segments_in_figures() -> None:
    told = printed(content(), 200)
    assert (
        "As of 1 January 2018: 1,469,307 lines in = 1,464,880 accepted + 4,427 rejected; 2,469 customers in 6 segments"
    ) in told
    champions = next(line for line in told.splitlines() if line.startswith("Champions"))
    assert [cell.strip() for cell in champions.split("|")[:5]] == ["Champions", "412", "16.7%", "$1,702,345", "37.1%"]
    assert "full price (9.9% vs 14.2% overall)" in " ".join(champions.split())
    assert "Reward them." in champions


def test_how_many_are_expected_to_buy_is_said_where_it_is_known() -> None:
    known = {"expected_buyer_share": 0.384, "expected_within_days": 90, "overdue_share": 0.641}
    segments = [segment(1, "Loyal", 412, "1702345.11", **known), segment(2, "New", 20, "3.00", overdue_share=0.0)]
    shown = content(segments=segments)

    page = Page(render_page(shown))

    assert "Activity 38% expected to buy within 90 days; 64% overdue" in page.text
    assert "Activity 0% overdue" in page.text
    assert "Activity" not in Page(render_page(content())).text
    for width in (90, 200):
        assert "38% expected to buy within 90 days; 64% overdue" in " ".join(
            " ".join(line.split("|")[0] for line in printed(shown, width).splitlines()).split()
        )


def test_the_summary_says_how_far_to_trust_the_segments() -> None:
    told = " ".join(printed(content(), 90).split())

    assert "Quality: Silhouette 0.358; Stability 0.870; Hopkins statistic 0.910; Cost 6,422" in told
    assert "all of which reappear when customers are resampled. As good within one standard error: 5." in told
    for word in ("highly stable (0.91)", "doubtful (0.70)", "Stability: not measured"):
        assert word in told


def test_the_summary_takes_names_as_they_are_and_not_as_markup() -> None:
    assert "[bold red]markup[/]" in printed(hostile_content(), 200, force_terminal=True)


def test_the_summary_writes_to_a_console_that_knows_only_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    summary(hostile_content(), Console(file=stream, width=100))
    stream.flush()
    assert b"Donaudampfschifffahrt" in raw.getvalue()


def test_effects_that_a_profile_leaves_out_are_worked_out_from_its_centre() -> None:
    whole = profile_effects(content())
    cut = usual_segments()
    for row in cut:
        ranked = enumerate(row["differentiators"])
        row["differentiators"] = [each for place, each in ranked if (place + row["segment_id"]) % 3 == 0]
    for told, found in zip(whole, profile_effects(content(segments=cut)), strict=True):
        assert (found.segment_id, found.feature, found.estimated) == (told.segment_id, told.feature, False)
        assert found.effect == pytest.approx(told.effect, abs=1e-9)


def test_without_any_effect_the_spread_between_the_segments_stands_in() -> None:
    rows = [{**row, "differentiators": None} for row in usual_segments()]
    cells = [cell for cell in profile_effects(content(segments=rows)) if cell.feature == "frequency"]
    by_id = {row["segment_id"]: row for row in rows}
    values = np.array([np.log1p(by_id[cell.segment_id]["centroid"]["frequency"]) for cell in cells])
    weights = np.array([by_id[cell.segment_id]["customers"] for cell in cells])
    mean = np.average(values, weights=weights)
    expected = (values - mean) / np.sqrt(np.average((values - mean) ** 2, weights=weights))
    assert [cell.effect for cell in cells] == pytest.approx(expected.tolist())
    assert all(cell.estimated for cell in cells)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (fmt.count(12345), "12,345"),
        (fmt.count(None), "–"),
        (fmt.share(0.452), "45.2%"),
        (fmt.share(0.0), "0%"),
        (fmt.share(1.0), "100%"),
        (fmt.share(0.0002), "<0.1%"),
        (fmt.share(0.99999), ">99.9%"),
        (fmt.share(-0.031), "-3.1%"),
        (fmt.share(float("nan")), "–"),
        (fmt.money(Decimal("1234.56"), "€"), "€1,235"),
        (fmt.money(Decimal("12.5"), "€"), "€12.50"),
        (fmt.money(Decimal("99.99"), "GBP"), "GBP 99.99"),
        (fmt.money(Decimal("-1234.56"), "$"), "-$1,235"),
        (fmt.money(0), "0"),
        (fmt.money(None, "$"), "–"),
        (fmt.short_money(Decimal(1_234_567), "$"), "$1.23M"),
        (fmt.short_money(999_999), "1.00M"),
        (fmt.short_money(-12_345, "$"), "-$12.3k"),
        (fmt.short_money(999, "$"), "$999"),
        (fmt.effect(1.234), "+1.2"),
        (fmt.effect(-0.01), "0.0"),
        (fmt.day(date(2017, 12, 31)), "31 December 2017"),
        (fmt.day(None), "–"),
        (fmt.feature_value("frequency", 1), "1 order"),
        (fmt.feature_value("distinct_categories", 1), "1 category"),
        (fmt.feature_value("recency_days", 3.25), "3.2 days"),
        (fmt.feature_value("recency_days", 251.7), "252 days"),
        (fmt.plain_text("a\x1b[31mb\u202e\n c\ufffe\uffff"), "a [31mb c"),
        (
            describe_trait({"attribute": "age", "value": "35-44", "share": 0.31, "overall": 0.24}),
            "age 35-44: 31% vs 24% overall",
        ),
    ],
)
def test_figures_read_as_people_write_them(told: str, expected: str) -> None:
    assert told == expected


@pytest.mark.parametrize(
    ("feature", "value", "overall", "effect", "expected"),
    [
        ("recency_days", 3, 25, -1.0, "recently active (3 days vs 25 overall)"),
        ("monetary", 5210.4, 1204.2, 1.0, "high spend ($5,210 vs $1,204 overall)"),
        ("distinct_categories", 29, 21, 1.0, "many categories (29 vs 21 overall)"),
        ("recency_days", 3.04, 3.01, 0.3, "long inactive (3.04 days vs 3.01 overall)"),
        ("weekend_share", 0.6, None, 0.5, "weekend shopper (60.0% vs – overall)"),
        ("shoe_size", 44, 40, 1.0, "high shoe size (44 vs 40 overall)"),
    ],
)
def test_differentiators_read_as_words(
    feature: str, value: float, overall: float | None, effect: float, expected: str
) -> None:
    assert (
        describe_differentiator({"feature": feature, "value": value, "overall": overall, "effect": effect}, "$")
        == expected
    )


def test_every_feature_has_words_for_much_and_little_in_its_unit() -> None:
    for feature in FEATURES:
        for effect, word in ((1.0, feature.high), (-1.0, feature.low)):
            row = {"feature": feature.name, "value": 12.0, "overall": 7.0, "effect": effect}
            assert describe_differentiator(row).startswith(f"{word} (")


def test_differences_too_small_to_matter_set_nothing_apart() -> None:
    rows = [{"feature": "frequency", "value": 1, "overall": 1, "effect": effect} for effect in (0.5, -0.2, 0.19, None)]
    assert [row["effect"] for row in notable_differentiators({"differentiators": rows}, 5)] == [0.5, -0.2]
    assert notable_differentiators({"differentiators": None}, 5) == []


@pytest.mark.parametrize(
    ("index", "word"),
    [
        (0.0, "unstable"),
        (0.599, "unstable"),
        (0.6, "doubtful"),
        (0.749, "doubtful"),
        (0.75, "stable"),
        (0.85, "stable"),
        (0.851, "highly stable"),
        (None, "not measured"),
    ],
)
def test_stability_reads_by_hennigs_bounds(index: float | None, word: str) -> None:
    assert stability(index).word == word


MACHADO_2009 = {
    "normal sight": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> Any:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(light: Any) -> Any:
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return opponents @ np.cbrt(cones @ np.clip(light, 0, 1))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_from_the_ground_and_from_each_other(theme: str) -> None:
    def shade(tone: palette.Tone) -> str:
        return str(getattr(tone, theme))

    for text in (palette.INK, palette.SOFT):
        for ground in (palette.PAGE, palette.SURFACE):
            assert contrast(shade(text), shade(ground)) >= 4.5
    for tone in (*palette.SEGMENTS, palette.NOISE, palette.ACCENT, palette.ABOVE, palette.BELOW):
        assert contrast(shade(tone), shade(palette.SURFACE)) >= 3
    for sight in MACHADO_2009.values():
        seen = [oklab(sight @ linear(shade(tone))) for tone in (*palette.SEGMENTS, palette.NOISE)]
        assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) >= 0.09


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_on_the_strongest_cell_stays_readable(theme: str) -> None:
    from customer_segmentation.display.chart_style import strength

    def channels(tone: palette.Tone) -> Any:
        colour = getattr(tone, theme)
        return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])

    for tone in (palette.ACCENT, palette.ABOVE, palette.BELOW):
        mixed = strength(1) * channels(tone) + (1 - strength(1)) * channels(palette.SURFACE)
        colour = "#" + "".join(f"{round(part):02x}" for part in mixed)
        assert contrast(colour, getattr(palette.INK, theme)) >= 4.5


def test_every_colour_is_declared_once() -> None:
    assert len({tone.light for tone in palette.TONES}) == len({tone.name for tone in palette.TONES})
    assert len(palette.TONES) == len({tone.name for tone in palette.TONES})
