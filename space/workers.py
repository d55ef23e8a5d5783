"""Workers: threads that make answers side by side, each with lanes and a ring of its own.

Two workers with half of the cores each write nearly twice as many tokens as one with all of them
(docs/decisions/008-two-workers.md). They share the weights and nothing else, so what is said of a ring and its
lanes (space/scheduler.py) stays true of each. A newcomer goes where least is to be done, or where its owner's last
one of that column was; who has nothing left to do is given an answer of somebody who has several.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from space import scheduler
from space.cores import Cores
from space.job import Job
from space.scheduler import Scheduler

WORKERS = 2
"""Workers, where there are as many cores. Each needs contexts of its own, and a question has three answers."""
REMEMBERED = 512
"""Columns of owners of whom is known where their last answer was made."""

MakeRing = Callable[[int, scheduler.Cores], Scheduler]
"""The ring of a worker, given its number and the turns of its answers, with its lanes loaded."""


class Worker:
    """One thread, its ring once that is made, and the answers that are on their way to it."""

    def __init__(self, work: Callable[[Worker], None], number: int) -> None:
        self.number = number
        self.arrived: list[Job] = []
        self.ring: Scheduler | None = None
        self.work = 0.0  # estimated for all its answers, in tokens to write (Job.work)
        self.reading = 0  # answers that wait for their first word, those that are on their way to it among them
        self.resting = False
        self.thread = threading.Thread(target=work, args=(self,), name=f"engine-{number}", daemon=True)

    @property
    def count(self) -> int:
        """Answers it has to make."""
        return len(self.arrived) + (self.ring.count if self.ring else 0)


class Workers:
    """All workers of an engine; they start with the first work. Safe to call from any thread."""

    def __init__(self, make_ring: MakeRing, threads: int) -> None:
        self._make_ring, self._threads = make_ring, threads
        self.size = min(WORKERS, threads)
        self._workers: list[Worker] = []
        self._to_prepare: list[Job] = []
        self._last: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._wake = threading.Condition()
        self._loading = threading.Lock()
        self._cores = Cores()

    def start(self) -> None:
        """Start those that do not run. One that follows one that died begins with a new ring; those who stood in the
        old one are told by their heartbeat."""
        with self._wake:
            alive = {worker.number: worker for worker in self._workers if worker.thread.is_alive()}
            self._workers = [alive.get(number) or Worker(self._work, number) for number in range(self.size)]
            for worker in self._workers:
                if worker.number not in alive:
                    worker.thread.start()

    def add(self, jobs: Sequence[Job]) -> None:
        """New answers to make."""
        self.start()
        with self._wake:
            for job in sorted(jobs, key=lambda job: -job.work):  # the longest first makes the evenest shares
                self._hand(job, self._choose(job))
            for worker in self._workers:  # whoever asked first comes first
                worker.arrived.sort(key=lambda job: job.submitted)
            self._wake.notify_all()

    def prepare(self, jobs: Sequence[Job]) -> None:
        """Have the passages of these prompts read while nobody waits for an answer."""
        self.start()
        with self._wake:
            self._to_prepare += jobs
            self._wake.notify_all()

    @property
    def resting(self) -> bool:
        """Whether there is nothing to answer, and no passage to read."""
        with self._wake:
            return all(worker.resting and not worker.arrived for worker in self._workers) and not self._to_prepare

    def _choose(self, job: Job) -> Worker:
        """Where an answer is made: where the owner's last one of this column was, as its prompt may lie there still,
        unless there is more to do than elsewhere."""
        least = min(self._workers, key=lambda worker: worker.work)
        last = self._last.get((job.request.owner, job.key))
        if last is not None and self._workers[last].work <= least.work + job.work:
            return self._workers[last]
        return least

    def _hand(self, job: Job, worker: Worker) -> None:
        job.worker = worker.thread
        worker.arrived.append(job)
        worker.work += job.work
        worker.reading += not job.writing
        if job.request.owner:
            self._last[job.request.owner, job.key] = worker.number
            self._last.move_to_end((job.request.owner, job.key))
            if len(self._last) > REMEMBERED:
                self._last.popitem(last=False)

    def _work(self, me: Worker) -> None:
        """Serve until the process ends."""
        with self._loading:  # one after another, as they measure the machine
            ring = self._make_ring(me.number, lambda job: self._turn(me, job))
        me.ring = ring
        while True:
            with self._wake:
                while not (me.arrived or ring.count or self._free_to_prepare(me)):
                    if not me.resting:
                        me.resting, me.work, me.reading = True, 0.0, 0
                        self._wake.notify_all()  # others may have waited for it to come to rest
                    self._wake.wait()
                me.resting = False
                ring.add(me.arrived)
                me.arrived, me.work, me.reading = [], ring.work, ring.reading
                to_prepare: list[Job] = []
                if not ring.count:
                    to_prepare, self._to_prepare = self._to_prepare, []
            for job in to_prepare:
                ring.prepare(job)
            if ring.count:
                ring.turn()
                self._give(ring, me)
            elif ring.has_ahead:
                ring.read_ahead(self._anybody)

    @contextmanager
    def _turn(self, me: Worker, job: Job) -> Iterator[int]:
        """A turn with the threads it may compute with: all while the others rest, else a part of them. An answer
        that takes longer than all others together would be the last for a long time, so its prompt is read with
        all of them while the others pause, once these have their first word: that is what `whole` turns are."""
        alone = not any(worker.count for worker in self._workers if worker is not me)
        longest = job.work > sum(worker.work for worker in self._workers) / self.size
        whole = not alone and not job.writing and longest and sum(worker.reading for worker in self._workers) == 1
        with self._cores.turn(whole):
            yield self._threads if alone or whole else max(self._threads // self.size, 1)

    def _anybody(self) -> bool:
        return any(worker.count for worker in self._workers)

    def _free_to_prepare(self, me: Worker) -> bool:
        """Whether there are passages to read, for this worker, and nobody waits for an answer."""
        mine = me.ring is not None and me.ring.has_ahead
        return (mine or (bool(self._to_prepare) and me.number == 0)) and not self._anybody()

    def _give(self, ring: Scheduler, me: Worker) -> None:
        """Give an answer to a worker that has none."""
        if ring.count < 2:
            return
        idle = next((w for w in self._workers if w is not me and w.ring and not w.count and w.thread.is_alive()), None)
        if idle and (job := ring.give()):
            with self._wake:
                self._hand(job, idle)
                self._wake.notify_all()
