"""The judge for machines without an endpoint: small local parts, and always called the local judge.

Its scores of an answer are those of eval/local_metrics.py; the embedded plain model writes the questions
and the embedder compares them, whatever models are being evaluated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eval import local_metrics
from eval.judge import FAITHFULNESS, RELEVANCY, Item, Judged
from space import models, parts, prompts, references, retriever
from space.answer import answer_all
from space.engine import Engine, LocalEngine, Request
from space.errors import UserError
from space.prompts import Piece
from space.results import Verdict, canonical_hash
from space.schema import PLAIN, Sampling
from space.settings import load_settings

PROFILE = "embedded"
INSTRUCTION = "Write the question that is answered."
EXAMPLES = (
    ("Albert Einstein was born in Germany.", "Where was Albert Einstein born?"),
    ("The capital of France is Paris, a city known for its architecture and culture.",
     "What is the capital of France?"),
    ("BERT predicts masked tokens from both sides and was released by Google in 2018 with its code.",
     "Which tokens does BERT predict, and who released it?"),
)
"""The first two are ragas' own; of three wordings of the last one this did best (docs/experiments.md)."""
SAMPLING = Sampling(temperature=0.0, max_tokens=32)
READ_WORDS = 60
"""Words of an answer that the question is written from: a longer one is mostly a loop."""


class LocalJudge:
    """Judges items one after the other on this machine. `engine` writes questions with its plain model."""

    label = "local judge"

    def __init__(self, engine: Engine, embed: local_metrics.Embed) -> None:
        self._engine, self._embed = engine, embed

    @property
    def identity(self) -> dict[str, Any]:
        """See Judge.identity."""
        return identity()

    def judge(self, items: Sequence[Item]) -> Iterator[tuple[Item, Judged]]:
        """See Judge.judge."""
        faithfulness, relevancy = local_metrics.ragas_metrics()
        metrics = {FAITHFULNESS: faithfulness(), RELEVANCY: relevancy(self._ask, self._embed)}
        for item in items:
            given: dict[str, Any] = {"user_input": item.question, "response": item.answer}
            if item.metric == FAITHFULNESS:
                given["retrieved_contexts"] = list(item.passages)
            try:
                found = asyncio.run(metrics[item.metric].ascore(**given))
            except UserError as error:
                yield item, Judged(None, str(error))
                continue
            yield item, Judged(found.value, "", tuple(Verdict(**v) for v in found.traces["output"]["verdicts"]))

    def dollars(self, spent: Mapping[str, int]) -> float:
        """See Judge.dollars."""
        return 0.0

    def _ask(self, answer: str) -> str:
        """The question that the embedded model writes from an answer; empty where it writes none."""
        request = Request(PLAIN, question_prompt(answer), SAMPLING)
        written = answer_all(self._engine.stream([request]), [PLAIN])[PLAIN.key]
        if written.error:
            raise UserError(f"The question could not be written: {written.error}", "")
        text = written.text.strip().split("\n")[0]
        return text.split("?")[0].strip() + "?" if text.split("?")[0].strip() else ""


def identity() -> dict[str, Any]:
    """All that a score of the local judge depends on, besides the item."""
    profile = models.load_profile(PROFILE)
    return {"kind": "local", "name": "words, figures and names; questions by SmolLM2-135M; MiniLM cosine",
            "weights_sha256": canonical_hash([local_metrics.load_weights(), local_metrics.FEATURES]),
            "questions_sha256": canonical_hash(
                [prompts.text(question_prompt("Answer.")), asdict(SAMPLING), READ_WORDS]),
            "question_model_sha256": references.sha256_of(references.resolve(profile.base)),
            "embedder_sha256": retriever.embedder_hash(profile.embedder)}


def load_local_judge() -> LocalJudge:
    """The local judge with the product's own parts; where the embedded models are being evaluated they are
    loaded once."""
    settings = load_settings()
    profile = models.load_profile(PROFILE)
    engine = parts.local_engine() if settings.profile == PROFILE else LocalEngine(
        profile, settings.context_tokens, settings.thread_count)
    return LocalJudge(engine, lambda texts: retriever.embed(retriever.load_embedder(profile.embedder), texts))


def question_prompt(answer: str) -> tuple[Piece, ...]:
    """The ChatML prompt: three answers with their questions, then this one."""
    shown = "".join(f"<|im_start|>user\n{a}{prompts.END}\n<|im_start|>assistant\n{q}{prompts.END}\n"
                    for a, q in EXAMPLES)
    return (Piece(f"<|im_start|>system\n{INSTRUCTION}{prompts.END}\n{shown}<|im_start|>user\n", control=True),
            Piece(" ".join(answer.split()[:READ_WORDS]), control=False),
            Piece(f"{prompts.END}\n<|im_start|>assistant\n", control=True))
