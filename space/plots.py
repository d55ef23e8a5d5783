"""Figures of the dashboard as plain plotly dicts, in the variants' colours.

A figure is {"data", "layout", "config"}, as plotly.js reads it: the tab and the static page draw the
same one, and no plotting library is loaded. Backgrounds are transparent and texts mid-grey, so a
figure reads on light and dark; where the page's style sheet is there, texts take the theme's ink.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import Any

from space import palette
from space.results import EvalRecord, EvalRun, Mean, Metric
from space.schema import VARIANTS

Figure = dict[str, Any]
INK, GRID = palette.NEUTRAL, "rgba(123, 135, 148, .28)"
ROW_PX, TITLE_ROWS, LINE_ROWS, GAP_ROWS = 21, 1.15, 0.8, 0.55
NARROW = 42
"""Characters of a title that a phone's width holds."""


def colour(variant: str) -> str:
    """The colour of a variant's bars and points; grey for one that this version does not know."""
    return palette.MARKS.get(variant, palette.NEUTRAL)


def label(variant: str) -> str:
    """The name of a variant on screen."""
    return VARIANTS[variant].label if variant in VARIANTS else variant


def is_share(metric: Metric) -> bool:
    """Whether the metric lies between 0 and 1, so that it can share an axis with others."""
    return not metric.unit


def title(metric: Metric) -> str:
    """The metric's name with what a reader must know of it: its unit, and which way is better."""
    notes = [metric.unit] if metric.unit else []
    notes += ["lower is better"] if metric.better == "lower" else []
    return f"{metric.label} ({', '.join(notes)})" if notes else metric.label


def number(value: float | None, metric: Metric) -> str:
    """A mean as it is written: two decimals for shares, three digits or so for the rest."""
    if value is None:
        return "–"
    if is_share(metric) or abs(value) < 10:
        text = f"{value:.2f}".replace("-0.00", "0.00")
    else:
        text = f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


def bars(run: EvalRun, metrics: Sequence[Metric]) -> Figure | None:
    """Means with 95 % intervals, a group of bars for each metric; all on one axis from 0 to 1, or one
    metric on its own axis. A withheld mean has no bar but says so. None where nothing was scored."""
    groups = [(m, found) for m in metrics if (found := means_of(run, m.key))]
    if not groups:
        return None
    place, titles, texts = 0.0, [], []
    traces: dict[str, Figure] = {v: _bar_trace(v) for v in run.variants}
    top = max([1.0] if is_share(groups[0][0]) else [m.high or m.mean or 0 for _, f in groups for m in f])
    for metric, found in groups:
        lines = [_safe(line) for line in wrap(title(metric), NARROW)]
        titles.append(_note("<br>".join(lines), place + (len(lines) - 1) / 2 * LINE_ROWS, bold=True))
        place += TITLE_ROWS + (len(lines) - 1) * LINE_ROWS
        for mean in found:
            _add_bar(traces[mean.variant], mean, metric, place)
            texts.append(_value_text(mean, metric, place, top))
            place += 1
        place += GAP_ROWS
    layout = _layout(place)
    layout["annotations"] = titles + texts
    layout["xaxis"] |= {"range": [0, 1.14 * (top or 1)]} | (
        {"tickvals": [0, 0.25, 0.5, 0.75, 1]} if is_share(groups[0][0]) else {"nticks": 6})
    return {"data": [t for t in traces.values() if t["y"]], "layout": layout, "config": _CONFIG}


def spread(run: EvalRun, records: Sequence[EvalRecord], metric: Metric) -> Figure | None:
    """How the scores of one metric are distributed in each variant: a box with every answer as a
    point; where all scores are 0 or 1, how many are 1. None where nothing was scored."""
    columns = [(v, [r for r in records if r.variant == v and metric.key in r.scores]) for v in run.variants]
    columns = [(v, found) for v, found in columns if found]
    if not columns:
        return None
    yes_or_no = all(r.scores[metric.key] in (0, 1) for _, found in columns for r in found)
    height = 1.0 if yes_or_no else 2.2
    place, data, notes = 0.0, [], []
    for variant, found in columns:
        values = [r.scores[metric.key] for r in found]
        head = label(variant) + (f": {sum(values):.0f} of {len(values)}" if yes_or_no else f": {len(values)} answers")
        notes.append(_note(_safe(head), place))
        middle = place + TITLE_ROWS + (height - 1) / 2
        data.append(_counted(variant, sum(values), len(values), middle) if yes_or_no
                    else _points(variant, found, metric, middle, height))
        place += TITLE_ROWS + height + GAP_ROWS
    layout = _layout(place)
    layout["annotations"] = notes
    if yes_or_no:
        layout["xaxis"] |= {"range": [0, max(len(found) for _, found in columns)], "nticks": 6}
    elif is_share(metric):
        layout["xaxis"] |= {"range": [-0.02, 1.02]}
    return {"data": data, "layout": layout, "config": _CONFIG}


