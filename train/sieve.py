"""Which synthetic rows are kept: the rules of `train.check`, near-duplicates, and, where a retriever
is given, the round trip from the question back to its passage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from space import models, retriever
from space.corpus import Document
from space.errors import UserError
from space.questions import clean_question, evidence_passages, squeeze
from space.retriever import Searcher
from space.schema import Example
from train.check import COSINE, JACCARD, jaccard, row_problems

LENGTH, ALONE, EVIDENCE, FACTS, FOUND, NEW = (
    "reference of 15 to 90 words", "question stands alone", "evidence found", "key facts",
    "round trip (own passage in the top 3)", "no near-duplicate")
_RULES = (("the reference has", LENGTH), ("the question only", ALONE), ("a quote is not in", EVIDENCE),
          ("there are no key facts", FACTS), ("key fact ", FACTS))
TOP = 3


@dataclass
class Sifted:
    """`kept` in order, and for each filter, in the order of trial, how many rows it removed."""

    kept: list[Example] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)

    def lines(self, round_trip: bool) -> list[str]:
        names = [LENGTH, ALONE, EVIDENCE, FACTS, *([FOUND] if round_trip else []), NEW]
        return [f"  {name:40s} removed {self.removed[name]}" for name in names]


def sift(rows: Sequence[Example], documents: Sequence[Document], others: Sequence[Example],
         finder: Searcher | None = None, embedder: str = models.EMBEDDER) -> Sifted:
    """Each row is removed by the first filter it fails. `others` are questions that exist already:
    what asks the same as one of them, or as a row kept before, is a near-duplicate."""
    result = Sifted()
    bodies = {d.id: squeeze(d.body) for d in documents}
    sound = []
    for row in rows:
        problem = _problem(row, bodies) or (finder and _lost(row, finder))
        if problem:
            result.removed[problem] += 1
        else:
            sound.append(row)
    if not sound:
        return result
    pool = [*others, *sound]
    vectors = retriever.embed(retriever.load_embedder(embedder), [e.question for e in pool])
    kept = list(range(len(others)))
    for i in range(len(others), len(pool)):
        cosines = vectors[kept] @ vectors[i] if kept else []
        if any(c >= COSINE or jaccard(pool[i].question, pool[j].question) >= JACCARD
               for c, j in zip(cosines, kept, strict=True)):
            result.removed[NEW] += 1
        else:
            kept.append(i)
    result.kept = [pool[i] for i in kept if i >= len(others)]
    return result


def _problem(row: Example, bodies: dict[str, str]) -> str:
    """The first filter that the row fails by itself; empty where it fails none."""
    try:
        clean_question(row.question)
    except UserError:
        return ALONE
    if "context" in row.question.lower().split() or "-hop>" in row.question:
        return ALONE
    found = {next((name for start, name in _RULES if problem.startswith(start)), EVIDENCE)
             for problem in row_problems(row, bodies)}
    return next((name for name in (LENGTH, ALONE, EVIDENCE, FACTS) if name in found), "")


def _lost(row: Example, finder: Searcher) -> str:
    found = finder.search(row.question, TOP)
    return "" if any(evidence_passages(row, found)) else FOUND
