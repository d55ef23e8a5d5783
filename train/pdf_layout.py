"""What each block of a page is: heading, paragraph, item, caption, footnote, formula; and what goes.

Running heads, page numbers, the text inside figures and inside recognised tables, the contents and
the authors above the abstract are left out here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from train.pdf_text import Box, Element
from train.tables import Table

CAPTION = re.compile(r"(Table|TABLE|Figure|FIGURE|Fig\.|Algorithm|Listing)\s+([A-Z]?\.?\d+(?:\.\d+)?|[IVXL]+)"
                     r"\s*(?:[|:–—]|\.(?=\s|$))\s*", re.S)
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+(?=\S)")
_APPENDIX = re.compile(r"(?:Appendix\s+)?([A-Z](?:\.\d{1,2}){0,3})[.:]?\s+(?=[A-Z(])")
_NAMED = re.compile(r"(abstract|(?:\d+\.?\s+)?references|bibliography|acknowledge?ments?|appendix|appendices|contents|"
                    r"table of contents|introduction|conclusions?|limitations?|related work|discussion)\W*", re.I)
_BULLET = re.compile(r"(?:[•◦▪‣●○∙·–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)])\s+(?=\S)")
_LEADER = re.compile(r"(?:\.\s?){4,}\s*\d*")
_MATH = re.compile(r"[=∑∏∫√∈∉≤≥≈≠±×·∥∇∂⊤⊙→←∀∃∪∩⌊⌋⌈⌉\u0370-\u03ff]")
_PROSE = re.compile(r"\b[a-z]{3,}\b")


@dataclass(frozen=True)
class Piece:
    """A block with its role: heading (with `level`), text, item, table, figure, footnote or formula.

    For captions `label` is "Table 5" and the like, and `text` the caption behind it.
    """

    role: str
    page: int
    text: str
    label: str = ""
    level: int = 0
    bold: bool = False
    cells: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Body:
    """The letters most of a paper is set in."""

    size: float
    family: str

    def sets(self, element: Element) -> bool:
        return abs(element.size - self.size) < 0.6 and _family(element.font) == self.family


def _family(font: str) -> str:
    return re.split(r"[-,]", font.split("+")[-1])[0]


def body_letters(elements: list[Element]) -> Body:
    sizes: Counter[tuple[float, str]] = Counter()
    for e in elements:
        if e.kind in ("text", "item"):
            sizes[round(e.size, 1), _family(e.font)] += len(e.text)
    size, family = sizes.most_common(1)[0][0] if sizes else (10.0, "")
    return Body(size, family)


def pieces(elements: list[Element], tables: list[Table], heights: tuple[float, ...]) -> list[Piece]:
    """The blocks that stay, with their roles, in reading order."""
    body = body_letters(elements)
    kept = [e for e in elements if not any(t.page == e.page and _share(e.box, t.box) > 0.6 for t in tables)]
    kept = _without_figures(_without_margins(kept, heights), body)
    kept = [e for e in kept if not _is_lettering(e, body)]
    numbered = sum(1 for e in kept if e.bold and _NUMBERED.match(e.text) and e.kind != "image") >= 3
    found: list[Piece] = []
    for element in kept:
        found += _pieces_of(element, body, heights[element.page - 1], numbered)
    return _grow_formulas(found)


def _share(inner: Box, outer: Box) -> float:
    """Share of the inner box that lies in the outer one (grown by three points)."""
    wide = min(inner[2], outer[2] + 3) - max(inner[0], outer[0] - 3)
    high = min(inner[3], outer[3] + 3) - max(inner[1], outer[1] - 3)
    area = max(inner[2] - inner[0], 0.1) * max(inner[3] - inner[1], 0.1)
    return max(wide, 0) * max(high, 0) / area


def _without_margins(elements: list[Element], heights: tuple[float, ...]) -> list[Element]:
    """Leave out page numbers, and short lines that return at the same edge of several pages."""
    def edge(e: Element) -> str:
        height = heights[e.page - 1]
        return "top" if e.box[3] < 0.1 * height else "foot" if e.box[1] > 0.9 * height else ""

    def shape(e: Element) -> tuple[str, str]:
        return edge(e), re.sub(r"\d+|\b[ivxl]+\b", "#", e.text).strip()

    pages: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for e in elements:
        if edge(e) and len(e.text) < 150:
            pages[shape(e)].add(e.page)
    often = {key for key, on in pages.items() if len(on) >= min(3, max(2, len(heights) // 2))}
    return [e for e in elements
            if not (edge(e) and (shape(e) in often or re.fullmatch(r"\W*(?:page\s)?(?:\d{1,4}|[ivxl]+)\W*(?:of \d+)?",
                                                                  e.text, re.I)))
            and not re.match(r"arXiv:\d{4}\.\d{4,5}", e.text)]


def _without_figures(elements: list[Element], body: Body) -> list[Element]:
    """Leave out what stands inside a figure: from its caption up to the nearest running text."""
    gone: set[int] = {id(e) for e in elements if e.kind == "image"}
    for caption in elements:
        match = CAPTION.match(caption.text)
        if not match or not match[1].lower().startswith("fig"):
            continue
        above = [e for e in elements if e.page == caption.page and e is not caption and e.box[1] < caption.box[1]
                 and e.box[0] < caption.box[2] + 5 and e.box[2] > caption.box[0] - 5 and id(e) not in gone]
        stop = max((e.box[3] for e in above if _stands(e, body)), default=0.0)
        gone |= {id(e) for e in elements if e.page == caption.page and e.box[1] >= stop - 2
                 and e.box[3] <= caption.box[1] + 2 and not _stands(e, body)}
    return [e for e in elements if id(e) not in gone]


def _stands(element: Element, body: Body) -> bool:
    """Whether a block is text of the paper rather than lettering of a figure."""
    if element.kind in ("image", "table"):
        return False
    if CAPTION.match(element.text) or len(_PROSE.findall(element.text)) >= 10:
        return True
    if element.bold and element.size >= body.size - 0.2 and (_heading(element, body, True) or _NAMED.fullmatch(
            element.text)):
        return True
    return body.sets(element) and len(_PROSE.findall(element.text)) >= 3


def _is_lettering(element: Element, body: Body) -> bool:
    """Whether a block is the small print of a drawing whose caption stands on another page."""
    if element.kind == "table":
        return not re.search(r"[a-z]{3}", element.text)
    return (_family(element.font) != body.family and element.size < body.size - 0.7 and "http" not in element.text
            and len(_PROSE.findall(element.text)) < 10 and not CAPTION.match(element.text))


def _heading(element: Element, body: Body, numbered: bool) -> tuple[int, str] | None:
    """Level (1 is a main section) and text of a heading, or None."""
    text = element.text
    if len(text) > 160 or element.size < body.size - 1.2 or re.search(r"[.,;]$", text) or _LEADER.search(text):
        return None
    if not re.search(r"[^\W\d_]{3}", text) or _MATH.search(text):
        return None
    strong = element.bold or element.kind == "heading"
    if strong and _NAMED.fullmatch(text):
        return 1, re.sub(r"^\d+\.?\s+|\W+$", "", text)
    match = _NUMBERED.match(text) or _APPENDIX.match(text)
    if strong and match and not re.match(r"\d{1,2}\s+\d", text) and (match[1][0] != "0"):
        return match[1].count(".") + 1, f"{match[1]} {text[match.end():]}"
    if element.kind == "heading" and not numbered and element.size >= body.size - 0.2:
        return 1 if element.size > body.size + 1 else 2, text
    if element.kind == "heading" and element.bold and _family(element.font) == body.family:
        return 9, text
    return None


def _pieces_of(element: Element, body: Body, height: float, numbered: bool) -> list[Piece]:
    page = element.page
    if element.kind == "table":
        return [Piece("drawn", page, element.text, cells=element.cells)]
    caption = CAPTION.match(element.text)
    if caption:
        kind = {"t": "table", "f": "figure"}.get(caption[1][0].lower(), "text")
        if kind != "text":
            name = "Table" if kind == "table" else "Figure"
            return [Piece(kind, page, element.text[caption.end():], label=f"{name} {caption[2]}")]
    first, _, rest = element.text.partition("\n")
    if rest and len(first) + len(rest.split()[0]) < 0.8 * len(rest.split("\n")[0]) and (
            heading := _heading(replace(element, text=first), body, numbered)):
        rest_of = replace(element, text=rest)
        return [Piece("heading", page, heading[1], level=heading[0]), *_pieces_of(rest_of, body, height, numbered)]
    heading = _heading(element, body, numbered)
    if heading:
        return [Piece("heading", page, heading[1], level=heading[0])]
    if (element.size < body.size - 0.7 and element.box[1] > 0.6 * height
            and re.match(r"(?:\d{1,2}|[*∗†‡§¶])\s?\S", element.text)):
        return [Piece("footnote", page, re.sub(r"^(?:\d{1,2}|[*∗†‡§¶]+)\s*", "", element.text))]
    bullet = _BULLET.match(element.text)
    if bullet and (element.kind == "item" or not bullet[0][0].isascii()):
        mark = "" if not bullet[0].strip("()").rstrip()[0].isalnum() else bullet[0]
        return [Piece("item", page, mark + element.text[bullet.end():], label=bullet[0].strip())]
    return [replace(piece, bold=element.bold) for piece in _split_formulas(element.text, page)]


def _split_formulas(text: str, page: int) -> list[Piece]:
    """A block's lines as text and formulas; lines of one kind stay together."""
    found: list[Piece] = []
    for line in text.split("\n"):
        if _LEADER.search(line) and not _PROSE.findall(_LEADER.sub("", line))[6:]:
            continue
        role = "formula" if _is_formula(line) else "text"
        if found and found[-1].role == role:
            found[-1] = replace(found[-1], text=found[-1].text + "\n" + line)
        else:
            found.append(Piece(role, page, line))
    return found