def means_of(run: EvalRun, metric: str) -> list[Mean]:
    """The means of one metric, in the order of the run's variants."""
    order = {v: n for n, v in enumerate(run.variants)}
    return sorted((m for m in run.means if m.metric == metric and m.variant in order), key=lambda m: order[m.variant])


def _bar_trace(variant: str) -> Figure:
    return {"type": "bar", "orientation": "h", "name": label(variant), "x": [], "y": [], "hovertext": [],
            "hoverinfo": "text", "width": 0.74, "marker": {"color": colour(variant)},
            "error_x": {"type": "data", "symmetric": False, "array": [], "arrayminus": [], "color": INK,
                        "thickness": 1.6, "width": 3}}


def _add_bar(trace: Figure, mean: Mean, metric: Metric, place: float) -> None:
    hidden = mean.withheld or mean.mean is None
    value = 0.0 if hidden else mean.mean or 0.0
    trace["y"].append(place)
    trace["x"].append(value)
    trace["error_x"]["array"].append(0 if hidden or mean.high is None else max(mean.high - value, 0))
    trace["error_x"]["arrayminus"].append(0 if hidden or mean.low is None else max(value - mean.low, 0))
    trace["hovertext"].append(
        f"<b>{_safe(label(mean.variant))}</b><br>{_safe(title(metric))}<br>"
        + ("withheld" if hidden else f"{number(mean.mean, metric)} {interval(mean, metric)}")
        + f"<br>{mean.scored} of {mean.expected} scored, {mean.documents} documents")


def interval(mean: Mean, metric: Metric) -> str:
    """`[0.15, 0.27]`, or why there is none."""
    if mean.low is None or mean.high is None:
        return "(too few documents for an interval)"
    return f"[{number(mean.low, metric)}, {number(mean.high, metric)}]"


def _value_text(mean: Mean, metric: Metric, place: float, top: float) -> Figure:
    if mean.withheld or mean.mean is None:
        return _note(f" withheld: {mean.scored} of {mean.expected} scored", place, x=0.0)
    end = max(mean.mean, mean.high or 0.0)
    return _note(f" {number(mean.mean, metric)}", place, x=end + 0.005 * top)


def _counted(variant: str, count: float, total: int, place: float) -> Figure:
    trace = _bar_trace(variant)
    del trace["error_x"]
    return trace | {"x": [count], "y": [place], "hovertext": [f"{label(variant)}: {count:.0f} of {total}"]}


def _points(variant: str, found: Sequence[EvalRecord], metric: Metric, place: float, height: float) -> Figure:
    return {"type": "box", "orientation": "h", "name": label(variant), "x": [r.scores[metric.key] for r in found],
            "y": [place] * len(found), "width": height * 0.8, "boxpoints": "all", "jitter": 0.7, "pointpos": 0,
            "fillcolor": "rgba(0,0,0,0)", "line": {"color": colour(variant), "width": 1.6}, "hoveron": "points",
            "text": [_safe(r.id) for r in found], "hovertemplate": "%{text}: %{x}<extra></extra>",
            "marker": {"color": colour(variant), "size": 5, "opacity": 0.45}}


def _note(text: str, place: float, x: float | None = None, bold: bool = False) -> Figure:
    return {"text": f"<b>{text}</b>" if bold else text, "y": place, "yref": "y", "x": 0 if x is None else x,
            "xref": "paper" if x is None else "x", "xanchor": "left", "yanchor": "middle", "showarrow": False,
            "align": "left", "font": {"size": 13 if bold else 12, "color": INK}}


def _safe(text: str) -> str:
    """Text for plotly, which reads some HTML."""
    return escape(text, quote=False)


def _layout(rows: float) -> Figure:
    return {
        "height": round(rows * ROW_PX) + 46, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 12, "family": "ui-sans-serif, system-ui, Segoe UI, sans-serif"},
        "margin": {"l": 6, "r": 6, "t": 8, "b": 30}, "showlegend": False, "dragmode": False, "hovermode": "closest",
        "barmode": "overlay", "hoverlabel": {"bgcolor": "#1b222c", "bordercolor": "#1b222c",
                                             "font": {"color": "#ffffff"}, "align": "left"},
        "xaxis": {"fixedrange": True, "gridcolor": GRID, "zerolinecolor": GRID, "zeroline": True},
        "yaxis": {"fixedrange": True, "visible": False, "range": [rows, -0.7]},
    }


_CONFIG = {"displayModeBar": False, "responsive": True}
