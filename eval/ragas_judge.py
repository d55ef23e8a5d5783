"""The RAGAS judge: faithfulness and answer relevancy by ragas itself, on any OpenAI-compatible endpoint.

OPENAI_API_KEY, OPENAI_BASE_URL and JUDGE_MODEL name the endpoint (gpt-4o-mini unless told); JUDGE_PRICE_IN
and JUDGE_PRICE_OUT are dollars per million tokens. Prompts and formulas are ragas'; the gathering is ours, as
its own loses a batch to one bad row and drops failed rows from the mean. A reply that cannot be believed
(verdicts that are not 0 or 1, fewer verdicts than claims, no claim at all) leaves the item without a score.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from typing import Any

from eval.judge import FAITHFULNESS, Item, Judged
from space.chat_client import ChatClient, NoAnswer, Usage, endpoint_from_environment
from space.errors import UserError
from space.ragas_parts import Embedder, Model
from space.results import Verdict

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # ragas reads it once, when it is first imported

STRICTNESS = 3
"""Questions read out of an answer; ragas' own default."""
WORKERS = 8
TIMEOUT_S, RETRIES = 60.0, 4
PRICE_IN, PRICE_OUT = 0.15, 0.60
"""Dollars per million tokens of gpt-4o-mini."""


class RagasJudge:
    """Judges items by ragas, several at a time. Thread-safe; `usage` only grows."""

    def __init__(self, client: ChatClient, workers: int = WORKERS, strictness: int = STRICTNESS) -> None:
        self._client, self._workers, self._strictness = client, workers, strictness
        self._embedder = Embedder()
        self.label = f"RAGAS, {client.endpoint.model}"

    @property
    def identity(self) -> dict[str, Any]:
        """All that a score depends on, besides the item; no key."""
        import ragas

        endpoint = self._client.endpoint
        return {"kind": "openai", "name": self.label, "ragas": ragas.__version__, "model": endpoint.model,
                "base_url": endpoint.base_url or "https://api.openai.com/v1", "temperature": 0.0,
                "strictness": self._strictness, "embedder": "all-MiniLM-L6-v2"}

    def judge(self, items: Sequence[Item]) -> Iterator[tuple[Item, Judged]]:
        """Each item with its result, as they get ready. An item that fails is returned with the reason; raises
        UserError where none can be judged (key refused, model unknown)."""
        with ThreadPoolExecutor(self._workers, thread_name_prefix="judge") as pool:
            waiting = {pool.submit(self._judge, item): item for item in items}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def dollars(self, spent: Mapping[str, int]) -> float:
        """At JUDGE_PRICE_IN and JUDGE_PRICE_OUT, else at the prices of gpt-4o-mini."""
        price_in, price_out = prices()
        return (spent.get("input_tokens", 0) * price_in + spent.get("output_tokens", 0) * price_out) / 1e6

    def _judge(self, item: Item) -> Judged:
        client = self._client.counting_anew()
        model = Model(client)
        try:
            return self._scored(item, model, client)
        except UserError:
            raise
        except NoAnswer as error:
            return Judged(None, str(error), spent=_spent(client.usage))
        except Exception as error:  # whatever ragas raises concerns this item alone
            return Judged(None, f"{type(error).__name__}: {error}", spent=_spent(client.usage))

    def _scored(self, item: Item, model: Model, client: ChatClient) -> Judged:
        if item.metric == FAITHFULNESS:
            score = asyncio.run(_metrics()[0](llm=model).ascore(
                user_input=item.question, response=item.answer, retrieved_contexts=list(item.passages))).value
            verdicts, problem = _claims(model.answers)
        else:
            metric = _metrics()[1](llm=model, embeddings=self._embedder, strictness=self._strictness)
            score = asyncio.run(metric.ascore(user_input=item.question, response=item.answer)).value
            verdicts, problem = self._questions(item.question, model.answers)
        if not problem and (score is None or not math.isfinite(score)):
            problem = "the judge gave no number"
        return Judged(None if problem else float(score), problem, verdicts, _spent(client.usage))

    def _questions(self, question: str, answers: Sequence[Any]) -> tuple[tuple[Verdict, ...], str]:
        """The questions read out of an answer, each with its cosine to the one asked."""
        if any(a.noncommittal not in (0, 1) for a in answers):
            return (), "the judge's `noncommittal` is neither 0 nor 1"
        asked = [a for a in answers if a.question]
        own = self._embedder.embed_text(question)
        return tuple(Verdict(a.question, _cosine(own, self._embedder.embed_text(a.question)),
                             "evasive, says the judge" if a.noncommittal else "") for a in asked), ""


def _claims(answers: Sequence[Any]) -> tuple[tuple[Verdict, ...], str]:
    """The claims of an answer with the judge's verdicts, or why they cannot be believed."""
    claims = answers[0].statements
    if not claims or len(answers) < 2:
        return (), "the judge found no claim in the answer"
    given = answers[1].statements
    verdicts = tuple(Verdict(v.statement, float(v.verdict), v.reason) for v in given)
    if len(given) != len(claims):
        return verdicts, f"the judge gave {len(given)} verdicts on {len(claims)} claims"
    if any(v.verdict not in (0, 1) for v in given):
        return verdicts, "a verdict is neither 0 nor 1"
    return verdicts, ""


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two unit vectors."""
    return round(sum(a * b for a, b in zip(one, other, strict=True)), 4)


@cache
def _metrics() -> tuple[Any, Any]:
    """ragas' Faithfulness and AnswerRelevancy. Importing ragas takes seconds."""
    from ragas.embeddings.base import BaseRagasEmbedding
    from ragas.llms import InstructorBaseRagasLLM
    from ragas.metrics.collections import AnswerRelevancy, Faithfulness

    InstructorBaseRagasLLM.register(Model)
    BaseRagasEmbedding.register(Embedder)
    return Faithfulness, AnswerRelevancy


def _spent(usage: Usage) -> dict[str, int]:
    return asdict(usage)


def prices() -> tuple[float, float]:
    """Dollars per million tokens read and written. Raises UserError for a price that is no number."""
    found = []
    for name, default in (("JUDGE_PRICE_IN", PRICE_IN), ("JUDGE_PRICE_OUT", PRICE_OUT)):
        raw = os.environ.get(name, "").strip()
        try:
            found.append(float(raw) if raw else default)
        except ValueError:
            raise UserError(f"{name} is {raw!r}, not a number.", "Give dollars per million tokens.") from None
    return found[0], found[1]


def open_judge() -> RagasJudge:
    """The judge that the environment names. Raises UserError where there is no key."""
    prices()  # a wrong one is said before anything is asked
    _metrics()  # in the main thread: imports in eight threads at once deadlock now and then
    return RagasJudge(ChatClient(endpoint_from_environment(TIMEOUT_S, RETRIES, "--judge local"), temperature=0.0))
