"""What the corpus holds and which of its passages the questions ask about."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from space import corpus, parts
from space.corpus import Document
from space.errors import UserError
from space.questions import PARTS, evidence_passages, load_examples
from space.retriever import read_passages
from space.schema import Example, Passage
from space.settings import ASSETS


@dataclass(frozen=True)
class Shelf:
    """The documents in order, the passages of each (by document id) and the questions that ask about
    each passage (by passage id). `own` tells a visitor's corpus; no shipped question asks about that.
    `notice` is a sentence for the reader where the index is not that of the documents."""

    documents: tuple[Document, ...]
    passages: dict[str, tuple[Passage, ...]]
    asked: dict[str, tuple[Example, ...]]
    unanswerable: int = 0
    own: bool = False
    notice: str = ""

    def document(self, id_: str) -> Document | None:
        return next((d for d in self.documents if d.id == id_), None)

    def passages_of(self, id_: str) -> tuple[Passage, ...]:
        return self.passages.get(id_, ())

    def askers(self, document: str) -> dict[str, int]:
        """How many questions of each part ask about a document, in the order of `PARTS`."""
        seen = {e.id: e.split for p in self.passages_of(document) for e in self.asked.get(p.id, ())}
        counts = Counter(seen.values())
        return {part: counts[part] for part in PARTS if counts[part]}

    def covered(self, document: str) -> int:
        """How many passages of a document some question asks about."""
        return sum(p.id in self.asked for p in self.passages_of(document))

    def unasked(self, document: str) -> tuple[Passage, ...]:
        return tuple(p for p in self.passages_of(document) if p.id not in self.asked)


def load_shelf() -> Shelf:
    """The shelf of the running app. Raises UserError where the corpus cannot be read."""
    own = parts.own_corpus()
    return _load(own or ASSETS / "corpus", parts.index_folder(), own is not None)


@cache
def _load(folder: Path, index: Path, own: bool) -> Shelf:
    documents = tuple(corpus.read_documents(folder))
    found, notice = _passages(documents, index)
    by_document: dict[str, list[Passage]] = defaultdict(list)
    for passage in found:
        by_document[passage.source].append(passage)
    examples = [] if own else load_examples()
    return Shelf(documents, {id_: tuple(cut) for id_, cut in by_document.items()}, _asked(examples, found),
                 sum(not e.evidence for e in examples), own, notice)


def _passages(documents: tuple[Document, ...], index: Path) -> tuple[list[Passage], str]:
    """The passages that the retriever searches; where there is no index, those it would hold."""
    cut = [p for d in documents for p in corpus.passages(d)]
    try:
        indexed = read_passages(index / "passages.jsonl")
    except FileNotFoundError:
        return cut, "There is no search index yet: make it with `python -m train.index --corpus DIR`."
    except (OSError, UserError):
        return cut, "The search index cannot be read: make it again with `python -m train.index`."
    if [(p.id, p.text) for p in indexed] != [(p.id, p.text) for p in cut]:
        return indexed, ("The documents have changed since the search index was built; these are the passages "
                         "that are searched. Build it again with `python -m train.index`.")
    return indexed, ""


def _asked(examples: list[Example], passages: list[Passage]) -> dict[str, tuple[Example, ...]]:
    asked: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in examples:
        for held in evidence_passages(example, passages):
            for id_ in held:
                asked[id_][example.id] = example
    return {id_: tuple(found.values()) for id_, found in asked.items()}


def links(document: Document) -> list[tuple[str, str]]:
    """(label, address) of the papers and the repository that a document's front matter names; a value that
    is neither an arXiv id nor an OWNER/NAME gives none."""
    found = [(f"arXiv {id_}", f"https://arxiv.org/abs/{id_}")
             for id_ in re.split(r"[,\s]+", document.meta.get("arxiv", ""))
             if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?|[a-z-]+/\d{7}(v\d+)?", id_)]
    repository = document.meta.get("repository", "").removeprefix("https://github.com/").strip("/")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        found.append((repository, f"https://github.com/{repository}"))
    return found


def find(shelf: Shelf, document: str, passage: str) -> tuple[Document, Passage | None]:
    """The document, and the passage in it, that a link names. A passage names its document too.

    Raises UserError where the corpus has no such document.
    """
    held = shelf.document(document) or shelf.document(passage.partition("#")[0])
    if held is None:
        raise UserError(f"The corpus has no document {(document or passage)[:80]!r}.", "Pick one from the list.")
    return held, next((p for p in shelf.passages_of(held.id) if p.id == passage), None)
