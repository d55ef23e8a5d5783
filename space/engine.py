"""The engine: requests in, typed events out. One worker thread owns the models.

`Engine` is the interface that the chat, the command line, the evaluation and the tests use;
`LocalEngine` answers with GGUF files on this machine (space/scheduler.py says in which order).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from space import models
from space.errors import UserError
from space.job import Job, Request
from space.lane import Lane
from space.passage_states import Mode, PassageStates
from space.scheduler import Scheduler
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    AnswerQueued,
    ModelIdentity,
    PromptReading,
    TextDelta,
)
from space.weights import Weights

__all__ = ["Engine", "LocalEngine", "Request"]

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.25
"""A stream yields at least this often, so that a caller that went away is noticed."""
OVERDUE_S = 15.0
"""So long after its deadline an answer is given up even where the worker itself hangs."""
PLACES = 4
"""Answers that a lane holds at once, at most; more take turns (see space/scheduler.py)."""
LANE_BYTES = 320 * 2**20
"""Memory for the places of one lane: with long contexts there are fewer of them."""


class Engine(Protocol):
    """Anything that answers requests with events."""

    def stream(self, requests: Sequence[Request],
               stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """Events of all requests as they happen; one AnswerDone or AnswerFailed for each.

        Setting `stop`, or closing the iterator, ends the work within milliseconds.
        """
        ...

    def loading(self) -> str:
        """What is being loaded, in words; "" once the engine can answer at once."""
        ...


@dataclass(frozen=True)
class Ahead:
    """Passages read ahead of time: how they are used, the folder that keeps them, and its bound in bytes."""

    mode: Mode
    folder: Path
    budget: int

    def states(self, identity: ModelIdentity) -> PassageStates:
        """The states of one model, with or without an adapter."""
        return PassageStates(self.folder, self.budget,
                             f"{identity.sha256} {identity.adapter_sha256} {version('llama-cpp-python')}")


class LocalEngine:
    """Answers with the files of a profile: one copy of the weights, a lane per kind of column."""

    def __init__(self, profile: models.Profile, context_tokens: int, threads: int,
                 ahead: Ahead | None = None) -> None:
        """`ahead` says whether and where passages are kept that were read ahead of time; None: nowhere."""
        self._profile = profile
        self._ahead = ahead
        self._to_read: list[Job] = []
        self._context_tokens = context_tokens
        self._threads = threads
        self._lanes: dict[bool, tuple[Lane, ModelIdentity]] = {}
        self._base: Weights | None = None
        self._arrived: list[Job] = []
        self._wake = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loading = "Starting the engine."
        self._at_rest = False

    def loading(self) -> str:
        """See Engine.loading."""
        return self._loading

    def warm(self) -> None:
        """Load the models in the background, so that the first question finds them ready."""
        self._ensure_worker()

    def stream(self, requests: Sequence[Request],
               stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See Engine.stream."""
        events: SimpleQueue[AnswerEvent] = SimpleQueue()
        closed = threading.Event()
        jobs = [Job(request, events, [event for event in (closed, stop, request.stop) if event])
                for request in requests]
        worker = self._ensure_worker()
        with self._wake:
            self._arrived.extend(jobs)
            self._wake.notify()
        pending = {job.key for job in jobs}
        try:
            while pending:
                for event in _next(events) or _heartbeat([j for j in jobs if j.key in pending], worker):
                    if isinstance(event, AnswerDone | AnswerFailed):
                        pending.discard(event.variant)
                    yield event
        finally:
            closed.set()

    def read_ahead(self, requests: Sequence[Request]) -> None:
        """Have the passages of these prompts read while nobody waits for an answer."""
        if self._ahead and self._ahead.mode.first:
            self._ensure_worker()
            with self._wake:
                self._to_read += [Job(request, SimpleQueue(), ()) for request in requests if request.prompt]
                self._wake.notify()

    @property
    def reading_ahead(self) -> bool:
        """Whether passages wait to be read, or answers to be made first."""
        return not self._at_rest

    def _ensure_worker(self) -> threading.Thread:
        with self._wake:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
                self._worker.start()
            return self._worker

    def _work(self) -> None:
        """Serve until the process ends. A worker that follows one that died begins with a new ring;
        those who stood in the old one are told by their heartbeat."""
        scheduler = (Scheduler(self.lane, self._ahead.states, self._ahead.mode) if self._ahead
                     else Scheduler(self.lane))
        for tuned in (False, True):
            self._loading = f"Loading the {'fine-tuned' if tuned else 'plain'} model of {self._profile.label}."
            try:
                scheduler.places(tuned)
            except UserError as error:
                log.warning("%s", error)
        self._loading = ""
        while True:
            with self._wake:
                while not (self._arrived or self._to_read or scheduler.busy or scheduler.has_ahead):
                    self._at_rest = True
                    self._wake.wait()
                self._at_rest = False
                scheduler.add(self._arrived)
                self._arrived = []
                to_read, self._to_read = self._to_read, []
            for job in to_read:
                scheduler.prepare(job)
            if scheduler.busy:
                scheduler.turn()
            elif scheduler.has_ahead:
                scheduler.read_ahead(lambda: bool(self._arrived))

    def lane(self, tuned: bool) -> tuple[Lane, ModelIdentity]:
        """The lane of the tuned or the plain columns, loaded at first use. For the worker, or for a
        caller that drives the lane itself and never streams: lanes bear one thread only."""
        if tuned in self._lanes:
            return self._lanes[tuned]
        profile = self._profile
        path = models.resolve(profile.base)
        header = models.check_base(profile, path)
        adapter = None
        if not tuned or profile.adapter:
            self._base = self._base or Weights(path)
        if not tuned:
            weights = self._base
        elif profile.adapter:
            weights, adapter = self._base, models.resolve_adapter(profile, path)
        elif profile.tuned:
            path = models.resolve(profile.tuned)
            header = models.check_tuned(profile, path)
            weights = Weights(path)
        else:
            raise UserError(f"No fine-tuned model is set for {profile.label}.",
                            "Set TUNED_MODEL to hf:OWNER/REPO/FILE.gguf, or ADAPTER.")
        assert weights is not None
        places = LANE_BYTES // max(weights.state_bytes_per_token * self._context_tokens, 1)
        lane = Lane(weights, self._context_tokens, self._threads, adapter, min(max(places, 1), PLACES))
        self._lanes[tuned] = lane, models.identify(profile, path, header, adapter)
        return self._lanes[tuned]


def _next(events: SimpleQueue[AnswerEvent]) -> list[AnswerEvent]:
    """The next event; none where HEARTBEAT_S passes without one."""
    try:
        return [events.get(timeout=HEARTBEAT_S)]
    except Empty:
        return []


def _heartbeat(jobs: Sequence[Job], worker: threading.Thread) -> list[AnswerEvent]:
    """Say again where each pending answer stands, or that it cannot be made any more."""
    if not worker.is_alive():
        return [AnswerFailed(job.key, "The engine stopped unexpectedly. Please ask again.") for job in jobs]
    return [event for job in jobs for event in _standing(job)]


def _standing(job: Job) -> list[AnswerEvent]:
    if time.monotonic() - job.submitted > job.request.deadline_s + OVERDUE_S:
        return [AnswerFailed(job.key, "The engine did not answer in time. Please ask again.")]
    match job.last:
        case None:
            return [AnswerQueued(job.key, ahead=job.ahead)]
        case PromptReading():
            return [job.last]
        case TextDelta():
            return [TextDelta(job.key, "")]
    return []
