"""Training rows: each question plain, and again behind passages as the RAG column will see them.

A row with passages carries what the retriever finds, in its order. The passage with the evidence is
there most of the time; some rows carry distractors only, and then the reference says that the
corpus does not tell. Prompt text comes from `space.prompts`, as everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from space import prompts, questions
from space.key_facts import ABSTENTION
from space.retriever import Searcher
from space.schema import Example, Passage
from train.config import Recipe

MISSING = f"{ABSTENTION} this: the passages at hand do not answer the question."


@dataclass(frozen=True)
class Row:
    """A prompt with the answer to learn; the end token is added when it is tokenised."""

    example_id: str
    prompt: tuple[prompts.Piece, ...]
    answer: str


def training_rows(examples: Sequence[Example], recipe: Recipe,
                  retriever: Searcher | None) -> list[Row]:
    """Rows of the training questions in a fixed order (recipe.seed)."""
    rng = random.Random(recipe.seed)
    rows = []
    for example in examples:
        rows.append(Row(example.id, prompts.build(example.question), example.reference))
        if retriever:
            rows += [_rag_row(example, recipe, retriever, rng) for _ in range(recipe.rag_rows)]
    rng.shuffle(rows)
    return rows


def _rag_row(example: Example, recipe: Recipe, retriever: Searcher, rng: random.Random) -> Row:
    found = list(retriever.search(example.question, recipe.rag_passages + 3))
    gold = {id_ for ids in questions.evidence_passages(example, found) for id_ in ids}
    answer = example.reference
    if gold and rng.random() < recipe.missing_share:
        found, answer = [p for p in found if p.id not in gold], MISSING
        gold = set()
    chosen = found[:recipe.rag_passages]
    if gold and not gold & {p.id for p in chosen}:  # the retriever missed by a little: put it in
        chosen = [*chosen[:-1], next(p for p in found if p.id in gold)]
    if gold and rng.random() < 0.5:
        chosen = _shortened(chosen, found, gold, rng)
    return Row(example.id, prompts.build(example.question, chosen), answer)


def _shortened(chosen: list[Passage], found: list[Passage], gold: set[str],
               rng: random.Random) -> list[Passage]:
    """Fewer passages, the right ones among them, in a random order: the model must find the
    sentence wherever it stands."""
    right = [p for p in found if p.id in gold][:2]
    others = [p for p in chosen if p.id not in gold]
    picked = right + rng.sample(others, min(len(others), max(len(chosen) - 1 - len(right), 0)))
    rng.shuffle(picked)
    return picked


def dev_rows(examples: Sequence[Example], recipe: Recipe, retriever: Searcher | None) -> list[Row]:
    """Rows of the dev questions as the app asks them: alone, and behind the passages found."""
    rows = [Row(e.id, prompts.build(e.question), e.reference) for e in examples]
    if retriever and recipe.rag_rows:
        rows += [Row(e.id, prompts.build(e.question, retriever.search(e.question, recipe.rag_passages)),
                     e.reference) for e in examples]
    return rows
