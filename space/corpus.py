"""The documents: Markdown with front matter, cut into heading-aware passages.

A document begins with `---` lines of `key: value` (title, source, arxiv or repository, covers) and
goes on with one `#` title and `##` sections. Passages never cross a section, and tables are never
torn from their header row.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from space import sums
from space.errors import UserError
from space.schema import Passage

PASSAGE_SIZE = 100
"""Aim of a passage's length in `size` units; 100 are about 75 words of prose, or 120 tokens."""


@dataclass(frozen=True)
class Document:
    """One corpus file. `id` is its name without the ending; `body` the text behind the front matter."""

    id: str
    meta: dict[str, str]
    body: str

    @property
    def title(self) -> str:
        return self.meta.get("title", self.id)


@dataclass(frozen=True)
class Section:
    """A `##` section of a document."""

    document: str
    title: str
    heading: str
    text: str


def read_documents(folder: Path, changed: bool = False) -> list[Document]:
    """All `*.md` of a folder, by name. Raises UserError where there is none or one is malformed, and, unless they
    may have `changed`, for one that is not the file the folder's sums name."""
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise UserError(f"There are no Markdown documents in {folder.name}/.",
                        "Put *.md files there, or set CORPUS_DIR to a folder that has some.")
    if not changed:
        sums.check(folder, {path.name for path in paths} | sums.names(folder), "python -m train.index")
    return [_read(path) for path in paths]


def _read(path: Path) -> Document:
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    meta: dict[str, str] = {}
    body = text
    if text.startswith("---\n"):
        head, mark, body = text[4:].partition("\n---\n")
        if not mark:
            raise UserError(f"The front matter of {path.name} is not closed.",
                            "End it with a line of three hyphens.")
        for line in head.splitlines():
            key, colon, value = line.partition(":")
            if colon:
                meta[key.strip()] = _unquote(value.strip())
    if "title" not in meta:
        first = re.search(r"^# (.+)$", body, re.M)
        meta["title"] = first[1].strip() if first else path.stem
    return Document(path.stem, meta, body.strip() + "\n")


def _unquote(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def sections(document: Document) -> list[Section]:
    """The sections in order. Text before the first `##` belongs to a section named by the title."""
    parts = re.split(r"^##+ (.+)$", document.body, flags=re.M)
    intro = re.sub(r"^# .+$", "", parts[0], count=1, flags=re.M).strip()
    found = [(document.title, intro)] if intro else []
    found += [(parts[i].strip(), parts[i + 1].strip()) for i in range(1, len(parts) - 1, 2)]
    return [Section(document.id, document.title, heading, text) for heading, text in found if text]


def size(text: str) -> int:
    """Length as a language model feels it: words, single digits and punctuation marks each count
    one. A table of figures is far longer for a model than its number of words."""
    return len(re.findall(r"[^\W\d_]+|\d|[^\w\s]", text))


def passages(document: Document, aim: int = PASSAGE_SIZE) -> list[Passage]:
    """The document as passages of about `aim` size units, with ids `document#n`."""
    cut = [(section, text) for section in sections(document) for text in _cut(section.text, aim)]
    return [Passage(id=f"{document.id}#{n}", text=text, source=document.id, title=document.title,
                    heading=section.heading) for n, (section, text) in enumerate(cut, 1)]


def _cut(text: str, limit: int) -> list[str]:
    """Pack the blocks of a section, in order, into balanced pieces of about `limit`."""
    blocks = _blocks(text, limit)
    total = sum(map(size, blocks))
    aim = total / max(round(total / limit), 1)
    pieces: list[list[str]] = [[]]
    filled = 0
    for block in blocks:
        length = size(block)
        if pieces[-1] and filled + length / 2 > aim:
            pieces.append([])
            filled = 0
        pieces[-1].append(block)
        filled += length
    return ["\n\n".join(piece) for piece in pieces if piece]


def _blocks(text: str, limit: int) -> list[str]:
    """Paragraphs and tables; a long paragraph is split at sentence ends, a long table between
    rows, with its header repeated."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        block = block.strip()
        if block.startswith("|"):
            blocks += _cut_table(block, limit)
        elif size(block) > limit * 1.2:
            blocks += _cut_paragraph(block, limit)
        elif block:
            blocks.append(block)
    return blocks


def _cut_table(block: str, limit: int) -> list[str]:
    lines = [re.sub(r"-{3,}", "---", re.sub(r"[ \t]+", " ", line)) for line in block.splitlines()]
    head, rows = lines[:2], lines[2:]
    parts = max(round(size(block) / (1.3 * limit)), 1)
    step = max(-(-len(rows) // parts), 1)
    return ["\n".join(head + rows[i:i + step]) for i in range(0, len(rows), step)] or [block]


def _cut_paragraph(block: str, limit: int) -> list[str]:
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])", block)
    aim = size(block) / -(-size(block) // limit)
    pieces: list[list[str]] = [[]]
    filled = 0
    for sentence in sentences:
        length = size(sentence)
        if pieces[-1] and filled + length / 2 > aim:
            pieces.append([])
            filled = 0
        pieces[-1].append(sentence)
        filled += length
    return [" ".join(piece) for piece in pieces]


def corpus_hash(documents: list[Document]) -> str:
    """SHA-256 over ids, front matter and bodies."""
    data = json.dumps([[d.id, d.meta, d.body] for d in documents], sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()
