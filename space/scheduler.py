"""Turns: which answer is moved on next, and by how much.

All answers stand in one ring. Whoever's turn it is reads a piece of its prompt, or writes for a
moment, together with those behind it in the same lane as far as the lane's width allows; then it
goes to the end. So everybody gets the same time, and a newcomer's first word waits for one round and
not for a whole answer. Turns to read are the exception: of several who read by turns all would be the last, so
one has them all, chosen by what is left to read and how long it has waited. Where all places of a lane
are taken, the one that was served last is parked: what it holds is kept outside the lane, and put back
at its next turn. Each worker (space/workers.py) has a ring and lanes of its own; an answer that is
parked can go on in another's.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from space import prompts
from space.errors import UserError
from space.job import Job
from space.lane import BATCH, GRAIN, Lane, Stopped
from space.passage_states import OFF, Mode, PassageStates
from space.places import Places
from space.schema import ModelIdentity

log = logging.getLogger(__name__)

TURN_S = 0.25
"""How long a turn of writing lasts: short enough for three columns to seem to move at once."""
ALONE_S = 2.0
"""How long a turn of reading may last with all cores, where nobody else stands in the ring; in company it is TURN_S."""
LEAST_READ = 32
"""Prompt tokens read in one turn, about so many at least: fewer at once cost more each (docs/benchmarks.md)."""
PARKED_BYTES = 192 * 2**20
"""Where answers have to be parked, those of a ring that have begun may come to hold so much together; beyond it
newcomers wait until one has ended."""
ALL_THREADS = 1024


OpenLane = Callable[[bool], tuple[Lane, ModelIdentity]]
"""The lane of the tuned (True) or the plain columns, loaded at first use."""
Cores = Callable[[Job], AbstractContextManager[int]]
"""The turn of a job: a context that says how many threads may compute in it."""
States = Callable[[ModelIdentity], PassageStates]
"""Where the passages that this model has read are kept."""


class Scheduler:
    """The ring of answers that a worker makes, for its thread only."""

    def __init__(self, open_lane: OpenLane, states: States | None = None, mode: Mode = OFF,
                 cores: Cores = lambda job: nullcontext(ALL_THREADS)) -> None:
        self._open, self._cores = open_lane, cores
        self._states, self._mode = states, mode
        self._ring: deque[Job] = deque()
        self._places: dict[bool, Places] = {}
        self._ahead: dict[tuple[bool, tuple[int, ...]], None] = {}  # passages to read while nobody waits, in order

    @property
    def count(self) -> int:
        """How many answers stand in the ring."""
        return len(self._ring)

    @property
    def has_ahead(self) -> bool:
        """Whether there are passages to read while nobody waits."""
        return bool(self._ahead)

    def prepare(self, job: Job) -> None:
        """Have the passages of a prompt read while nobody waits; the prompt itself is not answered."""
        try:
            places = self.places(job.tuned)
            job.encode(places.lane.weights, places.lane.context_tokens)
        except UserError as error:
            log.warning("Nothing is read ahead: %s", error)
            return
        self._ahead.update({(job.tuned, stretch.tokens): None for stretch in places.to_prepare(job)})

    def read_ahead(self, should_stop: Callable[[], bool]) -> None:
        """Read one of the passages; one that was interrupted is read from its start another time."""
        tuned, tokens = next(iter(self._ahead))
        try:
            self.places(tuned).read_ahead(tokens, should_stop)
        except Stopped:
            return
        except Exception:
            log.exception("reading ahead failed")
        del self._ahead[tuned, tokens]

    def add(self, jobs: Sequence[Job]) -> None:
        """New answers, behind all others."""
        self._ring.extend(jobs)

    @property
    def reading(self) -> int:
        """How many of them have no word yet."""
        return sum(not job.writing for job in self._ring)

    @property
    def work(self) -> float:
        """What all of them take together, as Job.work estimates it."""
        return sum(job.work for job in self._ring)

    def give(self) -> Job | None:
        """An answer for another worker to go on with, where there are several: one that has not begun, or the one that
        was served last."""
        if len(self._ring) < 2:
            return None
        job = next((job for job in reversed(self._ring) if not job.started), self._ring[-1])
        if job.place is not None:
            self._places[job.tuned].park(job)
        self._ring.remove(job)
        return job

    def places(self, tuned: bool) -> Places:
        """The places of a lane, made at first use. Raises UserError where there is no such lane."""
        if tuned not in self._places:
            lane, identity = self._open(tuned)
            scaffold = prompts.build("")[0].text
            states = self._states(identity) if self._states else None
            self._places[tuned] = Places(lane, lane.weights.tokenize(scaffold, True), states, self._mode)
        return self._places[tuned]

    def turn(self) -> None:
        """One step: end what is to be stopped, then serve the first that can be served."""
        for job in [job for job in self._ring if job.should_stop()]:
            self._guarded(self._stop, job)
        for job in [job for job in self._ring if not job.prompt]:
            self._guarded(self._encode, job)
        self._let_one_read()
        for number, job in enumerate(self._ring):
            job.ahead = number
        for job in list(self._ring):
            if self._guarded(self._seated, job):
                self._guarded(self._serve, job)
                return

    def _encode(self, job: Job) -> bool:
        places = self.places(job.tuned)
        job.encode(places.lane.weights, places.lane.context_tokens)
        places.expect(job)
        return True

    def _let_one_read(self) -> None:
        """Put those who read in each other's stead, highest response ratio first: wait / work, work being what is
        left to read. So short prompts come soon, one that was begun is read to its end, and who waits comes nearer."""
        now = time.monotonic()
        readers = iter(sorted((job for job in self._ring if not job.writing), reverse=True,
                              key=lambda job: (now - job.submitted) / max(job.unread, 1)))
        self._ring = deque([job if job.writing else next(readers) for job in self._ring])

    def _guarded(self, step: Callable[[Job], bool], job: Job) -> bool:
        """Do a step of a job; what goes wrong there ends this answer and no other."""
        try:
            return step(job)
        except UserError as error:
            message = str(error)
        except Exception:
            log.exception("answering failed")
            message = "This answer failed on our side. Please ask again."
        self._remove(job)
        job.fail(message)
        return False

    def _seated(self, job: Job) -> bool:
        """Whether the job has a place, after giving it one if that can be done now."""
        places = self.places(job.tuned)
        if job.place is not None:
            return True
        if places.full:
            begun = [other for other in self._ring if other.started or other is job]
            if not job.started and sum(self._most_bytes(other) for other in begun) > PARKED_BYTES:
                return False
            places.park(next(other for other in reversed(self._ring)
                             if other.tuned == job.tuned and other.place is not None))
        places.seat(job)
        return True

    def _most_bytes(self, job: Job) -> int:
        """What the job holds when its answer is as long as it may be."""
        tokens = len(job.prompt) + job.request.sampling.max_tokens
        return tokens * self.places(job.tuned).lane.weights.state_bytes_per_token

    def _serve(self, job: Job) -> bool:
        with self._cores(job) as threads:
            whole = self.places(job.tuned).lane.limit_threads(threads)
            if job.writing:
                self._write(job)
            else:
                self._read(job, ALONE_S if whole and len(self._ring) == 1 else TURN_S)
        return True

    def _read(self, job: Job, seconds: float) -> None:
        """Read as much of the prompt as takes so many seconds; behind the last piece comes the first token."""
        places = self.places(job.tuned)
        places.recall(job)
        left = (job.known[0].start if job.known else len(job.prompt)) - job.read
        wanted = max(places.read_tps * seconds, LEAST_READ)
        turns = max(round(left / wanted), -(-left // (BATCH - GRAIN)), 1)
        piece = left // turns // GRAIN * GRAIN if turns > 1 else left  # what is left is cut evenly
        try:
            places.read(job, piece)
        except Stopped:
            self._stop(job)
            return
        if job.read == len(job.prompt):
            self._pick(job, places.lane)
            if job.place is not None:
                self._ahead.update({(job.tuned, stretch.tokens): None for stretch in places.keep(job)})
            for other in self._ring:
                if other.tuned == job.tuned and other.prompt and not other.started:
                    places.expect(other)  # of what was read now it may need a part
        self._to_the_end([job])

    def _write(self, job: Job) -> None:
        """Write for TURN_S, together with as many others of the lane as its width allows."""
        lane = self.places(job.tuned).lane
        team = [other for other in self._ring
                if other.tuned == job.tuned and other.writing and other.place is not None][:lane.width]
        until = time.monotonic() + TURN_S
        while team:
            lane.write({_known(j.place): _known(j.token) for j in team})
            for one in team:
                self._pick(one, lane)
                if not one.finished and one.should_stop():
                    self._stop(one)
            team = [one for one in team if not one.finished]
            if time.monotonic() >= until:
                break
        self._to_the_end(team)

    def _pick(self, job: Job, lane: Lane) -> None:
        """Take the token behind what the job's place read or wrote last."""
        token = lane.sample(_known(job.place), job.sampler)
        if reason := job.take(token, lane.weights):
            self._finish(job, reason)

    def _stop(self, job: Job) -> bool:
        self._finish(job, "stopped" if job.stopped else "deadline")
        return True

    def _finish(self, job: Job, reason: str) -> None:
        _, identity = self._open(job.tuned)
        self._remove(job)
        job.finish(reason, identity)

    def _remove(self, job: Job) -> None:
        """Take the job out of the ring, and free what it holds."""
        if job in self._ring:
            self._ring.remove(job)
        if job.place is not None:
            self._places[job.tuned].leave(job)

    def _to_the_end(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job in self._ring:
                self._ring.remove(job)
                self._ring.append(job)


def _known(value: int | None) -> int:
    assert value is not None, "a job was served that is not ready"
    return value
