"""Words, lines and columns of a table: where the white gaps are that all its rows leave free."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Rule:
    """A drawn line: horizontal when `top == bottom`, vertical when `x0 == x1` (points, from the top left)."""

    x0: float
    x1: float
    top: float
    bottom: float
    width: float = 0.5


@dataclass(frozen=True)
class Word:
    """A word on a page, in points from the top left."""

    text: str
    x0: float
    x1: float
    top: float
    bottom: float

    @property
    def mid(self) -> float:
        return (self.x0 + self.x1) / 2


Line = list[Word]
Span = tuple[int, int]

_COLUMN_GAP = 0.5
"""A white gap at least this share of the letter height wide, through all rows, parts two columns."""


@dataclass(frozen=True)
class Columns:
    """Left borders of the columns, and the horizontal extent of the body's text in each."""

    borders: tuple[float, ...]
    extents: tuple[tuple[float, float], ...]

    def at(self, x: float) -> int:
        return max((i for i, border in enumerate(self.borders) if border <= x), default=0)

    def middle(self, span: Span) -> float:
        return (self.extents[span[0]][0] + self.extents[span[1]][1]) / 2


def text_lines(words: list[Word]) -> list[Line]:
    """Words gathered into lines by their lower edge, lines top to bottom, words left to right."""
    if not words:
        return []
    tolerance = 0.35 * median(w.bottom - w.top for w in words)
    lines: list[Line] = []
    for word in sorted(words, key=lambda w: (w.bottom, w.x0)):
        if lines and word.bottom - max(w.bottom for w in lines[-1]) <= tolerance:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=lambda w: w.x0) for line in lines]


def join(parts: list[str]) -> str:
    """Pieces of one cell, top to bottom; a piece that ends in a hyphen takes the next without a space."""
    text = ""
    for part in filter(None, parts):
        text += part if not text or re.search(r"\w-$", text) else f" {part}"
    return text


def runs_of(line: Line, gap: float) -> list[Line]:
    """A line parted where two words stand further apart than `gap` points."""
    runs: list[Line] = []
    for word in line:
        if runs and word.x0 - runs[-1][-1].x1 <= gap:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def find_columns(lines: list[Line], height: float, upright: list[Rule]) -> Columns:
    """Borders in the white gaps that the lines have in common."""
    left, right = min(line[0].x0 for line in lines), max(line[-1].x1 for line in lines)
    wide = 0.25 * (right - left)
    tabular = [line for line in lines
               if len(runs := runs_of(line, height)) > 1 or runs[0][-1].x1 - runs[0][0].x0 < wide]
    lines = tabular or lines
    allowed = 0.12 * len(lines)
    cover = [0] * (int(right - left) + 2)
    for line in lines:
        for i in {i for w in line for i in range(int(w.x0 - left), int(w.x1 - left) + 1)}:
            cover[i] += 1
    drawn = [rule.x0 - left for rule in upright]
    borders, start = [left - 1], None
    for i, count in enumerate(cover):
        if count <= allowed:
            start = i if start is None else start
            continue
        if start is not None and start > 0:
            ruled = any(start - 1 <= x <= i + 1 for x in drawn)
            if i - start >= (1 if ruled else _COLUMN_GAP * height):
                borders.append(left + (start + i) / 2)
        start = None
    columns = Columns(tuple(borders), tuple((b, b) for b in borders))
    inside: list[list[Word]] = [[] for _ in borders]
    for line in lines:
        for word in line:
            inside[columns.at(word.mid)].append(word)
    return Columns(tuple(borders), tuple((min(w.x0 for w in ws), max(w.x1 for w in ws)) if ws else (b, b)
                                         for ws, b in zip(inside, borders, strict=True)))
