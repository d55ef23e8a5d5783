"""From the blocks of a paper to Markdown: sections, paragraphs made whole again, tables at their captions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from train.pdf_layout import Body, Piece
from train.pdf_text import Element
from train.pdf_words import Lines
from train.tables import Table

_LEFT_OUT = re.compile(r"(?:[\dA-Z][\d.]* )?(?:references|bibliography|(?:table of )?contents|authors?|author list|"
                       r"(?:author )?contributions? (?:and|&) acknowledge?ments?|author contributions?|"
                       r"acknowledge?ments?|list of (?:figures|tables|contributors))", re.I)
_CLOSED = re.compile(r"[.!?:;…][\"'”’)\]]*\d{0,2}$")


@dataclass
class Flow:
    """The Markdown under construction: blocks done, the paragraph that may go on, and what waits behind it."""

    lines: Lines
    tables: dict[tuple[int, str], Table]
    blocks: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    placed: set[tuple[int, str]] = field(default_factory=set)
    _open: str = ""
    _closed_by_bold: bool = False
    _waiting: list[str] = field(default_factory=list)
    _page: int = 0
    _skip: int = 0
    _depth: int = 1

    def add(self, piece: Piece) -> None:
        if piece.role == "heading":
            self._heading(piece)
        elif self._skip:
            return
        elif piece.role == "table":
            self._table(piece)
        elif piece.role == "figure":
            self._aside(f"{piece.label}: {self._line(piece.text)}".rstrip(": "))
        elif piece.role == "footnote":
            self._aside(f"Footnote: {self._line(piece.text)}")
        elif piece.role == "drawn":
            self._drawn(piece)
        elif piece.role == "formula":
            number = re.search(r"\((\d{1,3}|[A-Z]\.\d+)\)\s*$", piece.text)
            mark = f"[formula ({number[1]})]" if number else "[formula]"
            self._open = f"{self._open} {mark}".strip()
        else:
            self._text(piece)
        self._page = piece.page

    def close(self) -> None:
        """End the paragraph; what waited for its end follows."""
        if self._open and self._open != "[formula]":
            self.blocks.append(self._open)
        self._open = ""
        self.blocks += self._waiting
        self._waiting = []

    def unplaced(self, page: int) -> None:
        """Put the tables of pages before `page` that no caption called at this place."""
        for key, table in self.tables.items():
            if key[0] < page and key not in self.placed and not self._skip:
                self.placed.add(key)
                self._aside(f"{table.label}\n\n{table.markdown()}".strip())

    def _line(self, text: str) -> str:
        return self.lines.join(text.split("\n"))

    def _heading(self, piece: Piece) -> None:
        text = self._line(piece.text)
        if self._skip and (piece.level == 9 or (self._skip == 2 and re.search(r" \d+$", text))):
            return
        self.close()
        level = min(self._depth + 1, 4) if piece.level == 9 else piece.level
        self._depth = self._depth if piece.level == 9 else piece.level
        self._skip = 0
        if _LEFT_OUT.fullmatch(text):
            self._skip = 2 if "contents" in text.lower() else 1
            self.left_out.append(text)
            return
        self.headings.append((level, text))
        self.blocks.append(f"{'#' * (level + 1)} {text}")

    def _table(self, piece: Piece) -> None:
        key = (piece.page, piece.label)
        caption = f"{piece.label}: {self._line(piece.text)}".rstrip(": ")
        if key in self.tables and key not in self.placed:
            self.placed.add(key)
            self._aside(f"{caption}\n\n{self.tables[key].markdown()}")
        else:
            self.captions.append(piece.label)
            self._aside(caption)

    def _drawn(self, piece: Piece) -> None:
        """A table that the reader found by its grid and that stood outside the recognised ones."""
        cells = [row for row in piece.cells if any(row)]
        wide = max(map(len, cells), default=0)
        filled = sum(1 for row in cells for cell in row if cell)
        if len(cells) > 1 and wide > 1 and filled >= 0.5 * len(cells) * wide:
            rows = tuple(tuple(row) + ("",) * (wide - len(row)) for row in cells)
            self._aside(Table(piece.page, (0, 0, 0, 0), "", rows[0], rows[1:]).markdown())
        elif len(re.findall(r"\b[a-z]{3,}\b", piece.text)) >= 10:
            self._aside(self._line(piece.text))

    def _aside(self, text: str) -> None:
        if text.startswith("Footnote: ") or self._open:
            self._waiting.append(text)
        else:
            self.blocks.append(text)

    def _text(self, piece: Piece) -> None:
        text = self._line(piece.text)
        if not text:
            return
        if self._goes_on(text, piece):
            self._open = self.lines.join([self._open, text])
            return
        self.close()
        self._closed_by_bold = piece.bold and len(text) < 80
        text = re.sub(r"^([#|>]|---)", r"\\\1", text)
        self._open = f"- {text}" if piece.role == "item" else text

    def _goes_on(self, text: str, piece: Piece) -> bool:
        """Whether `text` continues the open paragraph across a page, a column or a figure."""
        if not self._open or self._closed_by_bold:
            return False
        if piece.role == "item":
            return not _CLOSED.search(self._open) and not self._open.endswith((",", "]")) and piece.label[-1] in ".)"
        if re.search(r"\w-$", self._open) and text[0].isalnum():
            return True
        if text[0].islower() or text[0] in ",;)":
            return True
        return not _CLOSED.search(self._open) and not self._open.endswith("]")


def by_caption(tables: list[Table]) -> dict[tuple[int, str], Table]:
    """Tables by page and label; one without a label of its own gets a place number."""
    found: dict[tuple[int, str], Table] = {}
    for i, table in enumerate(tables):
        key = (table.page, table.label)
        found[(table.page, f"{table.label}#{i}") if not table.label or key in found else key] = table
    return found


def title_of(elements: list[Element], body: Body, fallback: str) -> tuple[str, int]:
    """The title (the largest letters on page 1) and the number of elements up to its end; `fallback` and 0 where
    nothing there is larger than the text."""
    first = [(i, e) for i, e in enumerate(elements) if e.page == 1 and e.kind in ("heading", "text")
             and e.box[0] < e.box[2] and len(re.findall(r"[^\W\d_]", e.text)) > 5
             and not re.match(r"arXiv:|abstract\W*$|\d+\.?\s", e.text, re.I)]
    size = max((e.size for _, e in first[:12]), default=0.0)
    if size < body.size + 1:
        return fallback, 0
    run = [(i, e) for i, e in first[:12] if e.size > size - 0.3]
    same = [run[0]]
    for i, e in run[1:]:
        if i == same[-1][0] + 1:
            same.append((i, e))
    return " ".join(" ".join(e.text.split()) for _, e in same), same[-1][0] + 1


def front(elements: list[Element], start: int, body: Body) -> tuple[int, bool]:
    """Where the paper's text begins behind the authors, and whether there were any: at the abstract, at the
    first heading, or at the first paragraph of prose."""
    for i, e in enumerate(elements[start:start + 60], start):
        if e.page > 2:
            break
        text = e.text.strip()
        if re.match(r"abstract\b", text, re.I) or re.match(r"(?:1|I)\.?\s+introduction\b", text, re.I):
            return i, i > start
        if len(re.findall(r"\b[a-z]{2,}\b", text)) >= 25 and body.sets(e):
            return i, i > start
    return start, False
