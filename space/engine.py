"""The engine: requests in, typed events out. One worker thread owns the models.

`Engine` is the interface that the chat, the command line, the evaluation and the tests use;
`LocalEngine` answers with GGUF files on this machine, one answer at a time, in order of arrival.
"""

from __future__ import annotations

import codecs
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from space import models, prompts
from space.errors import UserError
from space.lane import Lane, Stopped, Weights
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    AnswerQueued,
    ModelIdentity,
    PromptReading,
    Sampling,
    TextDelta,
    Variant,
)

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.25
"""A stream yields at least this often, so that a caller that went away is noticed."""


@dataclass(frozen=True)
class Request:
    """One answer to make. `deadline_s` counts from the moment it is handed in; setting `stop` ends this
    answer and leaves the others of its stream alone."""

    variant: Variant
    prompt: tuple[prompts.Piece, ...]
    sampling: Sampling
    deadline_s: float = 300.0
    stop: threading.Event | None = None


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


@dataclass
class _Job:
    """A request on its way through the worker."""

    request: Request
    events: SimpleQueue[AnswerEvent]
    stop: threading.Event
    submitted: float = field(default_factory=time.monotonic)
    last: AnswerEvent | None = None

    def emit(self, event: AnswerEvent) -> None:
        self.last = event
        self.events.put(event)

    @property
    def expired(self) -> bool:
        return time.monotonic() - self.submitted > self.request.deadline_s

    def should_stop(self) -> bool:
        return self.stop.is_set() or self.expired


class LocalEngine:
    """Answers with the files of a profile: one copy of the weights, a lane per kind of column."""

    def __init__(self, profile: models.Profile, context_tokens: int, threads: int) -> None:
        self._profile = profile
        self._context_tokens = context_tokens
        self._threads = threads
        self._lanes: dict[bool, tuple[Lane, ModelIdentity]] = {}
        self._base: Weights | None = None
        self._jobs: deque[_Job] = deque()
        self._running: _Job | None = None
        self._wake = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loading = "Starting the engine."

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
        stop = stop or threading.Event()
        closed = threading.Event()
        jobs = [_Job(request, events, _Any(stop, closed, request.stop)) for request in requests]
        self._ensure_worker()
        with self._wake:
            self._jobs.extend(jobs)
            self._wake.notify()
        pending = {job.request.variant.key for job in jobs}
        try:
            yield from self._heartbeat(jobs, pending)
            while pending:
                try:
                    event = events.get(timeout=HEARTBEAT_S)
                except Empty:
                    yield from self._heartbeat(jobs, pending)
                    continue
                if isinstance(event, AnswerDone | AnswerFailed):
                    pending.discard(event.variant)
                yield event
        finally:
            closed.set()

    def _heartbeat(self, jobs: Sequence[_Job], pending: set[str]) -> Iterator[AnswerEvent]:
        """Say again where each pending answer stands; fail them if the worker has died."""
        if self._worker is None or not self._worker.is_alive():
            for variant in sorted(pending):
                yield AnswerFailed(variant, "The engine stopped unexpectedly. Please ask again.")
            pending.clear()
            return
        with self._wake:
            line = ([self._running] if self._running else []) + list(self._jobs)
        for job in jobs:
            key = job.request.variant.key
            if key not in pending:
                continue
            if job in line and job is not self._running:
                yield AnswerQueued(key, ahead=line.index(job))
            elif job.last is None:
                yield AnswerQueued(key, ahead=0)
            elif isinstance(job.last, PromptReading):
                yield job.last
            elif isinstance(job.last, TextDelta):
                yield TextDelta(key, "")

    def _ensure_worker(self) -> None:
        with self._wake:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        for tuned in (False, True):
            self._loading = f"Loading the {'fine-tuned' if tuned else 'plain'} model of {self._profile.label}."
            try:
                self.lane(tuned)
            except UserError as error:
                log.warning("%s", error)
        self._loading = ""
        while True:
            with self._wake:
                while not self._jobs:
                    self._wake.wait()
                self._running = job = self._jobs.popleft()
            try:
                self._answer(job)
            except UserError as error:
                job.emit(AnswerFailed(job.request.variant.key, str(error)))
            except Exception:
                log.exception("answering failed")
                job.emit(AnswerFailed(job.request.variant.key,
                                      "This answer failed on our side. Please ask again."))
            finally:
                self._running = None

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
        lane = Lane(weights, self._context_tokens, self._threads, adapter)
        self._lanes[tuned] = lane, models.identify(profile, path, header, adapter)
        return self._lanes[tuned]

    def _answer(self, job: _Job) -> None:
        """Make one answer and emit its events."""
        request = job.request
        key, sampling = request.variant.key, request.sampling
        lane, identity = self.lane(request.variant.tuned)
        prompt = prompts.encode(request.prompt, lane.weights.tokenize)
        if len(prompt) + sampling.max_tokens > lane.context_tokens:
            raise UserError(
                f"The question and its passages fill {len(prompt)} tokens; with the answer that "
                f"is more than the {lane.context_tokens} the model can hold.",
                "Ask a shorter question.")
        started = time.monotonic()
        job.emit(PromptReading(key, len(prompt)))
        written, first_token_s, finish = 0, 0.0, "length"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        lane.sample_with(sampling)
        try:
            lane.read(prompt, job.should_stop)
            while written < sampling.max_tokens:
                token = lane.next_token()
                if not first_token_s:
                    first_token_s = time.monotonic() - started
                if lane.weights.is_end(token):
                    finish = "end"
                    break
                written += 1
                if text := decoder.decode(lane.weights.piece(token)):
                    job.emit(TextDelta(key, text))
                if job.should_stop():
                    raise Stopped
                lane.write(token)
        except Stopped:
            finish = "stopped" if job.stop.is_set() else "deadline"
        if tail := decoder.decode(b"", final=True):
            job.emit(TextDelta(key, tail))
        decode_s = time.monotonic() - started - first_token_s
        job.emit(AnswerDone(
            key, finish, prompt_tokens=len(prompt), answer_tokens=written, cached_tokens=0,
            queued_s=round(started - job.submitted, 3), first_token_s=round(first_token_s, 3),
            decode_tps=round(written / decode_s, 2) if written > 1 and decode_s > 0 else 0.0,
            identity=identity))


class _Any(threading.Event):
    """Set when one of several events is set."""

    def __init__(self, *events: threading.Event | None) -> None:
        super().__init__()
        self._events = [event for event in events if event]

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._events)
