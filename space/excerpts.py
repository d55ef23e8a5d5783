"""Which sentences of the passages found a small model reads.

A model of 135 million parameters loses its way in three whole passages, so its prompt carries the few
sentences of them that are closest to the question (docs/decisions/005). A sentence is scored by the cosine of
its embedding to the question's, by BM25 over all sentences of the corpus, and by the score of its passage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from space.schema import Passage

COSINE, BM25, PASSAGE = 0.5, 0.5, 0.5
"""Weights of the three scores, chosen on the training and dev questions (docs/experiments.md)."""
_K1, _B = 1.2, 0.75  # BM25's usual constants (Robertson and Zaragoza 2009)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])")

Words = Callable[[str], list[str]]
"""Text -> the words that BM25 counts."""
Embed = Callable[[Sequence[str]], Any]
"""Texts -> unit vectors, shape (texts, width)."""


def sentences(text: str) -> list[str]:
    """The sentences of a passage in their order. A row of a table becomes a sentence that names its columns, as
    its figures say nothing without them."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if block.strip().startswith("|"):
            found += _rows(block.strip())
        else:
            found += [s.strip() for line in re.split(r"\n(?=[-*] )", block)
                      for s in _SENTENCE_END.split(" ".join(line.split())) if s.strip()]
    return found


def _rows(table: str) -> list[str]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]
    rows = [row for row in rows if not all(re.fullmatch(r":?-*:?", cell) for cell in row)]
    head, *body = rows
    said = []
    for row in body:
        cells = [f"{name} {cell}".strip() for name, cell in zip(head[1:], row[1:], strict=False) if cell]
        said.append(f"{head[0]} {row[0]}: ".lstrip() + ", ".join(cells) + ".")
    return said or [" ".join(head)]


@dataclass(frozen=True)
class Sentence:
    """One sentence of a passage; `place` is its position there."""

    passage: Passage
    place: int
    text: str


def embedded(passages: Sequence[Passage]) -> list[str]:
    """What is embedded of each sentence of the passages: its heading, then itself."""
    return [f"{p.heading}. {text}" for p in passages for text in sentences(p.text)]


class Ranker:
    """Ranks the sentences of passages by a question; made once from all passages of an index."""

    def __init__(self, passages: Sequence[Passage], vectors: Any, embed: Embed, words: Words) -> None:
        """`vectors` are the unit vectors of `embedded(passages)`, shape (sentences, width)."""
        self._embed, self._words = embed, words
        self._vectors, self._first = vectors, dict[str, int]()
        documents: list[set[str]] = []
        for passage in passages:
            self._first[passage.id] = len(documents)
            documents += [set(words(text)) for text in sentences(passage.text)]
        self._frequency = Counter(word for document in documents for word in document)
        self._count = len(documents)
        self._mean_length = sum(map(len, documents)) / max(len(documents), 1) or 1.0

    def rank(self, question: str, passages: Sequence[Passage]) -> list[Sentence]:
        """All sentences of the passages, the closest to the question first."""
        found = [Sentence(p, n, text) for p in passages for n, text in enumerate(sentences(p.text))]
        if not found:
            return []
        rows = [self._first[s.passage.id] + s.place for s in found]
        cosines = self._vectors[rows].astype("float32") @ self._embed([question])[0]
        lexical = [self._bm25(question, f"{s.passage.title} {s.passage.heading} {s.text}") for s in found]
        best = max(max(lexical), 1e-9)
        scores = [COSINE * float(cosine) + BM25 * value / best + PASSAGE * s.passage.score
                  for cosine, value, s in zip(cosines, lexical, found, strict=True)]
        order = sorted(range(len(found)), key=lambda n: -scores[n])
        return [found[n] for n in order]

    def _bm25(self, question: str, text: str) -> float:
        counts = Counter(self._words(text))
        norm = _K1 * (1 - _B + _B * counts.total() / self._mean_length)
        return sum(self._rarity(word) * counts[word] * (_K1 + 1) / (counts[word] + norm)
                   for word in set(self._words(question)) if counts[word])

    def _rarity(self, word: str) -> float:
        frequency = self._frequency[word]
        return math.log(1 + (self._count - frequency + 0.5) / (frequency + 0.5))


def excerpt(passages: Sequence[Passage], chosen: Sequence[Sentence]) -> tuple[Passage, ...]:
    """The passages with the chosen sentences as their excerpts. Those that are read come first, the one
    with the best sentence before the others; sentences of one passage stand in its order."""
    order = list(dict.fromkeys(s.passage.id for s in chosen))
    by_id = {p.id: p for p in passages}
    read = []
    for id_ in order:
        places = sorted((s.place, s.text) for s in chosen if s.passage.id == id_)
        read.append(replace(by_id[id_], excerpt=" ".join(text for _, text in places)))
    return (*read, *(p for p in passages if p.id not in order))
