"""Fakes with the real interfaces: an engine and a retriever without models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from space import excerpts
from space.engine import Request
from space.errors import UserError
from space.schema import AnswerDone, AnswerEvent, AnswerFailed, ModelIdentity, Passage, PromptReading, TextDelta

IDENTITY = ModelIdentity("fake.gguf", "ab" * 32, "Fake-1M", "llama", "Q4_1", 2, 1.0)
PASSAGE = Passage("doc#1", "MLA shrinks the KV cache by 93.3%.", "doc", "A title", "A heading", 0.8, 0.7)


class FakeEngine:
    """Answers each variant with the queued reply; an exception in the place of a reply is a failure."""

    def __init__(self, replies: dict[str, str | Exception] | None = None, delay_s: float = 0.0) -> None:
        self.replies = replies or {}
        self.delay_s = delay_s
        self.requests: list[Request] = []

    def loading(self) -> str:
        return ""

    def stream(self, requests: Sequence[Request], stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        self.requests += requests
        for request in requests:
            key = request.variant.key
            reply = self.replies.get(key, f"An answer by {key}.")
            if isinstance(reply, Exception):
                yield AnswerFailed(key, str(reply))
                continue
            yield PromptReading(key, 42)
            words, finish = reply.split(" "), "end"
            for n, word in enumerate(words):
                if (stop and stop.is_set()) or (request.stop and request.stop.is_set()):
                    finish = "stopped"
                    break
                time.sleep(self.delay_s)
                yield TextDelta(key, word + (" " if n + 1 < len(words) else ""))
            yield AnswerDone(key, finish, 42, len(words), 0, 0.0, 0.1, 50.0, IDENTITY)


class FakeRetriever:
    """Finds the same passages for every question, or raises what it was given."""

    def __init__(self, passages: Sequence[Passage] = (PASSAGE,), error: UserError | None = None) -> None:
        self.passages = tuple(passages)
        self.error = error

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        if self.error:
            raise self.error
        return self.passages[:k]

    def rank_sentences(self, question: str, passages: Sequence[Passage]) -> list[excerpts.Sentence]:
        """In the order in which they stand."""
        return [excerpts.Sentence(p, n, text) for p in passages for n, text in enumerate(excerpts.sentences(p.text))]
