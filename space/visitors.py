"""Who is here, who listens, and who may ask now.

Gradio runs a queued question to its end even where nobody ever listens, and lets one visitor fill
the line. `Visitors` keeps count: how many questions each visitor and everyone together have at the
models, which sessions have an answer stream open, and how long questions take, so that a refusal can
say when to come back. The door (space/door.py) tells it what it sees, and lets a few events more in
than there may be questions, so that a recorded answer is shown while the models are busy. `watch`
wraps the events of a question that reaches the models: it refuses one too many in words that the page
shows, and ends an abandoned or overdue one at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from space.limits import Busy, Limits
from space.schema import AnswerDone, AnswerEvent, AnswerFailed, Variant
from space.settings import load_settings

GRACE_S = 3.0
"""A question whose stream was never opened is dropped after this; a browser opens it within milliseconds."""
GONE_S = 0.3
"""A question whose stream was open and closed again is dropped after this."""
POLL_S = 0.05
OVERTIME_S = 0.25
"""The engine ends an answer at its deadline; what is still open so much later is ended here."""
REMEMBERED = 4096
"""Sessions and addresses kept in mind; the oldest are forgotten."""
FIRST_GUESS_S = 20.0
"""Seconds a question takes, before one was measured."""


@dataclass(eq=False)
class _Open:
    """An event that may ask the models: `event` is Gradio's id for it, known once Gradio took it."""

    session: str
    address: str
    at: float
    event: str = ""


@dataclass(frozen=True, eq=False)
class _Question:
    """A question at the models."""

    session: str
    address: str


