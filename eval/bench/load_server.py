"""The app under load: served with its door, by an engine of fixed speed or by the real one.

`python -m eval.bench.load_server PORT LOG [SECONDS_PER_WORD]`; without the last it answers with the models of
PROFILE. LOG gets a JSON line for each question that the engine lets go.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from space import app, parts
from space.engine import Engine, Request
from space.launch import launch_settings
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerQueued,
    ModelIdentity,
    Passage,
    PromptReading,
    TextDelta,
)
from space.settings import load_settings

IDENTITY = ModelIdentity("none.gguf", "0" * 64, "an engine of fixed speed", "none", "none", 0, 0.0)
PASSAGE = Passage("load#1", "A passage that is always found.", "load", "Load", "Load", 0.9, 0.9)
NUMBER = re.compile(r"\bq\d{6}\b")
"""How the load's questions are numbered, so that an answer shows whose it is."""


class PacedEngine:
    """Answers one question after another, each word after a fixed time, and repeats the question's number."""

    def __init__(self, word_s: float, log: int) -> None:
        self._word_s = word_s
        self._log = log
        self._turn = threading.Lock()

    def loading(self) -> str:
        return ""

    def warm(self) -> None:
        """Nothing to load."""

    def stream(self, requests: Sequence[Request], stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See space.engine.Engine."""
        number, events, gone = number_of(requests), SimpleQueue[AnswerEvent](), threading.Event()
        work = threading.Thread(target=self._work, args=(requests, number, events.put, (stop, gone)), daemon=True)
        work.start()
        missing = len(requests)
        try:
            while missing:
                try:
                    event = events.get(timeout=0.2)
                except Empty:
                    event = AnswerQueued(requests[0].variant.key, 1)
                missing -= isinstance(event, AnswerDone)
                yield event
        finally:
            gone.set()
            work.join()
            let_go(self._log, number)

    def _work(self, requests: Sequence[Request], number: str, put: Callable[[AnswerEvent], None],
              flags: Sequence[threading.Event | None]) -> None:
        """One question at a time; the others wait, unless they are given up."""
        while not self._turn.acquire(timeout=0.05):
            if any(flag and flag.is_set() for flag in flags):
                return
        try:
            for request in requests:
                put(self._answer(request, number, put, flags))
        finally:
            self._turn.release()

    def _answer(self, request: Request, number: str, put: Callable[[AnswerEvent], None],
                flags: Sequence[threading.Event | None]) -> AnswerDone:
        key, written, finish = request.variant.key, 0, "end"
        put(PromptReading(key, 40))
        for word in f"Question {number} was asked, and {key} has this to say of {number} .".split():
            time.sleep(self._word_s)
            if any(flag and flag.is_set() for flag in (*flags, request.stop)):
                finish = "stopped"
                break
            written += 1
            put(TextDelta(key, word + " "))
        return AnswerDone(key, finish, 40, written, 0, 0.0, self._word_s, 1 / self._word_s, IDENTITY)


class WatchedEngine:
    """The real engine, of which is written down when it lets a question go."""

    def __init__(self, engine: Engine, log: int) -> None:
        self._engine, self._log = engine, log

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    def stream(self, requests: Sequence[Request], stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See space.engine.Engine."""
        try:
            yield from self._engine.stream(requests, stop)
        finally:
            let_go(self._log, number_of(requests))


def number_of(requests: Sequence[Request]) -> str:
    """The number of the load's question, "" where it has none."""
    found = NUMBER.search(str(requests[0].prompt))
    return found[0] if found else ""


def let_go(log: int, number: str) -> None:
    """Write down that a question's turn is over."""
    os.write(log, (json.dumps({"at": time.monotonic(), "what": "let go", "number": number}) + "\n").encode())


class OnePassage:
    """Finds the same passage for every question."""

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        return (PASSAGE,)


def serve(port: int, log: str, word_s: float | None) -> None:
    """Serve until killed."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if word_s is not None:
        engine = PacedEngine(word_s, file)
        parts.load_engine = lambda: engine  # type: ignore[assignment]
        parts.load_retriever = OnePassage  # type: ignore[assignment]
    else:
        watched = WatchedEngine(parts.load_engine(), file)
        parts.load_engine = lambda: watched  # type: ignore[assignment]
    settings = replace(load_settings(), port=port)
    page = app.build()
    parts.load_engine().warm()
    parts.load_retriever().search("warm-up", 1)
    page.launch(quiet=True, theme=app.theme(), css_paths=app.STYLES, **launch_settings(page, settings))


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else None)
