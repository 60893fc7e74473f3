"""The drawing of the plots, as Altair charts: plain values in. Needs Altair."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

import altair as alt
import pandas as pd

from customer_segmentation.display import formatting as fmt
from customer_segmentation.display import rfm_charts
from customer_segmentation.display.chart_style import AS_GIVEN, SMALL, TEXT, data, layered_chart, name_room, plain_axis
from customer_segmentation.display.charts import columns as upright_bars
from customer_segmentation.display.heat_map import READABLE_CELL, Cell, heat_map
from customer_segmentation.display.palette import ACCENT, BELOW, INK, SOFT, SURFACE, segment_tone
from customer_segmentation.explore.buckets import histogram
from customer_segmentation.explore.distributions import Distribution
from customer_segmentation.plots.components import Components

METRICS: dict[str, tuple[str, str, int]] = {
    "segments": ("Segments", "", 0),
    "noise_share": ("In no segment", "", 0),
    "silhouette": ("Silhouette", "more is better", 1),
    "calinski_harabasz": ("Calinski-Harabasz", "more is better", 1),
    "davies_bouldin": ("Davies-Bouldin", "less is better", -1),
    "stability": ("Stability", "more is better", 1),
    "seconds": ("Seconds", "less is better", -1),
}
"""By column: heading, how to read it, and whether more (1) or less (-1) is better."""

_Concatenated = TypeVar("_Concatenated", alt.HConcatChart, alt.ConcatChart)

_FULL_EFFECT = 2.0
_ROW = 34
_MAX_LABELLED = 12
"""Features from which the cells of correlations are too small for a label."""


def profile(
    labels: Mapping[int, str],
    customers: Sequence[int],
    effects: Mapping[tuple[int, str], float],
    features: Sequence[str],
    *,
    note: str,
    width: int,
) -> alt.LayerChart:
    """Segments by features in standard deviations."""
    rows = {key: f"{label} ({fmt.count(size)})" for (key, label), size in zip(labels.items(), customers, strict=True)}
    headings = _distinct([fmt.feature_name(name) for name in features])
    cells = [
        Cell(row, heading, effects.get((key, name)), fmt.effect(effects.get((key, name))))
        for key, row in rows.items()
        for name, heading in zip(features, headings, strict=True)
    ]
    width = max(width, name_room(width, list(rows.values())) + READABLE_CELL * len(features))
    chart = heat_map(cells, rows=list(rows.values()), width=width, full_at=_FULL_EFFECT)
    return _titled(chart, "How the segments differ", note)


def rfm(cells: Sequence[Mapping[str, Any]], *, currency: str, width: int) -> alt.LayerChart:
    """The RFM grid."""
    chart = rfm_charts.rfm_grid(cells, currency=currency, width=width)
    revenue = ", with their net revenue" if any(cell["revenue"] is not None for cell in cells) else ""
    return _titled(chart, "Customers by recency and frequency", f"Number of customers{revenue}")


def compare(table: pd.DataFrame, *, width: int) -> alt.HConcatChart:
    """A column of bars per metric, an estimator a row."""
    names = _distinct([str(name) for name in table["estimator"]])
    metrics = [name for name in METRICS if name in table.columns]
    room = min(240, 16 + 7 * max(map(len, names)))
    across = max(70, (width - room) // len(metrics) - 14)
    charts = [
        _metric(names, table[name].tolist(), name, across, room if i == 0 else 0) for i, name in enumerate(metrics)
    ]
    chart: alt.HConcatChart = alt.hconcat(*charts, spacing=14)
    return _configured(chart, "Estimators compared", "The best of each metric in colour")


def scatter(components: Components, ids: Sequence[int], labels: Mapping[int, str], *, width: int) -> alt.LayerChart:
    """Customers on two components, a colour per segment, its label amid its customers."""
    points = [
        {"x": float(x), "y": float(y), "colour": segment_tone(key).light, "segment": labels[key]}
        for (x, y), key in zip(components.points, ids, strict=True)
    ]
    frame = pd.DataFrame(points)
    centres = frame.groupby("segment", sort=False)[["x", "y"]].median().reset_index()
    height = width * 3 // 4
    axes = {
        name: plain_axis(labels=False, titlePadding=8, titleLimit=limit, title=_component(components, number))
        for number, (name, limit) in enumerate({"x": width - 60, "y": height - 130}.items())
    }
    base = alt.Chart(data(points)).encode(
        x=alt.X("x:Q", axis=axes["x"], scale=alt.Scale(nice=False, padding=24)),
        y=alt.Y("y:Q", axis=axes["y"], scale=alt.Scale(nice=False, padding=24)),
    )
    marks = base.mark_circle(size=26, opacity=0.5, stroke=None).encode(
        color=alt.Color("colour:N", **AS_GIVEN), tooltip=alt.Tooltip("segment:N", title="Segment")
    )
    names = base.properties(data=data(_apart(centres, frame)))
    halo = names.mark_text(fontSize=TEXT, fontWeight=600, stroke=SURFACE.light, strokeWidth=4, strokeJoin="round")
    text = names.mark_text(fontSize=TEXT, fontWeight=600, color=INK.light)
    label = alt.Text("segment:N")
    chart = layered_chart([marks, halo.encode(text=label), text.encode(text=label)], width, fixed_height=height)
    note = f"{fmt.count(len(points))} customers on the first two principal components of their features"
    return _titled(chart, "Map of the customers", note)


def histograms(distributions: Sequence[Distribution], *, per_row: int, width: int) -> alt.ConcatChart:
    """A histogram per feature."""
    across = width // per_row - 64
    charts = []
    for each in distributions:
        buckets = each.buckets
        known, median = fmt.count(each.summary.known), fmt.figure(each.summary.median, 1)
        note = f"median {median}{', logarithmic' if each.is_logarithmic else ''}" if buckets else "no values"
        if buckets and each.summary.known < max(other.summary.known for other in distributions):
            note += f", {known} known"
        title = alt.TitleParams(text=each.measure.title, subtitle=note, **_SMALL_TITLE)
        charts.append(
            alt.layer(*upright_bars(histogram(buckets), across + 60)).properties(width=across, height=130, title=title)
        )
    note = "Customers by value; on a logarithmic axis the ranges widen to the right"
    chart: alt.ConcatChart = alt.concat(*charts, columns=per_row, spacing=24)
    return _configured(chart, "How the features are distributed", note)


def correlations(matrix: pd.DataFrame, *, width: int) -> alt.LayerChart:
    """A square heat map."""
    names = _distinct([fmt.feature_name(str(name)) for name in matrix.columns])
    values = matrix.to_numpy()
    has_labels = len(names) <= _MAX_LABELLED
    cells = [
        Cell(row, column, value, f"{round(value, 2) + 0.0:.2f}" if has_labels and value is not None else "")
        for i, row in enumerate(names)
        for j, column in enumerate(names)
        for value in (float(values[i, j]) if fmt.known(values[i, j]) else None,)
    ]
    width = max(width, name_room(width) + (READABLE_CELL if has_labels else 24) * len(names))
    note = "Spearman's rank correlation: blue above 0, orange below; the stronger the colour, the closer to 1 or -1"
    return _titled(heat_map(cells, rows=names, width=width, full_at=1.0), "How the features correlate", note)


_SMALL_TITLE: dict[str, Any] = {
    "anchor": "start",
    "color": INK.light,
    "fontSize": TEXT,
    "fontWeight": 600,
    "subtitleColor": SOFT.light,
    "subtitleFontSize": SMALL,
    "subtitlePadding": 3,
    "offset": 10,
}


def _metric(names: list[str], values: list[Any], metric: str, across: int, room: int) -> alt.LayerChart:
    heading, note, better = METRICS[metric]
    numbers = [float(value) if fmt.known(value) else None for value in values]
    known = [number for number in numbers if number is not None]
    best = better * max(better * number for number in known) if better and known else None
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "value": max(number or 0.0, 0.0),
            "label": fmt.share(number)
            if metric.endswith("_share")
            else fmt.figure(number, 2 if abs(number or 0.0) < 100 else 0),
            "colour": (ACCENT if best is not None and number == best else SOFT).light,
            "strength": 1.0 if best is not None and number == best else 0.4,
        }
        for name, number in zip(names, numbers, strict=True)
    ]
    largest: float = max((row["value"] for row in rows), default=0.0) or 1.0
    label_room = largest * 48 / max(across - 48, 1)
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(
            "name:N",
            sort=names,
            title=None,
            axis=alt.Axis(
                domain=False, ticks=False, labelFontSize=TEXT, labelColor=INK.light, labelLimit=room, labelPadding=10
            )
            if room
            else None,
            scale=alt.Scale(paddingInner=0.42, paddingOuter=0.1),
        ),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, largest + label_room], nice=False)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color("colour:N", **AS_GIVEN), fillOpacity=alt.FillOpacity("strength:Q", **AS_GIVEN)
    )
    labels = base.mark_text(align="left", dx=6, fontSize=SMALL, color=INK.light).encode(text="label:N")
    title = alt.TitleParams(text=heading, subtitle=note or " ", frame="group", **_SMALL_TITLE)
    chart: alt.LayerChart = alt.LayerChart(layer=[bars, labels])
    return chart.properties(width=across, height=alt.Step(_ROW), title=title)


def _component(components: Components, number: int) -> str:
    """A component by its share of the variance and the features that weigh most in it."""
    ranked = sorted(components.loadings.items(), key=lambda item: -abs(item[1][number]))[:2]
    weights = [
        f"{'+' if loading[number] > 0 else '−'} {fmt.humanized(name)}" for name, loading in ranked if loading[number]
    ]
    return f"Component {number + 1} ({fmt.share(components.shares[number], 0)} of variance): {', '.join(weights)}"


def _apart(centres: pd.DataFrame, points: pd.DataFrame) -> list[dict[str, Any]]:
    """The labels' places, moved up where two would lie on one another."""
    height = float(points["y"].max() - points["y"].min()) or 1.0
    across = float(points["x"].max() - points["x"].min()) or 1.0
    placed: list[dict[str, Any]] = []
    for label, x, y in centres.sort_values("y")[["segment", "x", "y"]].itertuples(index=False):
        for other in sorted(placed, key=lambda row: row["y"]):
            if abs(other["x"] - x) < 0.2 * across and abs(other["y"] - y) < 0.05 * height:
                y = other["y"] + 0.05 * height
        placed.append({"segment": label, "x": x, "y": y})
    return placed


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({names[:i].count(name) + 1})" for i, name in enumerate(names)]


