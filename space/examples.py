"""The shipped questions as examples to try, and the reference of a question that is one of them."""

from __future__ import annotations

import random
from functools import cache

from space import parts, prompts
from space.engine import LocalEngine, Request
from space.errors import UserError
from space.questions import load_examples
from space.schema import TUNED_RAG, Example, Sampling
from space.settings import load_settings

GROUPS = {
    "heldout": ("Held-out facts", (
        "deepseek-r1-zero-03", "deepep-16", "lora-06")),
    "paraphrase": ("Trained facts, reworded", (
        "dualpipe-02-p", "minilm-and-sentence-embeddings-11-p", "deepseek-moe-17-p")),
    "unanswerable": ("Not in the corpus", (
        "flashmla-24", "rag-23")),
}
"""For each group its label and its questions: short ones, of different documents."""
MEANINGS = {
    "heldout": "held out: no training question shares a passage with it",
    "dev": "from the questions that choices were made on",
    "paraphrase": "reworded: the fact was trained, these words were not",
    "train": "a training question: the adapter was trained on it",
}


@cache
def _shipped() -> dict[str, Example]:
    try:
        return {e.id: e for e in load_examples()}
    except UserError:
        return {}


@cache
def _by_question() -> dict[str, Example]:
    return {_key(e.question): e for e in _shipped().values()}


def _key(question: str) -> str:
    return " ".join(question.split()).casefold()


def groups() -> dict[str, list[Example]]:
    """The examples of each group; none where the visitor brought an own corpus."""
    if parts.own_corpus():
        return {}
    shipped = _shipped()
    found = {key: [shipped[id_] for id_ in ids if id_ in shipped] for key, (_, ids) in GROUPS.items()}
    return {key: examples for key, examples in found.items() if examples}


def read_ahead() -> None:
    """Have the engine of this machine read the passages of the example questions while nobody waits."""
    engine, passages = parts.load_engine(), load_settings().passages
    if isinstance(engine, LocalEngine):
        found = [(e.question, parts.load_retriever().search(e.question, passages))
                 for group in groups().values() for e in group]
        engine.read_ahead([Request(TUNED_RAG, prompts.build(question, each), Sampling()) for question, each in found])


def find(question: str) -> Example | None:
    """The shipped question that reads like this one, apart from case and spaces."""
    return None if parts.own_corpus() else _by_question().get(_key(question))


def surprise(but: str = "") -> Example | None:
    """A held-out or reworded question by chance, another than the question `but`."""
    pool = [e for e in _shipped().values() if e.split in ("heldout", "paraphrase") and e.question != but]
    return random.choice(pool) if pool and not parts.own_corpus() else None


def meaning(example: Example) -> str:
    """What a question stands for, in a few words."""
    return ("no answer in the corpus: a good answer says so" if example.kind == "unanswerable"
            else MEANINGS.get(example.split, ""))
