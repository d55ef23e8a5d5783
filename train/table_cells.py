"""The inside of a table: words and rules of one region become a header and rows of cells.

Columns are the white gaps that the body's lines leave free (and drawn vertical rules); rows are the
text lines, or the ruled bands where every band holds one row. A header that spans several columns
is repeated into the name of each of them, a label that stands once beside a band of rows into each
of these rows.
"""

from __future__ import annotations

import re
from statistics import median

from train.table_columns import Columns, Line, Rule, Span, Word, find_columns, join, runs_of, text_lines

_WORD_GAP = 0.38
"""Words further apart than this share of the letter height are two cells of a header."""


def read_cells(words: list[Word], rules: list[float], partial: list[Rule], upright: list[Rule], boxed: bool = False,
               ) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    """Header and rows of the region, or None where it is no table (one column, or fewer than two lines).

    `rules` are the heights of its full-width rules, top to bottom, `partial` the short horizontal
    rules under spanning headers, `upright` the vertical ones; `boxed` says that its sides are drawn.
    """
    bands = [band for low, high in zip(rules, rules[1:], strict=False)
             if (band := text_lines([w for w in words if low <= (w.top + w.bottom) / 2 < high]))]
    if not bands:
        return None
    head, body = (bands[0], bands[1:]) if len(bands) > 1 else _split_head(bands[0])
    if not body:
        return None
    height = median(w.bottom - w.top for w in words)
    columns = find_columns([line for band in body for line in band], height, upright)
    if len(columns.borders) < 2:
        return None
    rows = [row for band in _bands_of_rows(body, columns, height, boxed) for row in band]
    return _header(head, columns, height, partial), tuple(tuple(row) for row in rows)


def _split_head(band: list[Line]) -> tuple[list[Line], list[list[Line]]]:
    """A table without a rule under its header: the first line is the header."""
    return band[:1], [band[1:]] if band[1:] else []


def _row(line: Line, columns: Columns, height: float) -> list[str]:
    cells: list[list[str]] = [[] for _ in columns.borders]
    single = len(runs_of(line, height)) == 1
    for word in line:
        cells[columns.at(line[0].mid if single else word.mid)].append(word.text)
    return [" ".join(cell) for cell in cells]


def _bands_of_rows(body: list[list[Line]], columns: Columns, height: float, boxed: bool) -> list[list[list[str]]]:
    bands = [[_row(line, columns, height) for line in band] for band in body]
    if len(bands) > 1 and all(_is_one_row(band, boxed) for band in bands):
        return [[[join(list(cell)) for cell in zip(*band, strict=True)]] for band in bands]
    steps = [b[0].bottom - a[0].bottom for band in body for a, b in zip(band, band[1:], strict=False)]
    pitch = median(steps) if steps else height
    result = []
    for band in body:
        lines = _gather(band, columns, pitch)
        result.append(_spread_label(_merge(lines, [_row(line, columns, height) for line in lines], pitch)))
    return result


def _gather(lines: list[Line], columns: Columns, pitch: float) -> list[Line]:
    """Put the pieces of fractions and indices, set closer than a row, into the nearer line."""
    feet = [line[0].bottom for line in lines]
    whole = [list(line) for line in lines]
    for i, line in enumerate(lines):
        if columns.at(line[-1].mid) == 0:
            continue
        near = min((j for j in (i - 1, i + 1) if 0 <= j < len(lines)), key=lambda j: abs(feet[j] - feet[i]), default=i)
        if near != i and abs(feet[near] - feet[i]) < 0.6 * pitch and len(line) < len(lines[near]) and whole[near]:
            whole[near] = sorted(whole[near] + whole[i], key=lambda w: w.x0)
            whole[i] = []
    return [line for line in whole if line]


def _is_one_row(band: list[list[str]], boxed: bool) -> bool:
    """Whether a ruled band is a single row whose longer cells wrap: most of its cells have one line, or, in a
    drawn grid, at least one cell has one and no column has figures in two."""
    columns = [[cell for cell in cells if cell] for cells in zip(*band, strict=True)]
    filled = [len(cells) for cells in columns if cells]
    if boxed and 1 in filled and not any(sum(map(_is_figure, cells)) > 1 for cells in columns):
        return True
    return len(band) == 1 or (len(filled) > 1 and filled.count(1) * 3 >= 2 * len(filled))


