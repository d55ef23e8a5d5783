"""One answer on its way through the engine: its request, its events, and how far it has come."""

from __future__ import annotations

import codecs
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from space import prompts
from space.errors import UserError
from space.passage_states import Stretch
from space.sampler import Sampler, State
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    ModelIdentity,
    PromptReading,
    Sampling,
    TextDelta,
    Variant,
)
from space.weights import Weights

WRITTEN, READING, LETTERS = 0.5, 0.4, 4
"""About how much of its limit an answer writes, what a token that is read costs of one that is written, and how many
letters it has."""


@dataclass(frozen=True)
class Request:
    """One answer to make. `deadline_s` counts from the moment it is handed in; setting `stop` ends this
    answer and leaves the others of its stream alone; requests of the same `owner`, where one is named,
    may go on from what the engine still holds of each other's prompts."""

    variant: Variant
    prompt: tuple[prompts.Piece, ...]
    sampling: Sampling
    deadline_s: float = 300.0
    stop: threading.Event | None = None
    owner: str = ""


class Job:
    """A request, its queue of events, and its progress. The worker moves it on; `last` and `ahead`
    are read by the caller's thread."""

    def __init__(self, request: Request, events: SimpleQueue[AnswerEvent],
                 stops: Sequence[threading.Event]) -> None:
        self.request = request
        self.events = events
        self.submitted = time.monotonic()
        self.last: AnswerEvent | None = None
        self.worker: threading.Thread | None = None  # who makes it
        self.ahead = 0
        self.prompt: list[int] = []
        self.shared = 0  # leading tokens of the prompt that are the same for everyone
        self.passages: list[tuple[int, int]] = []  # ranges of the prompt's tokens
        self.before_question = 0  # tokens of the prompt up to the question behind the passages
        self.known: deque[Stretch] = deque()  # parts of the prompt, not yet reached, that were read ahead of time
        self.read = 0  # tokens of the prompt that the place holds, or may come to hold when there is one
        self.place: int | None = None
        self.parked: State | None = None
        self.token: int | None = None  # picked and not yet put into the place
        self.finished = False
        self._stops = stops
        self._cached = 0
        self._written = 0
        self._started = 0.0
        self._first_token_s = 0.0
        self._sampler: Sampler | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def work(self) -> float:
        """About what it takes to answer, in tokens to write."""
        letters = sum(len(piece.text) for piece in self.request.prompt)
        return WRITTEN * self.request.sampling.max_tokens + READING * letters / LETTERS

    @property
    def unread(self) -> int:
        """How many tokens of the prompt have to be computed: those not read and not known."""
        return len(self.prompt) - self.read - sum(max(s.end - max(s.start, self.read), 0) for s in self.known)

    @property
    def key(self) -> str:
        return self.request.variant.key

    @property
    def tuned(self) -> bool:
        return self.request.variant.tuned

    @property
    def writing(self) -> bool:
        return self.token is not None

    @property
    def started(self) -> bool:
        return self._started > 0

    @property
    def expired(self) -> bool:
        return time.monotonic() - self.submitted > self.request.deadline_s

    @property
    def stopped(self) -> bool:
        return any(stop.is_set() for stop in self._stops)

    def should_stop(self) -> bool:
        return self.stopped or self.expired

    def emit(self, event: AnswerEvent) -> None:
        self.last = event
        self.events.put(event)

    def encode(self, weights: Weights, context_tokens: int) -> None:
        """Make the prompt's tokens. Raises UserError where prompt and answer do not fit."""
        pieces = self.request.prompt
        tokens = prompts.tokenized(pieces, weights.tokenize)
        self.prompt = [token for part in tokens for token in part]
        self.passages = prompts.passage_tokens(pieces, tokens, weights.piece)
        self.before_question = prompts.tokens_before_question(pieces, tokens, weights.piece)
        if pieces[0].control:
            self.shared = len(tokens[0])
        if len(self.prompt) + self.request.sampling.max_tokens > context_tokens:
            raise UserError(
                f"The question and its passages fill {len(self.prompt)} tokens; with the answer that "
                f"is more than the {context_tokens} the model can hold.",
                "Ask a shorter question.")

    def begin(self, place: int, cached: int) -> None:
        """Take a place that holds the first `cached` tokens of the prompt already."""
        self.place, self.read, self._cached = place, cached, cached
        self._started = time.monotonic()
        self._sampler = Sampler(self.request.sampling)
        self.emit(PromptReading(self.key, len(self.prompt)))

    def skip(self, count: int) -> None:
        """The next `count` tokens of the prompt were put into the place without reading them."""
        self.read += count
        self._cached += count

    @property
    def sampler(self) -> Sampler:
        assert self._sampler is not None, "the job has not begun"
        return self._sampler

    def take(self, token: int, weights: Weights) -> str:
        """A token was picked: send its text; the finish reason where the answer ends with it."""
        if not self._first_token_s:
            self._first_token_s = time.monotonic() - self._started
        if weights.is_end(token):
            return "end"
        self._written += 1
        self.token = token
        if text := self._decoder.decode(weights.piece(token)):
            self.emit(TextDelta(self.key, text))
        return "length" if self._written >= self.request.sampling.max_tokens else ""

    def finish(self, reason: str, identity: ModelIdentity) -> None:
        """The last events of an answer that could be made, whole or in part."""
        if tail := self._decoder.decode(b"", final=True):
            self.emit(TextDelta(self.key, tail))
        now = time.monotonic()
        started = self._started or now
        decode_s = now - started - self._first_token_s
        self.emit(AnswerDone(
            self.key, reason, prompt_tokens=len(self.prompt), answer_tokens=self._written,
            cached_tokens=self._cached, queued_s=round(started - self.submitted, 3),
            first_token_s=round(self._first_token_s, 3),
            decode_tps=round(self._written / decode_s, 2) if self._written > 1 and decode_s > 0 else 0.0,
            identity=identity))
        self._close()

    def fail(self, message: str) -> None:
        """The last event of an answer that could not be made."""
        self.emit(AnswerFailed(self.key, message))
        self._close()

    def _close(self) -> None:
        self.finished, self.parked = True, None
        if self._sampler:
            self._sampler.close()
            self._sampler = None
