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

from space.errors import UserError
from space.schema import Passage

PASSAGE_WORDS = 80
"""A section longer than this is cut at paragraph or sentence ends."""


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


def read_documents(folder: Path) -> list[Document]:
    """All `*.md` of a folder, by name. Raises UserError where there is none or one is malformed."""
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise UserError(f"There are no Markdown documents in {folder.name}/.",
                        "Put *.md files there, or set CORPUS_DIR to a folder that has some.")
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


def passages(document: Document, words: int = PASSAGE_WORDS) -> list[Passage]:
    """The document as passages of about `words` words, with ids `document#n`."""
    cut = [(section, text) for section in sections(document) for text in _cut(section.text, words)]
    return [Passage(id=f"{document.id}#{n}", text=text, source=document.id, title=document.title,
                    heading=section.heading) for n, (section, text) in enumerate(cut, 1)]


def _cut(text: str, words: int) -> list[str]:
    """Pack the blocks of a section into pieces of at most `words` words, in order and balanced."""
    blocks = _blocks(text, words)
    total = sum(len(block.split()) for block in blocks)
    aim = total / max(round(total / words), 1)
    pieces: list[list[str]] = [[]]
    size = 0
    for block in blocks:
        length = len(block.split())
        if pieces[-1] and size + length / 2 > aim:
            pieces.append([])
            size = 0
        pieces[-1].append(block)
        size += length
    return ["\n\n".join(piece) for piece in pieces if piece]


def _blocks(text: str, words: int) -> list[str]:
    """Paragraphs and tables; a paragraph over `words` is split at sentence ends, a long table
    between rows with its header repeated."""
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        block = block.strip()
        if not block:
            continue
        if block.startswith("|"):
            blocks += _cut_table(block, words)
        elif len(block.split()) > words * 1.3:
            blocks += _cut_paragraph(block, words)
        else:
            blocks.append(block)
    return blocks


def _cut_table(block: str, words: int) -> list[str]:
    lines = block.splitlines()
    head, rows = lines[:2], lines[2:]
    cells = len(block.replace("|", " ").split())
    parts = max(round(cells / (1.5 * words)), 1)
    step = max(-(-len(rows) // parts), 1)
    return ["\n".join(head + rows[i:i + step]) for i in range(0, len(rows), step)] or [block]


def _cut_paragraph(block: str, words: int) -> list[str]:
    pieces, size = [[]], 0  # type: list[list[str]], int
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])", block):
        length = len(sentence.split())
        if pieces[-1] and size + length > words:
            pieces.append([])
            size = 0
        pieces[-1].append(sentence)
        size += length
    return [" ".join(piece) for piece in pieces]


def corpus_hash(documents: list[Document]) -> str:
    """SHA-256 over ids, front matter and bodies."""
    data = json.dumps([[d.id, d.meta, d.body] for d in documents], sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()
