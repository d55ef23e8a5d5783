"""Who sits where in a lane, what of a prompt a place holds already, and how fast prompts are read.

What a place read for an answer stays in it until somebody else needs the place, so that a prompt
which begins the same is not read again. The scaffold (system prompt) is the same for everyone; of
the rest, only requests of the same owner find each other's. Passages of the corpus, which are nobody's,
come from their states where these are kept (space/passage_states.py).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from space.job import Job
from space.lane import GRAIN, Lane
from space.passage_states import OFF, Mode, PassageStates, Stretch, all_passages, stretches


@dataclass
class _Seat:
    """`tokens` are those that the place read in batches, from its start."""

    number: int
    tokens: list[int] = field(default_factory=list)
    owner: str = ""
    job: Job | None = None
    used: int = 0


class Places:
    """The places of one lane, which is primed with `scaffold`, the tokens that all prompts share. `states` keeps
    passages that were read, and `mode` says how they are used."""

    def __init__(self, lane: Lane, scaffold: list[int], states: PassageStates | None = None,
                 mode: Mode = OFF) -> None:
        self.read_tps = len(scaffold) / lane.prime(scaffold)
        self.lane = lane
        self._scaffold, self._states, self._mode = scaffold, states, mode
        self._seats = [_Seat(n, list(scaffold)) for n in range(lane.places)]
        self._clock = 0

    @property
    def full(self) -> bool:
        return all(seat.job for seat in self._seats)

    def seat(self, job: Job) -> None:
        """Give a free place to a job that begins, the one that holds most of its prompt, or to one
        that was parked."""
        seats = [seat for seat in self._seats if seat.job is None]
        best = max(seats, key=lambda seat: (self._common(seat, job), -seat.used))
        if job.parked:
            best = min(seats, key=lambda seat: seat.used)
            self.lane.load(best.number, job.parked)
            best.tokens, job.parked, job.place = job.prompt[:job.read], None, best.number
        else:
            kept = self._common(best, job)
            self.lane.cut(best.number, kept)
            best.tokens = job.prompt[:kept]
            job.begin(best.number, kept)
            job.known = deque(self._known(job))
        best.job, best.owner = job, job.request.owner

    def expect(self, job: Job) -> None:
        """Note what is there already of a prompt that has no place yet, as things stand."""
        job.read = max(self._common(seat, job) for seat in self._seats)
        job.known = deque(self._known(job))

    def read(self, job: Job, count: int) -> None:
        """Read the next `count` tokens of the job's prompt. Raises Stopped."""
        seat, began = self._of(job), time.monotonic()
        self.lane.read(seat.number, job.prompt[job.read:job.read + count], job.should_stop,
                       picked=job.read + count == len(job.prompt))
        self.read_tps += (count / (time.monotonic() - began) - self.read_tps) / 2
        job.read += count
        seat.tokens = job.prompt[:job.read]

    def recall(self, job: Job) -> None:
        """Put in what was read ahead of time, where the job has come to it; what is known then begins further on."""
        while job.known and job.known[0].start <= job.read:
            stretch = job.known.popleft()
            count = stretch.end - job.read
            block = self._states.load(stretch.tokens) if self._states and count >= GRAIN else None
            if block:
                seat, rope = self._of(job), self.lane.weights.rope
                part = block.part(block.end - count, block.end)
                self.lane.put(seat.number, part.moved(job.read, rope) if rope else part)
                job.skip(count)
                seat.tokens = job.prompt[:job.read]

    def keep(self, job: Job) -> list[Stretch]:
        """Keep the state of the first passage of a prompt that was read; returns the passages that are still to be
        read ahead."""
        wanted = self.unread(job) if self._states else []
        if self._states and wanted and wanted[0].start == 0:
            first = wanted.pop(0)
            self._states.save(first.tokens, self.lane.take(self._of(job).number, first.end))
        return wanted

    def unread(self, job: Job) -> list[Stretch]:
        """The passages of a prompt whose states are wanted and not there."""
        return [s for s in self._stretches(job) if not self._holds(s)]

    def to_prepare(self, job: Job) -> list[Stretch]:
        """What to read ahead for a prompt that will be asked as it is: its passages together, which is exact, or each
        by itself where that is good enough."""
        together = self._together(job)
        return self.unread(job) if self._mode.others else [s for s in together if not self._holds(s)]

    def _known(self, job: Job) -> list[Stretch]:
        """What is kept of a prompt: all its passages together, or those that are there by themselves."""
        together = [s for s in self._together(job) if self._holds(s)]
        return together or [s for s in self._stretches(job) if self._holds(s)]

    def _holds(self, stretch: Stretch) -> bool:
        return self._states is not None and self._states.holds(stretch.tokens)

    def _together(self, job: Job) -> list[Stretch]:
        return [all_passages(job.prompt, job.before_question, GRAIN)] if self._mode.first and job.passages else []

    def read_ahead(self, tokens: Sequence[int], should_stop: Callable[[], bool]) -> None:
        """Read a passage behind the scaffold, in the free place that was used longest ago, and keep its state.
        Raises Stopped."""
        seat = min((seat for seat in self._seats if seat.job is None), key=lambda seat: seat.used)
        kept = len(self._scaffold) // GRAIN * GRAIN
        self.lane.cut(seat.number, kept)
        seat.tokens, seat.owner = self._scaffold[:kept], ""
        try:
            self.lane.read(seat.number, tokens[kept:], should_stop, picked=False)
            if self._states:
                self._states.save(tokens, self.lane.take(seat.number, len(tokens)))
        finally:
            self.lane.cut(seat.number, kept)

    def _stretches(self, job: Job) -> list[Stretch]:
        mode = self._mode if self.lane.weights.rope else Mode(first=self._mode.first)
        return stretches(job.prompt, job.passages, mode, GRAIN)

    def park(self, job: Job) -> None:
        """Take the job's place, and keep with the job what it holds."""
        job.parked = self.lane.save(self._of(job).number)
        self.leave(job)

    def leave(self, job: Job) -> None:
        """Free the job's place, if it has one; what was read of its prompt stays for later."""
        if job.place is None:
            return
        seat = self._of(job)
        self.lane.cut(seat.number, len(seat.tokens))
        self._clock += 1
        seat.job, seat.used, job.place = None, self._clock, None

    def _of(self, job: Job) -> _Seat:
        return next(seat for seat in self._seats if seat.job is job)

    @staticmethod
    def _common(seat: _Seat, job: Job) -> int:
        """How many tokens of the job's prompt the place holds and the job may use: a multiple of
        GRAIN that leaves enough to read for the last tokens to come in a batch."""
        mine = bool(job.request.owner) and seat.owner == job.request.owner
        limit = min(len(job.prompt) - GRAIN, len(job.prompt) if mine else job.shared, len(seat.tokens))
        count = 0
        while count < limit and seat.tokens[count] == job.prompt[count]:
            count += 1
        return count // GRAIN * GRAIN
