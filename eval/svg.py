"""Figures of the dashboard as SVG, for pages that load no plotting library.

A figure is the plotly dict that `space.plots` and `space.curves` make; what these use of plotly is drawn:
horizontal bars with error bars, boxes with points, lines and markers, annotations, axes. Places on the x axis
are percentages and sizes of text are pixels, so a figure fits every width without shrinking its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from math import ceil, floor, log10
from statistics import quantiles
from typing import Any

Figure = Mapping[str, Any]
LINE_PX = 14
MARKS = {"star": "★", "diamond": "◆"}
DASHES = {"dot": "2 3", "dash": "6 4"}


@dataclass(frozen=True)
class Frame:
    """The area of the plot in the picture and the data ranges it stands for; x in percent, y in pixels."""

    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at_x(self, value: float) -> float:
        share = (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        return round(self.left + share * (self.right - self.left), 3)

    def at_y(self, value: float) -> float:
        share = (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return round(self.bottom + share * (self.top - self.bottom), 1)


def draw(figure: Figure, name: str) -> str:
    """The figure as `<figure class="fig">`; `name` is what a screen reader hears."""
    layout, data = figure["layout"], figure["data"]
    frame = _frame(layout, data)
    marks = "".join(_TRACES[trace["type"]](trace, frame) for trace in data)
    notes = "".join(_note(note, frame) for note in layout.get("annotations", ()))
    return (f'<figure class="fig">{_legend(layout, data)}<svg width="100%" height="{layout["height"]}" role="img" '
            f'aria-label="{escape(name)}">{_axes(layout, frame)}{marks}{notes}</svg></figure>')


def _frame(layout: Figure, data: Sequence[Figure]) -> Frame:
    margin, axis_y = layout["margin"], layout["yaxis"]
    named = axis_y.get("visible", True)
    xs = [v for t in data for v in t["x"]]
    low, high = min(xs, default=0.0), max(xs, default=1.0)
    if any(t["type"] == "bar" for t in data):
        low = min(low, 0.0)
    x = layout["xaxis"].get("range") or _padded(low, high)
    return Frame(8.0 if named else 0.8, 99.2, margin["t"], layout["height"] - margin["b"], (x[0], x[1]),
                 _range_y(axis_y, data))


def _range_y(axis: Figure, data: Sequence[Figure]) -> tuple[float, float]:
    if axis.get("range"):
        return axis["range"][0], axis["range"][1]
    values = [v for t in data for v in t["y"]]
    low, high = _padded(min(values, default=0.0), max(values, default=1.0))
    return (0.0 if axis.get("rangemode") == "tozero" else low), high


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.04 or 0.5
    return low - room, high + room


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round values from `low` to `high`, about `wanted` of them, in steps of 1, 2 or 5 times a power of ten."""
    raw = ((high - low) or 1.0) / max(wanted, 1)
    power = 10.0 ** floor(log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _axes(layout: Figure, frame: Frame) -> str:
    across = layout["xaxis"]
    values = across.get("tickvals") or ticks(min(frame.x), max(frame.x), across.get("nticks", 7))
    parts = []
    for value in values:
        x = frame.at_x(value)
        parts.append(f'<line class="grid" x1="{x}%" x2="{x}%" y1="{frame.top}" y2="{frame.bottom}"/>'
                     f'<text class="tick" x="{x}%" y="{frame.bottom + 16}" text-anchor="{_anchor(x)}">{value:g}</text>')
    parts.append(_title(across, "99.2%", frame.bottom + 32, "end"))
    if layout["yaxis"].get("visible", True):
        for value in ticks(min(frame.y), max(frame.y), 6):
            y = frame.at_y(value)
            parts.append(f'<line class="grid" x1="{frame.left}%" x2="{frame.right}%" y1="{y}" y2="{y}"/>'
                         f'<text class="tick" x="{frame.left - 0.8}%" y="{y + 4}" text-anchor="end">{value:g}</text>')
        parts.append(_title(layout["yaxis"], "0", frame.top - 8, "start"))
    return "".join(parts)


def _anchor(x: float) -> str:
    return "start" if x < 2 else "end" if x > 98 else "middle"


def _title(axis: Figure, x: str, y: float, anchor: str) -> str:
    text = axis.get("title", {}).get("text", "")
    return f'<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""


def _bars(trace: Figure, frame: Frame) -> str:
    ink, error = trace["marker"]["color"], trace.get("error_x")
    parts = []
    for n, (value, place) in enumerate(zip(trace["x"], trace["y"], strict=True)):
        half = trace["width"] / 2
        top, bottom = sorted((frame.at_y(place - half), frame.at_y(place + half)))
        start, end = sorted((frame.at_x(0), frame.at_x(value)))
        whiskers = ""
        if error and (error["array"][n] or error["arrayminus"][n]):
            low, high = frame.at_x(value - error["arrayminus"][n]), frame.at_x(value + error["array"][n])
            y = (top + bottom) / 2
            whiskers = f'<line class="error" x1="{low}%" x2="{high}%" y1="{y}" y2="{y}"/>' + "".join(
                f'<line class="error" x1="{x}%" x2="{x}%" y1="{y - 3}" y2="{y + 3}"/>' for x in (low, high))
        said = _plain(trace["hovertext"][n])
        parts.append(f'<g class="bar" data-name="{escape(trace["name"])}"><title>{said}</title>'
                     f'<rect x="{start}%" width="{max(end - start, 0):.3f}%" y="{top}" height="{bottom - top:.1f}" '
                     f'fill="{ink}"/>{whiskers}</g>')
    return "".join(parts)


def _box(trace: Figure, frame: Frame) -> str:
    ink, values = trace["line"]["color"], sorted(trace["x"])
    middle, half = trace["y"][0], trace["width"] / 2
    low, mid, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    top, bottom = sorted((frame.at_y(middle - half), frame.at_y(middle + half)))
    points = "".join(
        f'<circle cx="{frame.at_x(value)}%" cy="{frame.at_y(middle + _jitter(n) * trace["width"] * 0.38):.1f}" r="2.5" '
        f'fill="{ink}" fill-opacity=".45"><title>{_plain(label)}: {value:g}</title></circle>'
        for n, (value, label) in enumerate(zip(trace["x"], trace["text"], strict=True)))
    y = frame.at_y(middle)
    whiskers = "".join(f'<line stroke="{ink}" x1="{frame.at_x(a)}%" x2="{frame.at_x(b)}%" y1="{y}" y2="{y}"/>'
                       for a, b in ((values[0], low), (high, values[-1])))
    return (f'<g class="box" data-name="{escape(trace["name"])}">{whiskers}<rect x="{frame.at_x(low)}%" '
            f'width="{max(frame.at_x(high) - frame.at_x(low), 0.1):.3f}%" y="{top}" height="{bottom - top:.1f}" '
            f'fill="none" stroke="{ink}" stroke-width="1.6"/><line stroke="{ink}" stroke-width="2.4" '
            f'x1="{frame.at_x(mid)}%" x2="{frame.at_x(mid)}%" y1="{top}" y2="{bottom}"/>{points}</g>')


def _jitter(n: int) -> float:
    """A fixed place from -1 to 1 for the nth point, evenly spread (golden-ratio sequence)."""
    return 2 * ((n * 0.6180339887) % 1) - 1


def _lines(trace: Figure, frame: Frame) -> str:
    """The line is stretched with the page (its width is not), the markers stand at percentages."""
    mode = trace.get("mode", "lines")
    drawn = _polyline(trace, frame) if "lines" in mode else ""
    for n, (x, y) in enumerate(zip(trace["x"], trace["y"], strict=True) if "markers" in mode else ()):
        label = f"{trace['text'][n]}: {y:g}" if trace.get("text") else f"{x:g}: {y:g}"
        sign = MARKS.get(trace["marker"]["symbol"][n], "●")
        drawn += (f'<text class="mark" x="{frame.at_x(x)}%" y="{frame.at_y(y) + 5}" text-anchor="middle" '
                  f'fill="{trace["marker"]["color"]}">{sign}<title>{_plain(label)}</title></text>')
    return f'<g class="line" data-name="{escape(trace["name"])}">{drawn}</g>'


def _polyline(trace: Figure, frame: Frame) -> str:
    line = trace["line"]
    points = " ".join(f"{frame.at_x(x) * 10:.1f},{frame.at_y(y)}" for x, y in zip(trace["x"], trace["y"], strict=True))
    dash = f' stroke-dasharray="{DASHES[line["dash"]]}"' if line.get("dash") in DASHES else ""
    look = f'stroke="{line["color"]}" stroke-width="{line.get("width", 2)}" stroke-opacity="{trace.get("opacity", 1)}"'
    box = f'height="{frame.bottom}" viewBox="0 0 1000 {frame.bottom}" preserveAspectRatio="none"'
    return (f'<svg width="100%" {box}><polyline points="{points}" fill="none" {look} '
            f'vector-effect="non-scaling-stroke"{dash}/></svg>')


_TRACES = {"bar": _bars, "box": _box, "scatter": _lines}


def _note(note: Figure, frame: Frame) -> str:
    x = f"{frame.left if note.get('xref') == 'paper' else frame.at_x(note['x'])}%"
    y = frame.at_y(note["y"]) + note.get("ay", 0) + 4
    anchor = {"left": "start", "right": "end"}.get(note.get("xanchor", ""), "middle")
    lines = re.split(r"<br ?/?>", note["text"])
    bold = ' font-weight="650"' if "<b>" in note["text"] else ""
    y -= (len(lines) - 1) * LINE_PX / 2
    spans = "".join(f'<tspan x="{x}" dy="{LINE_PX if n else 0}">{_plain(line)}</tspan>' for n, line in enumerate(lines))
    return f'<text class="note" x="{x}" y="{y}" text-anchor="{anchor}"{bold}>{spans}</text>'


def _plain(text: str) -> str:
    """Text for plotly as text for SVG: without tags, its line breaks kept."""
    bare = re.sub(r"</?b>", "", re.sub(r"<br ?/?>", "\n", text))
    return escape(unescape(bare), quote=False)


def _legend(layout: Figure, data: Sequence[Figure]) -> str:
    if "legend" not in layout or len(data) < 2:
        return ""
    items = "".join(
        f'<li><span class="ev-swatch" style="--swatch:{t["line"]["color"]};opacity:{max(t.get("opacity", 1), 0.35)}">'
        f"</span>{escape(t['name'])}</li>" for t in data)
    return f'<ul class="ev-legend">{items}</ul>'
