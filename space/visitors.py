"""Who is here, who listens, and who may ask now.

Gradio runs a queued question to its end even where nobody ever listens, and lets one visitor fill
the line. `Visitors` keeps count: how many questions each visitor and everyone together have open,
which sessions have an answer stream open, and how long questions take, so that a refusal can say
when to come back. The door (space/door.py) tells it what it sees; `watch` wraps the events of a
question so that an abandoned or overdue one ends at once.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from space.errors import UserError
from space.schema import AnswerDone, AnswerEvent, AnswerFailed, Variant
from space.settings import load_settings

GRACE_S = 3.0
"""A question whose stream was never opened is dropped after this; a browser opens it within milliseconds."""
GONE_S = 0.5
"""A question whose stream was open and closed again is dropped after this."""
POLL_S = 0.05
OVERTIME_S = 0.5
"""The engine ends an answer at its deadline; what is still open so much later is ended here."""
REMEMBERED = 4096
"""Sessions and addresses kept in mind; the oldest are forgotten."""
FIRST_GUESS_S = 20.0
"""Seconds a question takes, before one was measured."""


@dataclass(frozen=True)
class Limits:
    """Open questions of a session (one running, one waiting), of an address (several people can
    sit behind one) and of everyone; event calls of an address a second; open streams."""

    per_session: int = 2
    per_address: int = 4
    everyone: int = 12
    calls_per_s: float = 10.0
    calls_at_once: float = 40.0
    streams_per_address: int = 40
    streams: int = 400


class Busy(UserError):
    """A refusal that passes: try again after `retry_s` seconds."""

    def __init__(self, message: str, retry_s: float) -> None:
        self.retry_s = max(1, round(retry_s))
        unit = f"{self.retry_s} second{'' if self.retry_s == 1 else 's'}"
        super().__init__(message, f"Please try again in about {unit}.")


@dataclass
class _Open:
    """A question on its way: `event` is Gradio's id for it, known once Gradio took it."""

    session: str
    address: str
    event: str = ""


class Visitors:
    """Counts of open questions and streams. Safe to call from any thread.

    `unfinished` says whether Gradio still holds an event; until `guard` names it, every question
    counts as listened to, as there is no door that could know better.
    """

    def __init__(self, limits: Limits = Limits(), clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._unfinished: Callable[[str], bool] | None = None
        self._open: list[_Open] = []
        self._listening: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._streams: dict[str, int] = {}
        self._calls: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._took_s: deque[float] = deque(maxlen=8)
        self._last_end = 0.0

    def guard(self, unfinished: Callable[[str], bool]) -> None:
        """From now on a door sees every stream; `unfinished` tells of an event id."""
        self._unfinished = unfinished

    def admit(self, session: str, address: str) -> _Open:
        """Count a new question. Raises Busy where the session, the address or the house is full."""
        with self._lock:
            if self._unfinished:
                self._open = [q for q in self._open if not q.event or self._unfinished(q.event)]
            mine = sum(bool(session) and q.session == session for q in self._open)
            near = sum(q.address == address for q in self._open)
            if mine >= self.limits.per_session:
                raise Busy("Your last questions are still being answered.", self._wait_s(len(self._open)))
            if near >= self.limits.per_address:
                raise Busy(f"{near} questions from your network are being answered or waiting.",
                           self._wait_s(len(self._open)))
            if len(self._open) >= self.limits.everyone:
                raise Busy(f"The app is busy: {len(self._open)} questions are being answered or waiting.",
                           self._wait_s(len(self._open)))
            question = _Open(session, address)
            self._open.append(question)
            return question

    def dismiss(self, question: _Open) -> None:
        """Gradio did not take the question after all."""
        with self._lock:
            if question in self._open:
                self._open.remove(question)

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

    def abandoned(self, session: str, since: float) -> bool:
        """Whether nobody listens to the session's question that began at `since` (monotonic)."""
        if self._unfinished is None:
            return False
        with self._lock:
            count, changed = self._listening.get(session, (0, 0.0))
        if count:
            return False
        now = self._clock()
        return now - changed > GONE_S if changed >= since else now - since > GRACE_S

    def listened(self, session: str) -> bool:
        """Whether somebody listens to this session now."""
        return self._unfinished is None or self._listening.get(session, (0, 0.0))[0] > 0

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
              session: str, deadline_s: float) -> Iterator[AnswerEvent]:
        """The events of one question, ended where nobody listens (silently) or where the deadline is
        over (with a sentence for each answer that is missing). `stop` is set then."""
        begun = self._clock()
        missing = {v.key for v in variants}
        while not self.listened(session):  # nothing costs time before somebody listens
            if self.abandoned(session, begun) or stop.is_set():
                stop.set()
                return
            time.sleep(POLL_S)
        try:
            for event in events:
                if isinstance(event, AnswerDone | AnswerFailed):
                    missing.discard(event.variant)
                yield event
                if self.abandoned(session, begun):
                    stop.set()
                    return
                if missing and self._clock() - begun > deadline_s + OVERTIME_S:
                    stop.set()
                    for variant in variants:
                        if variant.key in missing:
                            yield AnswerFailed(variant.key, f"The time limit of {deadline_s:.0f} s was over before "
                                                            "this answer was made. Please ask again later.")
                    return
            self.finished(begun)
        finally:
            close = getattr(events, "close", None)
            if close:
                close()


def client_address(peer: str, headers: Mapping[str, str], trust_forwarded: bool) -> str:
    """The address a visitor is counted under.

    Behind a proxy that is the rightmost public address in X-Forwarded-For: each proxy appends the
    address it saw, so what a visitor forged stands further left. Without a proxy the header is
    ignored. An IPv6 address counts as its /64, which is what one household has.
    """
    if trust_forwarded:
        for entry in reversed(headers.get("x-forwarded-for", "").split(",")):
            address = _address(entry)
            if address and address.is_global:
                return _bucket(address)
    address = _address(peer)
    return _bucket(address) if address else peer


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.strip()
    if text.count(":") == 1:  # an IPv4 address with its port
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bucket(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


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