def _merge(lines: list[Line], rows: list[list[str]], pitch: float) -> list[list[str]]:
    """Join wrapped text to the row above: a line without a label, half of its cells empty, no figures."""
    merged: list[list[str]] = []
    bottom = 0.0
    for line, row in zip(lines, rows, strict=True):
        step = line[0].bottom - bottom
        filled = sum(map(bool, row))
        if merged and any(row[1:]) and not row[0] and step <= 1.2 * pitch and filled <= len(row) / 2 and not any(
                map(_is_figure, row)):
            merged[-1] = [join([a, b]) for a, b in zip(merged[-1], row, strict=True)]
        else:
            merged.append(row)
        bottom = line[0].bottom
    return merged


def _is_figure(cell: str) -> bool:
    return bool(re.fullmatch(r"[-–—−+~<>≈$]?[\d.,]+\s?[%KMBTx×]?|[-–—]", cell))


def _spread_label(rows: list[list[str]]) -> list[list[str]]:
    """A label that stands once in the first column beside several rows goes into each of them."""
    real = [row for row in rows if any(row[1:])]
    labels = [row[0] for row in rows if row[0]]
    own = sum(1 for row in real if row[0])
    if len(rows) < 2 or not labels or not real or own > 1 or any(not row[1] for row in real):
        return rows
    if len(real) == 1 and len(labels) > 1 and own:
        return rows
    if own and real[0][0] and len(labels) == 1 and len(real) == 1:
        return rows
    return [[join(labels), *row[1:]] for row in real]


def _header(lines: list[Line], columns: Columns, height: float, partial: list[Rule]) -> tuple[str, ...]:
    """The name of each column, its pieces top to bottom."""
    found: list[list[tuple[float, str]]] = [[] for _ in columns.borders]
    runs = [run for line in lines for run in runs_of(line, _WORD_GAP * height)]
    for run in runs:
        below = [other for other in runs if other[0].bottom > run[0].bottom + 0.5 * height]
        for piece, (first, last) in _place(run, columns, partial, below):
            for i in range(first, last + 1):
                found[i].append((run[0].bottom, " ".join(w.text for w in piece)))
    return tuple(join([text for _, text in sorted(pieces, key=lambda p: p[0])]) for pieces in found)


def _place(run: Line, columns: Columns, partial: list[Rule], below: list[Line]) -> list[tuple[Line, Span]]:
    """The columns over which a run of header words stands; words of neighbouring columns are parted."""
    x0, x1 = run[0].x0, run[-1].x1
    middle = (x0 + x1) / 2
    foot = max(w.bottom for w in run)
    centres = [columns.middle((i, i)) for i in range(len(columns.borders))]
    for rule in sorted(partial, key=lambda r: r.top):
        if rule.x0 <= middle <= rule.x1 and -0.3 * (foot - run[0].top) <= rule.top - foot <= 8:
            inside = [i for i, centre in enumerate(centres) if rule.x0 - 1 <= centre <= rule.x1 + 1]
            if inside:
                return [(run, (inside[0], inside[-1]))]
    first, last = columns.at(x0 + 0.5), columns.at(x1 - 0.5)
    if first == last:
        return [(run, (first, first))]
    named = {columns.at((other[0].x0 + other[-1].x1) / 2) for other in below}
    if last - first >= 1 and all(i in named for i in range(first, last + 1)):
        spans = [(a, b) for a in range(first, last + 1) for b in range(a, last + 1)]
        best = min(spans, key=lambda s: abs(columns.middle(s) - middle) + (0.1 if s[0] == s[1] else 0))
        if best[0] != best[1]:
            return [(run, best)]
    groups: dict[int, Line] = {}
    for word in run:
        groups.setdefault(columns.at(word.mid), []).append(word)
    if len(groups) > 1 and not _is_lopsided(groups, centres, middle):
        return [(words, (i, i)) for i, words in groups.items()]
    nearest = min(range(first, last + 1), key=lambda i: abs(centres[i] - middle))
    return [(run, (nearest, nearest))]


def _is_lopsided(groups: dict[int, Line], centres: list[float], middle: float) -> bool:
    """Whether the words are better centred as one over the nearest column than each over its own."""
    apart = max(abs((words[0].x0 + words[-1].x1) / 2 - centres[i]) for i, words in groups.items())
    return min(abs(centre - middle) for centre in centres) < apart / 2
