"""The engine: requests in, typed events out.

`Engine` is the interface that the chat, the command line, the evaluation and the tests use;
`LocalEngine` answers with GGUF files on this machine; space/workers.py says who makes an answer, space/scheduler.py
in which order.
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

from space import models, references
from space.errors import UserError
from space.job import Job, Request
from space.lane import Lane
from space.passage_states import OFF, Mode, PassageStates
from space.scheduler import Cores, Scheduler
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
from space.workers import Workers

__all__ = ["Engine", "LocalEngine", "Request"]

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.25
"""A stream yields at least this often, so that a caller that went away is noticed."""
OVERDUE_S = 15.0
"""So long after its deadline an answer is given up even where the worker itself hangs."""
PLACES = 4
"""Answers of a kind of column that all workers hold at once, at most; more take turns (see space/scheduler.py)."""
PLACES_BYTES = 320 * 2**20
"""Memory for them: with long contexts there are fewer."""


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
    """Answers with the files of a profile: one copy of the weights, and for each worker a lane per kind of column."""

    def __init__(self, profile: models.Profile, context_tokens: int, threads: int,
                 ahead: Ahead | None = None) -> None:
        """`ahead` says whether and where passages are kept that were read ahead of time; None: nowhere."""
        self._profile = profile
        self._ahead = ahead
        self._context_tokens = context_tokens
        self._threads = threads
        self._lanes: dict[tuple[bool, int], tuple[Lane, ModelIdentity]] = {}
        self._loaded: dict[bool, tuple[Weights, Path | None, ModelIdentity]] = {}
        self._weights: dict[Path, Weights] = {}
        self._opening = threading.Lock()
        self._loading = "Starting the engine."
        self._workers = Workers(self._make_ring, threads)

    def loading(self) -> str:
        """See Engine.loading."""
        return self._loading

    def warm(self) -> None:
        """Load the models in the background, so that the first question finds them ready."""
        self._workers.start()

    def stream(self, requests: Sequence[Request],
               stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See Engine.stream."""
        events: SimpleQueue[AnswerEvent] = SimpleQueue()
        closed = threading.Event()
        jobs = [Job(request, events, [event for event in (closed, stop, request.stop) if event])
                for request in requests]
        self._workers.add(jobs)
        pending = {job.key for job in jobs}
        try:
            while pending:
                for event in _next(events) or _heartbeat([j for j in jobs if j.key in pending]):
                    if isinstance(event, AnswerDone | AnswerFailed):
                        pending.discard(event.variant)
                    yield event
        finally:
            closed.set()

    def read_ahead(self, requests: Sequence[Request]) -> None:
        """Have the passages of these prompts read while nobody waits for an answer."""
        if self._ahead and self._ahead.mode.first:
            self._workers.prepare([Job(request, SimpleQueue(), ()) for request in requests if request.prompt])

    @property
    def reading_ahead(self) -> bool:
        """Whether passages wait to be read, or answers to be made first."""
        return not self._workers.resting

    def _make_ring(self, number: int, cores: Cores) -> Scheduler:
        """The ring of a worker, with its lanes loaded as far as they can be now."""
        def open_lane(tuned: bool) -> tuple[Lane, ModelIdentity]:
            return self._open(tuned, number)

        states, mode = (self._ahead.states, self._ahead.mode) if self._ahead else (None, OFF)
        ring = Scheduler(open_lane, states, mode, cores)
        for tuned in (False, True):
            if not number:
                self._loading = f"Loading the {'fine-tuned' if tuned else 'plain'} model of {self._profile.label}."
            try:
                ring.places(tuned)
            except UserError as error:
                log.warning("%s", error)
        self._loading = ""
        return ring

    def lane(self, tuned: bool) -> tuple[Lane, ModelIdentity]:
        """A lane of the tuned or the plain columns, loaded at first use, for a caller that drives it itself and never
        streams: lanes bear one thread at a time."""
        return self._open(tuned, 0)

    def _open(self, tuned: bool, number: int) -> tuple[Lane, ModelIdentity]:
        """The lane of a worker. Raises UserError where there is no such model."""
        with self._opening:
            if (tuned, number) not in self._lanes:
                weights, adapter, identity = self._files(tuned)
                places = min(PLACES_BYTES // (weights.state_bytes_per_token * self._context_tokens), PLACES)
                like = self._lanes.get((tuned, 0))
                lane = Lane(weights, self._context_tokens, self._threads, adapter,
                            max(places // self._workers.size, 1), like[0] if like else None)
                self._lanes[tuned, number] = lane, identity
            return self._lanes[tuned, number]

    def _files(self, tuned: bool) -> tuple[Weights, Path | None, ModelIdentity]:
        """Weights, adapter and name of the tuned or the plain model, found and loaded once."""
        if tuned not in self._loaded:
            profile = self._profile
            path = references.resolve(profile.base)
            header = models.check_base(profile, path)
            adapter = None
            if tuned and profile.adapter:
                adapter = models.resolve_adapter(profile, path)
            elif tuned and profile.tuned:
                path = references.resolve(profile.tuned)
                header = models.check_tuned(profile, path)
            elif tuned:
                raise UserError(f"No fine-tuned model is set for {profile.label}.",
                                "Set TUNED_MODEL to hf:OWNER/REPO/FILE.gguf, or ADAPTER.")
            if path not in self._weights:
                self._weights[path] = Weights(path)
            self._loaded[tuned] = (self._weights[path], adapter, models.identify(profile, path, header, adapter))
        return self._loaded[tuned]


def _next(events: SimpleQueue[AnswerEvent]) -> list[AnswerEvent]:
    """The next event; none where HEARTBEAT_S passes without one."""
    try:
        return [events.get(timeout=HEARTBEAT_S)]
    except Empty:
        return []


def _heartbeat(jobs: Sequence[Job]) -> list[AnswerEvent]:
    """Say again where each pending answer stands, or that it cannot be made any more."""
    return [event for job in jobs for event in _standing(job)]


def _standing(job: Job) -> list[AnswerEvent]:
    if job.worker and not job.worker.is_alive():
        return [AnswerFailed(job.key, "The engine stopped unexpectedly. Please ask again.")]
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
