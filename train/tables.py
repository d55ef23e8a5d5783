"""Find the tables of a PDF page by their rules, with pdfplumber.

A table is bounded by horizontal rules of one width (booktabs style, or a drawn grid) and stands next
to its caption ("Table 3 | ...", "Table 3: ..."). Charts have rules of one width too, so a region
without a caption counts only where nearly every cell is filled, most of them with figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from train.pdf_words import plain
from train.table_cells import read_cells
from train.table_columns import Line, Rule, Word, text_lines

Box = tuple[float, float, float, float]
"""x0, top, x1, bottom in points from the page's top left."""

_CAPTION = re.compile(r"(Table|TABLE|Figure|FIGURE|Fig\.)\s+([A-Z]?\.?\d+(?:\.\d+)?|[IVXL]+)\s*([|:.]|$)")
_REACH = 45.0
"""A caption further than this from the rules is another table's, in points."""


@dataclass(frozen=True)
class Table:
    """One table: where it stands, the label of its caption ("Table 5" or ""), column names and rows."""

    page: int
    box: Box
    label: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        def line(cells: tuple[str, ...]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        return "\n".join([line(self.header), "|" + "---|" * len(self.header), *map(line, self.rows)])


@dataclass(frozen=True)
class _Caption:
    label: str
    box: Box


def find_tables(page: Any) -> list[Table]:
    """The tables of a pdfplumber page, top to bottom."""
    words = [Word(plain(w["text"]), w["x0"], w["x1"], w["top"], w["bottom"])
             for w in page.extract_words(x_tolerance_ratio=0.15) if w["upright"]]
    captions = _captions(words)
    flat, upright = _rules(page)
    regions = [region for group in _groups(flat) for region in _regions(group, captions)]
    labels = _label(regions, captions)
    found: list[Table] = []
    for region, label in zip(regions, labels, strict=True):
        box = (region[0].x0, region[0].top, region[0].x1, region[-1].top)
        if any(_inside(box, table.box) for table in found):
            continue
        cells = _read(box, region, words, flat, upright)
        if cells and ((label.startswith("Table") and _is_filled(*cells)) or (not label and _is_dense(*cells))):
            found.append(Table(page.page_number, box, label, *cells))
    return sorted(found, key=lambda table: (table.box[1], table.box[0]))


def _rules(page: Any) -> tuple[list[Rule], list[Rule]]:
    """Horizontal rules, pieces of one line joined, and vertical rules of the page."""
    flat, upright = [], []
    for r in page.lines + page.rects:
        wide, high = r["x1"] - r["x0"], r["bottom"] - r["top"]
        if high < 2 and wide > 10:
            thick = high if high > 0.05 else r.get("linewidth") or 0.5
            flat.append(Rule(r["x0"], r["x1"], r["top"], r["top"], thick))
        elif wide < 2 and high > 4:
            upright.append(Rule(r["x0"], r["x0"], r["top"], r["bottom"]))
    joined: list[Rule] = []
    for rule in sorted(flat, key=lambda r: (round(r.top), r.x0)):
        last = joined[-1] if joined else None
        if last and abs(last.top - rule.top) < 0.8 and -2 <= rule.x0 - last.x1 <= 2:
            joined[-1] = Rule(last.x0, max(last.x1, rule.x1), last.top, last.top, last.width)
        elif not (last and abs(last.top - rule.top) < 0.8 and abs(last.x0 - rule.x0) < 1):
            joined.append(rule)
    return joined, upright


def _groups(rules: list[Rule]) -> list[list[Rule]]:
    """Rules with the same ends, wide enough to bound a table, wider groups first."""
    groups: list[list[Rule]] = []
    for rule in sorted(rules, key=lambda r: r.top):
        if rule.x1 - rule.x0 < 60:
            continue
        home = next((g for g in groups if abs(g[0].x0 - rule.x0) < 3 and abs(g[0].x1 - rule.x1) < 3), None)
        if home is None:
            groups.append([rule])
        elif rule.top - home[-1].top > 1.5:
            home.append(rule)
    return sorted((g for g in groups if len(g) > 1), key=lambda g: g[0].x0 - g[0].x1)


def _regions(group: list[Rule], captions: list[_Caption]) -> list[list[Rule]]:
    """A group parted into tables: at a caption between two rules, and after a closing heavy rule."""
    heavy = max(rule.width for rule in group) / 1.25
    marks = [rule.width > heavy for rule in group]
    paired = sum(marks) % 2 == 0 and marks[0] and marks[-1] and not all(marks)
    parts: list[list[Rule]] = [[group[0]]]
    opened = 1
    for before, rule, mark in zip(group, group[1:], marks[1:], strict=False):
        between = any(before.top - 2 < (c.box[1] + c.box[3]) / 2 < rule.top + 2 and c.box[0] < rule.x1
                      and c.box[2] > rule.x0 for c in captions)
        if between or (paired and mark and opened % 2 == 0):
            parts.append([])
        parts[-1].append(rule)
        opened += mark
    return [part for part in parts if len(part) > 1]


def _captions(words: list[Word]) -> list[_Caption]:
    """Captions by their first words at the beginning of a text line; the box goes down to their last line."""
    found = []
    for line in text_lines(words):
        for i, word in enumerate(line[:-1]):
            if word.text not in ("Table", "TABLE", "Figure", "FIGURE", "Fig."):
                continue
            height = word.bottom - word.top
            if i and word.x0 - line[i - 1].x1 < 1.2 * height:
                continue
            match = _CAPTION.match(" ".join(w.text for w in line[i:i + 3]))
            if match:
                kind = "Table" if match[1].lower() == "table" else "Figure"
                found.append(_Caption(f"{kind} {match[2]}", _block(word, line[i:], words)))
    return found


def _block(first: Word, line: Line, words: list[Word]) -> Box:
    """The box of the paragraph that begins with `line`, as far as lines follow without a gap."""
    height = first.bottom - first.top
    row = [line[0]]
    for word in line[1:]:
        if word.x0 - row[-1].x1 > 1.5 * height:
            break
        row.append(word)
    x0, x1, bottom = row[0].x0, row[-1].x1, max(w.bottom for w in row)
    for below in text_lines([w for w in words if w.top > first.top + 0.5 * height and w.x1 > x0 and w.x0 < x1]):
        if below[0].bottom - bottom > 1.6 * height or abs((below[0].bottom - below[0].top) - height) > 0.1 * height:
            break
        bottom = max(w.bottom for w in below)
    return x0, first.top, x1, bottom


def _label(regions: list[list[Rule]], captions: list[_Caption]) -> list[str]:
    """The label of each region's caption. A page sets its captions below or above; the side that serves
    more regions wins, then the nearer one. Captions of figures stand below."""
    sides = [_pair(regions, captions, below) for below in (True, False)]
    best = min(sides, key=lambda side: (-len(side), sum(gap for gap, _ in side.values())))
    return [best[i][1] if i in best else "" for i in range(len(regions))]


def _pair(regions: list[list[Rule]], captions: list[_Caption], below: bool) -> dict[int, tuple[float, str]]:
    """For each region the distance and label of the nearest caption on one side, each caption once."""
    pairs = []
    for i, region in enumerate(regions):
        for j, caption in enumerate(captions):
            x0, top, x1, bottom = caption.box
            side = below or caption.label.startswith("Figure")
            gap = top - region[-1].top if side else region[0].top - bottom
            if x0 < region[0].x1 and x1 > region[0].x0 and -6 < gap < _REACH:
                pairs.append((abs(gap), i, j))
    found: dict[int, tuple[float, str]] = {}
    used: set[int] = set()
    for gap, i, j in sorted(pairs):
        if i not in found and j not in used:
            found[i] = gap, captions[j].label
            used.add(j)
    return found


def _read(box: Box, region: list[Rule], words: list[Word], flat: list[Rule], upright: list[Rule],
          ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    x0, top, x1, bottom = box
    inner = [w for w in words if x0 - 2 <= w.mid <= x1 + 2 and top - 1 <= (w.top + w.bottom) / 2 <= bottom + 1]
    if len(inner) < 4:
        return None
    partial = [r for r in flat if top < r.top < bottom and r.x0 >= x0 - 1 and r.x1 <= x1 + 1
               and r.x1 - r.x0 < 0.97 * (x1 - x0)]
    drawn = [r for r in upright if x0 + 2 < r.x0 < x1 - 2 and r.top > top - 2 and r.bottom < bottom + 2]
    boxed = all(any(abs(r.x0 - side) < 3 and r.top > top - 2 and r.bottom < bottom + 2 for r in upright)
                for side in (x0, x1))
    return read_cells(inner, [rule.top for rule in region], partial, drawn, boxed)


def _is_filled(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> bool:
    """Whether the columns behind the first have text; running text between two rules has not."""
    cells = [cell for row in rows for cell in row[1:]]
    return len([cell for cell in cells if cell]) >= 0.4 * len(cells)


def _is_dense(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> bool:
    """Whether a region without a caption is surely a table: filled cells, most of them figures."""
    cells = [cell for row in rows for cell in row[1:]]
    filled = [cell for cell in cells if cell]
    figures = [cell for cell in filled if re.search(r"\d", cell) or cell in "-–—"]
    return (len(header) > 2 and len(rows) > 2 and all(header[1:]) and len(filled) >= 0.8 * len(cells)
            and len(figures) >= 0.5 * len(cells))


def _inside(inner: Box, outer: Box) -> bool:
    return (outer[0] - 2 <= inner[0] and inner[2] <= outer[2] + 2
            and outer[1] - 2 <= inner[1] and inner[3] <= outer[3] + 2)
