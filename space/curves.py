"""Curves of a training run as plain plotly dicts: losses and speed.

As in `space.plots`, backgrounds are transparent and texts mid-grey, so that they read on light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence

from space.plots import GRID, INK, Figure, colour
from space.run_log import TrainingRun

TRAIN, DEV = colour("tuned"), INK
WINDOW = 25
"""Steps in the running mean: rows of like length share a batch, so single steps jump."""


def running_mean(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """The mean of each value and up to `window - 1` before it."""
    means, total = [], 0.0
    for n, value in enumerate(values):
        total += value - (values[n - window] if n >= window else 0.0)
        means.append(total / min(n + 1, window))
    return means


def losses(run: TrainingRun) -> Figure | None:
    """Train loss by step, its running mean, and the dev losses with the lowest and the kept one marked.
    None where the run has no losses yet."""
    if not run.losses and not run.dev:
        return None
    steps, values = [step for step, _ in run.losses], [round(loss, 4) for _, loss in run.losses]
    data: list[Figure] = [
        {"type": "scatter", "mode": "lines", "name": "train, each step", "x": steps, "y": values, "opacity": 0.3,
         "line": {"color": TRAIN, "width": 1}, "hoverinfo": "skip"},
        {"type": "scatter", "mode": "lines", "name": f"train, mean of {WINDOW} steps", "x": steps,
         "y": [round(mean, 4) for mean in running_mean(values)], "line": {"color": TRAIN, "width": 2.5},
         "hovertemplate": "step %{x}: train %{y:.3f}<extra></extra>"}]
    if run.dev:
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": "dev, after each epoch",
            "x": [e.step for e in run.dev], "y": [round(e.loss, 4) for e in run.dev],
            "line": {"color": DEV, "width": 2, "dash": "dot"},
            "marker": {"color": DEV, "size": [15 if e == run.lowest else 9 for e in run.dev],
                       "symbol": ["star" if e == run.lowest else "diamond" for e in run.dev]},
            "text": [f"epoch {e.epoch:g}" for e in run.dev],
            "hovertemplate": "%{text}: dev %{y:.4f}<extra></extra>"})
    layout = _layout("step", "loss (lower is better)")
    layout["annotations"] = _marks(run)
    return {"data": data, "layout": layout, "config": _CONFIG}


def speed(run: TrainingRun) -> Figure | None:
    """Tokens a second by step; None where the log does not time its steps."""
    if not run.speeds:
        return None
    steps, values = [step for step, _ in run.speeds], [round(value, 1) for _, value in run.speeds]
    data = [{"type": "scatter", "mode": "lines", "name": "tokens/s", "x": steps, "y": values,
             "line": {"color": TRAIN, "width": 1.5}, "hovertemplate": "step %{x}: %{y:.0f} tokens/s<extra></extra>"}]
    layout = _layout("step", "tokens/s", height=220)
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": layout, "config": _CONFIG}


def _marks(run: TrainingRun) -> list[Figure]:
    """The words at the lowest and at the kept dev loss; one pair of words where they are the same."""
    named = {}
    if run.lowest:
        named[run.lowest] = "lowest dev loss"
    if run.kept:
        named[run.kept] = "lowest dev loss, kept" if run.kept == run.lowest else "kept"
    return [{"x": e.step, "y": e.loss, "text": f"<b>{text}</b>", "showarrow": True, "arrowhead": 0, "ax": 0,
             "ay": -30, "arrowcolor": INK, "font": {"color": INK, "size": 12}, "xanchor": "right"}
            for e, text in named.items()]


def _layout(x: str, y: str, height: int = 360) -> Figure:
    def axis(title: str) -> Figure:
        return {"title": {"text": title, "standoff": 8}, "gridcolor": GRID, "zerolinecolor": GRID, "fixedrange": True,
                "automargin": True}

    return {
        "height": height, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 12, "family": "ui-sans-serif, system-ui, Segoe UI, sans-serif"},
        "margin": {"l": 48, "r": 12, "t": 34, "b": 40}, "dragmode": False, "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#1b222c", "bordercolor": "#1b222c", "font": {"color": "#ffffff"}},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}, "xaxis": axis(x), "yaxis": axis(y)}


_CONFIG = {"displayModeBar": False, "responsive": True}
