"""The local judge's two metrics, with local parts in the places where ragas asks a large model.

Faithfulness (Es et al. 2023, RAGAS, section 3): the claims are the answer's sentences; whether the passages
support one is a regression on words, figures and names, fitted on our own training questions
(`python -m eval.calibrate`). ragas divides the supported claims by all of them. Here a verdict is a degree,
and an answer is worth its weakest claim, because in a long answer a mean hides the one sentence that is
wrong: docs/experiments.md, "Local judge", has both measured on labelled answers.

Answer relevancy: a question is written from the answer alone, and its cosine to the question asked is the
score, 0 where the answer says that it does not know. ragas takes the mean over three questions, which come
from one prompt at temperature 0 and are nearly one; here it is one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from eval.calibrate import WEIGHTS
from eval.judge_features import FEATURES, Passages, features, says_nothing
from space.key_facts import abstains
from space.results import Verdict
from space.support import sentence_spans

DOES_NOT_KNOW = "It says that it does not know."
CLAIMS_NOTHING = "It claims nothing."

Ask = Callable[[str], str]
"""Answer -> the question that it answers."""
Embed = Callable[[Sequence[str]], Any]
"""Texts -> unit vectors, shape (texts, width)."""


@cache
def load_weights() -> dict[str, Any]:
    """What `python -m eval.calibrate` wrote."""
    return json.loads(WEIGHTS.read_text())


def claims_of(answer: str) -> list[str]:
    """The sentences of an answer that claim something."""
    texts = [answer[start:end] for start, end in sentence_spans(answer)]
    return [text for text in texts if not says_nothing(text)]


def verdicts(question: str, answer: str, passages: Sequence[str]) -> tuple[Verdict, ...]:
    """For each claim of the answer how far the passages support it, and what they lack. A verdict is the
    fitted chance of support, divided by that of a claim which a passage holds word by word: 0..1."""
    claims, prepared = claims_of(answer), Passages(passages, question)
    found = verdicts_of(features(claims, prepared))
    return tuple(Verdict(claim, round(float(value), 4), prepared.lacking(claim))
                 for claim, value in zip(claims, found, strict=True))


def verdicts_of(found: Any) -> Any:
    """The verdicts, 0..1, of claims with these features, shape (claims,)."""
    import numpy as np

    fitted = load_weights()
    doubt = found @ np.array([fitted["weights"][name] for name in FEATURES])
    return (1 + np.exp(fitted["bias"])) / (1 + np.exp(doubt + fitted["bias"]))


@cache
def ragas_metrics() -> tuple[Any, Any]:
    """The classes LocalFaithfulness and LocalAnswerRelevancy: ragas' BaseMetric with its `ascore`. ragas takes
    seconds to import, so they are made at first use."""
    os.environ["RAGAS_DO_NOT_TRACK"] = "true"
    from ragas.metrics.collections.base import BaseMetric
    from ragas.metrics.result import MetricResult

    def result(value: float, found: Sequence[Verdict], reason: str = "") -> Any:
        made = MetricResult(value=value, reason=reason)
        made.traces = {"input": {}, "output": {"verdicts": [asdict(v) for v in found]}}
        return made

    class LocalFaithfulness(BaseMetric):
        """See the module."""

        def __init__(self, name: str = "local_faithfulness") -> None:
            super().__init__(name=name)

        # ragas' own metrics narrow `ascore` like this too
        async def ascore(  # type: ignore[override]
                self, user_input: str, response: str, retrieved_contexts: list[str]) -> Any:
            if abstains(response):
                return result(0.0, [Verdict(response, 0.0, DOES_NOT_KNOW)], DOES_NOT_KNOW)
            found = verdicts(user_input, response, retrieved_contexts)
            if not found:
                return result(0.0, [Verdict(response, 0.0, CLAIMS_NOTHING)], CLAIMS_NOTHING)
            return result(min(v.verdict for v in found), found)

    class LocalAnswerRelevancy(BaseMetric):
        """See the module. `ask` writes the question, `embed` gives unit vectors."""

        def __init__(self, ask: Ask, embed: Embed, name: str = "local_answer_relevancy") -> None:
            super().__init__(name=name)
            self.ask, self.embed = ask, embed

        async def ascore(self, user_input: str, response: str) -> Any:  # type: ignore[override]
            if abstains(response):
                return result(0.0, [Verdict(response, 0.0, DOES_NOT_KNOW)], DOES_NOT_KNOW)
            question = self.ask(response)
            if not question:
                return result(0.0, [Verdict("", 0.0, "No question could be written from it.")])
            asked, written = self.embed([user_input, question])
            cosine = min(max(float(asked @ written), 0.0), 1.0)
            return result(cosine, [Verdict(question, round(cosine, 4))])

    return LocalFaithfulness, LocalAnswerRelevancy