class Visitors:
    """Counts of events, questions and streams. Safe to call from any thread. Until `guard` is called,
    every question counts as listened to, as there is no door that could know better."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self._clock = clock
        self._lock = threading.Lock()
        self._unfinished: Callable[[str], bool] | None = None
        self._session_of: Callable[[str], str] = lambda event: ""
        self._open: list[_Open] = []
        self._others: list[_Open] = []
        self._questions: list[_Question] = []
        self._listening: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._called_off: OrderedDict[str, tuple] = OrderedDict()
        self._streams: dict[str, int] = {}
        self._calls: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._took_s: deque[float] = deque(maxlen=8)
        self._last_end = 0.0

    def guard(self, unfinished: Callable[[str], bool], session_of: Callable[[str], str] = lambda event: "") -> None:
        """From now on a door sees every stream; the two tell of Gradio's event ids."""
        self._unfinished, self._session_of = unfinished, session_of

    def admit(self, session: str, address: str) -> _Open:
        """Count an event that may ask. Raises Busy where the session, the address or the house is full."""
        limits = self.limits
        with self._lock:
            self._open = self._still(self._open)
            self._refuse(session, address, self._open, limits.spare)
            event = _Open(session, address, self._clock())
            self._open.append(event)
            return event

    def admit_other(self, session: str, address: str) -> _Open:
        """Count an event that needs no model but a place in Gradio's queue, which everybody shares. Raises Busy where
        an address has too many there."""
        with self._lock:
            self._others = self._still(self._others)
            if sum(e.address == address for e in self._others) >= self.limits.others_per_address:
                raise Busy("Too many requests from your network are waiting.", 2)
            event = _Open(session, address, self._clock())
            self._others.append(event)
            return event

    def _still(self, events: list[_Open]) -> list[_Open]:
        """Those that Gradio has not finished; all where nobody can tell."""
        return [e for e in events if not e.event or self._unfinished(e.event)] if self._unfinished else events

    def _begin(self, session: str) -> _Question:
        """Count a question that is about to reach the models. Raises Busy."""
        with self._lock:
            event = self._event_of(session)
            address = event.address if event else ""
            self._refuse(session, address, self._questions, 0)
            question = _Question(session, address)
            self._questions.append(question)
            return question

    def _event_of(self, session: str) -> _Open | None:
        """The newest event that the door let in for a session."""
        return next((e for e in reversed(self._open) if session and session in (e.session, self._session_of(e.event))),
                    None)

    def _end(self, question: _Question) -> None:
        with self._lock:
            self._questions.remove(question)

    def _refuse(self, session: str, address: str, there: Sequence[_Open | _Question], spare: int) -> None:
        limits, wait_s = self.limits, self._wait_s(len(self._questions))
        if sum(bool(session) and e.session == session for e in there) >= limits.per_session + spare:
            raise Busy("Your last questions are still being answered.", wait_s)
        near = sum(bool(address) and e.address == address for e in there)
        if near >= limits.per_address + 2 * spare:
            raise Busy(f"Questions from your network are being answered or waiting already: {near}.", wait_s)
        if len(there) >= (limits.events if spare else limits.everyone):
            raise Busy(f"The app is busy: {len(there)} questions are being answered or waiting.", wait_s)

    def dismiss(self, event: _Open) -> None:
        """Gradio did not take the event after all."""
        with self._lock:
            for there in (self._open, self._others):
                if event in there:
                    there.remove(event)

    def count_call(self, address: str) -> None:
        """Count an event call. Raises Busy where an address makes too many (a token bucket)."""
        with self._lock:
            now = self._clock()
            left, at = self._calls.pop(address, (self.limits.calls_at_once, now))
            left = min(self.limits.calls_at_once, left + (now - at) * self.limits.calls_per_s)
            self._calls[address] = (max(left - 1, 0.0), now)
            _forget(self._calls)
            if left < 1:
                raise Busy("Too many requests came from your network.", 1)

    def enter_stream(self, session: str, address: str) -> None:
        """An answer stream opens. Raises Busy where too many are open."""
        with self._lock:
            near = self._streams.get(address, 0)
            if near >= self.limits.streams_per_address or sum(self._streams.values()) >= self.limits.streams:
                raise Busy("Too many connections are open.", 5)
            self._streams[address] = near + 1
            count, _ = self._listening.pop(session, (0, 0.0))
            self._listening[session] = (count + 1, self._clock())
            _forget(self._listening)

    def leave_stream(self, session: str, address: str) -> None:
        """An answer stream of `enter_stream` closed."""
        with self._lock:
            self._streams[address] = self._streams.get(address, 1) - 1
            if self._streams[address] <= 0:
                del self._streams[address]
            count, _ = self._listening.pop(session, (1, 0.0))
            self._listening[session] = (max(count - 1, 0), self._clock())

    def call_off(self, event: str) -> None:
        """A program gave up its question with Gradio's id `event`; it may listen on for another one."""
        with self._lock:
            self._called_off[event] = ()
            _forget(self._called_off)

    def abandoned(self, session: str, since: float, event: str = "") -> bool:
        """Whether the session's question that began at `since` (monotonic) was called off, where its `event` is
        known, or nobody listens to it."""
        if self._unfinished is None:
            return False
        with self._lock:
            if event in self._called_off:
                return True
            count, changed = self._listening.get(session, (0, 0.0))
        if count:
            return False
        now = self._clock()
        return now - changed > GONE_S if changed >= since else now - since > GRACE_S

    def listened(self, session: str) -> bool:
        """Whether somebody listens to this session now."""
        return self._unfinished is None or self._listening.get(session, (0, 0.0))[0] > 0

    def silent_s(self, session: str) -> float:
        """How long ago, in seconds, the last stream of this session closed; infinite where one is open or none was."""
        with self._lock:
            count, changed = self._listening.get(session, (1, 0.0))
        return math.inf if count else self._clock() - changed

    def wait_s(self, ahead: int) -> float:
        """About how long until `ahead` questions are answered."""
        with self._lock:
            return self._wait_s(ahead)

    def _wait_s(self, ahead: int) -> float:
        mean = sum(self._took_s) / len(self._took_s) if self._took_s else FIRST_GUESS_S
        return max(ahead, 1) * mean

    def finished(self, begun: float) -> None:
        """A question that began at `begun` was answered: what it kept the engine busy for is learnt."""
        with self._lock:
            now = self._clock()
            self._took_s.append(now - max(begun, self._last_end))
            self._last_end = now

    def watch(self, events: Iterator[AnswerEvent], variants: Sequence[Variant], stop: threading.Event,
              session: str, deadline_s: float, event_id: str = "") -> Iterator[AnswerEvent]:
        """The events of one question, ended where nobody listens or it was called off (silently), or where the
        deadline is over (with a sentence for each answer that is missing). `stop` is set then. Raises Busy where the
        session, its address or everyone together has as many questions at the models as it may."""
        begun = self._clock()
        with self._lock:
            event_of = self._event_of(session)
        since = event_of.at if event_of else begun  # it may have waited, and a listener left, before this line runs
        missing = {v.key for v in variants}
        while not self.listened(session):  # nothing costs time before somebody listens
            if self.abandoned(session, since, event_id) or stop.is_set():
                stop.set()
                return
            time.sleep(POLL_S)
        question = self._begin(session)
        try:
            for event in events:
                if isinstance(event, AnswerDone | AnswerFailed):
                    missing.discard(event.variant)
                yield event
                if self.abandoned(session, since, event_id):
                    stop.set()
                    return
                if missing and self._clock() - since > deadline_s + OVERTIME_S:
                    stop.set()
                    for variant in variants:
                        if variant.key in missing:
                            yield AnswerFailed(variant.key, f"The time limit of {deadline_s:.0f} s was over before "
                                                            "this answer was made. Please ask again later.")
                    return
            self.finished(begun)
        finally:
            self._end(question)
            close = getattr(events, "close", None)
            if close:
                close()


def _forget(kept: OrderedDict[str, tuple]) -> None:
    """Drop the oldest beyond what is remembered; open streams are bounded by their own limit."""
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


@cache
def load_visitors() -> Visitors:
    """The visitors of the running app."""
    settings = load_settings()
    return Visitors(Limits(per_session=settings.questions_per_session, per_address=settings.questions_per_address,
                           everyone=settings.questions_at_once))