def _titled(chart: alt.LayerChart, title: str, note: str) -> alt.LayerChart:
    titled: alt.LayerChart = chart.properties(title=_title(title, note), background=SURFACE.light, padding=16)
    return titled


def _configured(chart: _Concatenated, title: str, note: str) -> _Concatenated:
    configured: _Concatenated = chart.properties(
        title=_title(title, note), background=SURFACE.light, padding=16
    ).configure_view(stroke=None)
    return configured


def _title(title: str, note: str) -> alt.TitleParams:
    return alt.TitleParams(text=title, subtitle=note, **{**_SMALL_TITLE, "fontSize": 16, "offset": 16})


def tracking(table: pd.DataFrame, *, as_of: date, width: int) -> alt.LayerChart:
    """Repeats summed up by week, actual and expected, with a rule at the date that the model was fitted at."""
    epoch = pd.Timestamp(1970, 1, 1)
    shown = table.assign(date=[(epoch + pd.Timedelta(days=int(day))).isoformat() for day in table["day"]])
    rows = [
        {"date": day, "kind": kind, "value": float(value)}
        for kind in ("actual", "expected")
        for day, value in zip(shown["date"], shown[kind], strict=True)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("date:T", title=None, axis=plain_axis(grid=False, tickCount=8)),
        y=alt.Y("value:Q", title=None, axis=plain_axis(grid=True, tickCount=5, format=",")),
    )
    lines = [
        base.transform_filter(f"datum.kind == '{kind}'").mark_line(color=colour, strokeWidth=2.5, strokeDash=dash)
        for kind, colour, dash in (("actual", ACCENT.light, [1, 0]), ("expected", BELOW.light, [6, 4]))
    ]
    rule = alt.Chart(data([{"date": as_of.isoformat()}])).mark_rule(color=SOFT.light, strokeDash=[2, 3])
    chart = layered_chart([*lines, rule.encode(x="date:T")], width, fixed_height=320)
    note = f"Days with a purchase after the first, summed up; solid: actual, dashed: expected by the model of {as_of}"
    return _titled(chart, "Purchases over time", note)


