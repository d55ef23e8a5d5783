"""Who sits where in a lane, what of a prompt a place holds already, and how fast prompts are read.

What a place read for an answer stays in it until somebody else needs the place, so that a prompt
which begins the same is not read again. The scaffold (system prompt) is the same for everyone; of
the rest, only requests of the same owner find each other's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from space.job import Job
from space.lane import GRAIN, Lane


@dataclass
class _Seat:
    """`tokens` are those that the place read in batches, from its start."""

    number: int
    tokens: list[int] = field(default_factory=list)
    owner: str = ""
    job: Job | None = None
    used: int = 0


class Places:
    """The places of one lane, which is primed with `scaffold`, the tokens that all prompts share."""

    def __init__(self, lane: Lane, scaffold: list[int]) -> None:
        began = time.monotonic()
        lane.prime(scaffold)
        self.read_tps = (len(scaffold) + 1) / (time.monotonic() - began)
        self.lane = lane
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
        best.job, best.owner = job, job.request.owner

    def read(self, job: Job, count: int) -> None:
        """Read the next `count` tokens of the job's prompt. Raises Stopped."""
        seat, began = self._of(job), time.monotonic()
        self.lane.read(seat.number, job.prompt[job.read:job.read + count], job.should_stop)
        self.read_tps += (count / (time.monotonic() - began) - self.read_tps) / 2
        job.read += count
        seat.tokens = job.prompt[:job.read]

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
