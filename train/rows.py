"""Training rows: each question plain, and again behind passages as the RAG column will see them.

A row with passages carries what the retriever finds: whole passages, or the sentences that a small model
reads. The evidence is there most of the time; some rows carry distractors only, and then the reference says
that the corpus does not tell. Prompt text comes from `space.prompts`, as everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from space import excerpts, prompts, questions
from space.key_facts import ABSTENTION, hits
from space.retriever import Searcher, words
from space.schema import Example, Passage
from train import figures
from train.config import Recipe

MISSING = f"{ABSTENTION} this: the passages at hand do not answer the question."
SHUFFLED = 0.3
"""Share of rows whose sentences stand in a random order, so that the place is not all that is learned."""
NEAREST = 6
"""Wrong sentences that `rag_drawn` draws from: the closest to the question."""


class Finder(Searcher, Protocol):
    """What finds passages, and ranks their sentences."""

    def rank_sentences(self, question: str, passages: Sequence[Passage]) -> list[excerpts.Sentence]:
        """All sentences of the passages, the closest to the question first."""
        ...


@dataclass(frozen=True)
class Row:
    """A prompt with the answer to learn; the end token is added when it is tokenised."""

    example_id: str
    prompt: tuple[prompts.Piece, ...]
    answer: str


def training_rows(examples: Sequence[Example], recipe: Recipe,
                  retriever: Finder | None) -> list[Row]:
    """Rows of the training questions in a fixed order (recipe.seed)."""
    rng = random.Random(recipe.seed)
    rows = []
    for example in examples:
        rows.append(Row(example.id, prompts.build(example.question), example.reference))
        if retriever and recipe.rag_rows and recipe.rag_sentences:
            rows += _sentence_rows(example, recipe, retriever, rng)
        elif retriever:
            rows += [_rag_row(example, recipe, retriever, rng) for _ in range(recipe.rag_rows)]
    rng.shuffle(rows)
    return rows


def _sentence_rows(example: Example, recipe: Recipe, retriever: Finder, rng: random.Random) -> list[Row]:
    """Rows whose prompts carry 1, 2, … sentences of the passages found, as the app picks them, or all as many with
    wrong ones that are drawn; those with the evidence are put in where they were missed by a little, and left out
    now and then."""
    found = retriever.search(example.question, recipe.rag_passages)
    ranked = retriever.rank_sentences(example.question, found)
    gold = [s for s in ranked if any(holds(s.text, e.quote) for e in example.evidence)]
    others = [s for s in ranked if s not in gold]
    told = _quoted(example, gold) if recipe.rag_answer == "quote" else example.reference
    rows = []
    for number in range(recipe.rag_rows):
        count = recipe.rag_sentences if recipe.rag_drawn else 1 + number % recipe.rag_sentences
        answer, right = told, gold
        if example.evidence and (not gold or rng.random() < recipe.missing_share):
            answer, right = MISSING, []
        wrong = _drawn(others, rng) if recipe.rag_drawn else others
        picked = [*right, *wrong[:max(count - len(right), 0)]]
        chosen = [s for s in ranked if s in picked]
        if right and recipe.changed_share and rng.random() < recipe.changed_share:
            answer, texts = figures.changed(example.key_facts, example.question, answer, [s.text for s in chosen], rng)
            chosen = [replace(s, text=text) for s, text in zip(chosen, texts, strict=True)]
        if rng.random() < SHUFFLED:
            rng.shuffle(chosen)
        rows.append(Row(example.id, prompts.build(example.question, excerpts.excerpt(found, chosen)), answer))
    return rows


def _drawn(others: Sequence[excerpts.Sentence], rng: random.Random) -> list[excerpts.Sentence]:
    near = list(others[:NEAREST])
    rng.shuffle(near)
    return near


def _quoted(example: Example, gold: Sequence[excerpts.Sentence]) -> str:
    """The sentences that tell the answer, word for word. The reference where they are rows of a table, more than
    two, or lack a key fact."""
    quote = " ".join(s.text for s in gold)
    prose = all(s.text in " ".join(s.passage.text.split()) for s in gold)
    if 0 < len(gold) <= 2 and prose and all(hits(example.key_facts, quote)):
        return quote
    return example.reference


def holds(sentence: str, quote: str) -> bool:
    """Whether a sentence says what a quote says: nearly all words of the shorter one are in the longer one. The
    quote may be a row of a table, the sentence the same row with its columns named."""
    ours, theirs = set(words(sentence)), set(words(quote))
    smaller = min(len(ours), len(theirs))
    return smaller > 2 and len(ours & theirs) >= 0.85 * smaller


def _rag_row(example: Example, recipe: Recipe, retriever: Finder, rng: random.Random) -> Row:
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


def dev_rows(examples: Sequence[Example], recipe: Recipe, retriever: Finder | None) -> list[Row]:
    """Rows of the dev questions as the app asks them: alone, and behind what was found."""
    rows = [Row(e.id, prompts.build(e.question), e.reference) for e in examples]
    if retriever and recipe.rag_rows:
        rows += [Row(e.id, prompts.build(e.question, _read(e.question, recipe, retriever)), e.reference)
                 for e in examples]
    return rows


def _read(question: str, recipe: Recipe, retriever: Finder) -> Sequence[Passage]:
    found = retriever.search(question, recipe.rag_passages)
    if not recipe.rag_sentences:
        return found
    return excerpts.excerpt(found, retriever.rank_sentences(question, found)[:recipe.rag_sentences])