def repeats(table: pd.DataFrame, *, width: int) -> alt.LayerChart:
    """Customers by repeats, bars of actual and expected side by side."""
    most = int(table["repeats"].max())
    names = [str(number) if number < most else f"{most}+" for number in table["repeats"]]
    rows = [
        {"name": name, "kind": kind, "value": float(value), "colour": colour}
        for kind, colour in (("actual", ACCENT.light), ("expected", BELOW.light))
        for name, value in zip(names, table[kind], strict=True)
    ]
    bars = (
        alt.Chart(data(rows))
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X("name:N", sort=names, title="Days with a purchase after the first", axis=plain_axis(labelAngle=0)),
            xOffset=alt.XOffset("kind:N", sort=["actual", "expected"]),
            y=alt.Y("value:Q", title=None, axis=plain_axis(grid=True, tickCount=5, format=",")),
            color=alt.Color("colour:N", **AS_GIVEN),
        )
    )
    note = "Customers; left: actual, right: expected of new customers known for as long"
    return _titled(layered_chart([bars], width, fixed_height=320), "How often customers bought again", note)


def spend(table: pd.DataFrame, *, width: int, note: str) -> alt.LayerChart:
    """Mean value of a purchase day by frequency, a circle as large as its customers, and the mean of all."""
    names = ("days", "mean", "customers", "expected")
    rows = [dict(zip(names, values, strict=True)) for values in table[[*names]].astype(float).to_numpy().tolist()]
    base = alt.Chart(data(rows)).encode(
        x=alt.X(
            "days:Q",
            title="Days with a purchase",
            scale=alt.Scale(type="log", nice=False),
            axis=plain_axis(grid=False, tickCount=8, format="~s"),
        )
    )
    axis = plain_axis(grid=True, tickCount=5, format="~s")
    circles = base.mark_circle(color=ACCENT.light, opacity=0.6).encode(
        y=alt.Y("mean:Q", title=None, axis=axis),
        size=alt.Size("customers:Q", legend=None, scale=alt.Scale(range=[12, 700])),
    )
    line = base.mark_line(color=BELOW.light, strokeWidth=2, strokeDash=[6, 4]).encode(y="expected:Q")
    return _titled(layered_chart([circles, line], width, fixed_height=320), "Spend against frequency", note)