def _is_formula(line: str) -> bool:
    """A displayed formula's line: signs, hardly a word, and no sentence's end."""
    words = _PROSE.findall(re.sub(r"\b(?:log|exp|max|min|softmax|clip|mod)\b", "", line))
    return bool(_MATH.search(line)) and len(words) <= (1 if len(line) < 40 else 2) and not re.search(r"\w{3}\.$", line)


def _grow_formulas(found: list[Piece]) -> list[Piece]:
    """Scraps beside a formula (limits of a sum, a denominator) belong to it; one formula stays of each."""
    def scrap(piece: Piece) -> bool:
        if piece.role != "text":
            return False
        text = re.sub(r"otherwise|softmax|clip", "", piece.text)
        if len(text) < 15 and not re.search(r"[a-z]{4}|[.:!?]$", text):
            return True
        return len(text) < 60 and not _PROSE.findall(text) and bool(re.search(r"[,;()]", text))

    joined: list[Piece] = []
    for i, piece in enumerate(found):
        near = [found[j] for j in (i - 1, i + 1) if 0 <= j < len(found)]
        if scrap(piece) and (any(p.role == "formula" for p in near) or (joined and joined[-1].role == "formula")):
            piece = replace(piece, role="formula")
        elif piece.role == "text" and joined and joined[-1].role == "formula":
            piece = replace(piece, text=re.sub(r"^\(\d{1,3}\)\s+(?=[A-Z])", "", piece.text))
        if piece.role == "formula" and joined and joined[-1].role == "formula":
            joined[-1] = replace(joined[-1], text=f"{joined[-1].text}\n{piece.text}")
        else:
            joined.append(piece)
    return joined
