"""Questions in, typed events out: the one path that chat, command line and evaluation share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait

from space import prompts
from space.engine import Engine, Request
from space.errors import UserError
from space.questions import clean_question
from space.retriever import Searcher
from space.schema import (
    Answer,
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    AnswerQueued,
    Passage,
    PassagesFound,
    Sampling,
    Variant,
)

log = logging.getLogger(__name__)
WAITING_S = 0.25
"""How often a question whose search takes long is said to wait."""


def stream_answers(question: str, variants: Sequence[Variant], engine: Engine, retriever: Searcher,
                   sampling: Sampling, passages: int = 3, deadline_s: float = 300.0,
                   stop: threading.Event | None = None,
                   stops: Mapping[str, threading.Event] | None = None, owner: str = "") -> Iterator[AnswerEvent]:
    """Events of all variants' answers to one question. `stop` ends them all, an event of `stops` the
    answer of its variant. What questions of the same `owner` have in common need not be read again.

    Raises UserError before the first event where the question itself cannot be asked; anything
    that goes wrong later is an AnswerFailed of the variants it concerns.
    """
    text = clean_question(question)
    return _events(text, variants, engine, retriever, sampling, passages, deadline_s, stop, stops or {}, owner)


def _events(question: str, variants: Sequence[Variant], engine: Engine, retriever: Searcher,
            sampling: Sampling, count: int, deadline_s: float,
            stop: threading.Event | None, stops: Mapping[str, threading.Event],
            owner: str) -> Iterator[AnswerEvent]:
    found: tuple[Passage, ...] = ()
    failure = ""
    if reading := [v.key for v in variants if v.retrieves]:
        try:
            found = yield from _searched(retriever, question, count, reading, stop)
        except UserError as error:
            failure = str(error)
        except Exception:
            log.exception("retrieval failed")
            failure = "The search for passages failed on our side. Please ask again."
    requests = []
    for variant in variants:
        if variant.retrieves and failure:
            yield AnswerFailed(variant.key, failure)
            continue
        if variant.retrieves:
            yield PassagesFound(variant.key, found)
        prompt = prompts.build(question, found if variant.retrieves else ())
        requests.append(Request(variant, prompt, sampling, deadline_s, stops.get(variant.key), owner))
    if requests:
        yield from _guarded(engine.stream(requests, stop), [r.variant.key for r in requests])


def _searched(retriever: Searcher, question: str, count: int, keys: Sequence[str], stop: threading.Event | None
              ) -> Generator[AnswerEvent, None, tuple[Passage, ...]]:
    """The passages of a search, which may have to open the index or fetch the embedder first. While it lasts the
    answers of `keys` are said to wait, so that whoever reads the events can end the question; after `stop` there
    are no passages."""
    search: Future[tuple[Passage, ...]] = Future()

    def work() -> None:
        try:
            search.set_result(retriever.search(question, count))
        except Exception as error:
            search.set_exception(error)

    threading.Thread(target=work, name="search", daemon=True).start()
    while not (stop and stop.is_set()):
        if wait((search,), WAITING_S).done:
            return search.result()
        for key in keys:
            yield AnswerQueued(key, 0)
    return ()


def _guarded(events: Iterator[AnswerEvent], keys: Sequence[str]) -> Iterator[AnswerEvent]:
    """The events of an engine; where it breaks off, each unfinished answer ends in a sentence."""
    pending = dict.fromkeys(keys)
    try:
        for event in events:
            if isinstance(event, AnswerDone | AnswerFailed):
                pending.pop(event.variant, None)
            yield event
        failure = "The engine ended before this answer did. Please ask again."
    except UserError as error:
        failure = str(error)
    except Exception:
        log.exception("the engine failed")
        failure = "This answer failed on our side. Please ask again."
    for key in pending:
        yield AnswerFailed(key, failure)


def answer_all(events: Iterator[AnswerEvent], variants: Sequence[Variant]) -> dict[str, Answer]:
    """Fold a whole stream: the finished answer of each variant, by key."""
    answers = {v.key: Answer(v.key) for v in variants}
    for event in events:
        answers[event.variant] = answers[event.variant].add(event)
    return answers
