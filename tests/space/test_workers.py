"""Answers that are made side by side, with lanes that need no model."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from space import prompts, scheduler, workers
from space.cores import Cores
from space.job import Job, Request
from space.scheduler import Scheduler
from space.schema import PLAIN, TUNED, TUNED_RAG, AnswerDone, AnswerFailed, Sampling, TextDelta
from tests.space.fake_lane import FakeLane
from tests.space.test_scheduler import IDENTITY, QUESTIONS, alone, answer, job, make


def wait(until: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not until():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.002)


class SlowLane(FakeLane):
    """Takes a moment to read and to write, and notes with how many threads."""

    def __init__(self, pause_s: float = 0.0, **options) -> None:
        super().__init__(**options)
        self.pause_s, self.limits, self.limit = pause_s, [], 0

    def read(self, place, tokens, should_stop=None, picked=True):
        self.limits.append(("read", self.limit))
        time.sleep(self.pause_s)
        super().read(place, tokens, should_stop, picked)

    def write(self, tokens):
        self.limits.append(("write", self.limit))
        time.sleep(self.pause_s)
        super().write(tokens)


class Crew:
    """Workers on slow lanes; `lanes` are those of each worker."""

    def __init__(self, threads=2, **options) -> None:
        self.lanes: dict[int, list[SlowLane]] = {}
        self._options = options
        self.workers = workers.Workers(self._ring, threads)

    def _ring(self, number, cores):
        lanes = {tuned: SlowLane(**self._options) for tuned in (False, True)}
        self.lanes[number] = list(lanes.values())
        return Scheduler(lambda tuned: (lanes[tuned], IDENTITY), cores=cores)

    def limits(self, what):
        return {limit for lanes in self.lanes.values() for lane in lanes for kind, limit in lane.limits if kind == what}

    def done(self, *jobs):
        wait(lambda: all(isinstance(j.last, AnswerDone | AnswerFailed) for j in jobs), "answers")
        return [answer(j) for j in jobs]


def test_thirty_at_once_are_shared_and_answer_as_they_would_alone(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    crew = Crew(places=2, width=2)
    jobs = [job(q, (PLAIN, TUNED, TUNED_RAG)[n % 3]) for n, q in enumerate(QUESTIONS)]
    crew.workers.add(jobs)
    assert [a.text for a in crew.done(*jobs)] == [alone(q) for q in QUESTIONS]
    assert all(any(lane.writes for lane in lanes) for lanes in crew.lanes.values()) and len(crew.lanes) == 2


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_goes_on_in_another_ring_as_if_nothing_had_been(seed, monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    monkeypatch.setattr(scheduler, "LEAST_READ", 8)
    rng = random.Random(seed)
    rings = [make(rng.randint(1, 3), rng.randint(1, 3))[0] for _ in range(2)]
    jobs = [job(q, rng.choice([PLAIN, TUNED]), owner=rng.choice(["", "a"])) for q in QUESTIONS[:8]]
    rings[0].add(jobs)
    moved = set()
    while any(ring.count for ring in rings):
        for here, there in (rings, rings[::-1]):
            if here.count:
                here.turn()
            if rng.random() < 0.1 and (given := here.give()):
                moved.add(given)
                there.add([given])
    assert [answer(j).text for j in jobs] == [alone(q) for q in QUESTIONS[:8]] and len(moved) > 3


def test_who_has_nothing_left_is_given_an_answer_that_has_not_begun_or_the_last_one(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    ring, _ = make()
    first, second = job(QUESTIONS[0]), job(QUESTIONS[1])
    ring.add([first])
    assert ring.give() is None
    ring.turn()
    ring.add([second])
    assert ring.give() is second and ring.give() is None and ring.count == 1
    ring.add([second])
    ring.turn()
    ring.turn()
    assert first.started and second.started
    given = ring.give()
    assert given and given.parked and given.place is None


def test_a_worker_alone_has_all_threads_and_each_of_two_has_half(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    crew = Crew(threads=6, pause_s=0.001)
    crew.workers.add([one := job("Hi!")])
    crew.done(one)
    assert crew.limits("write") == {6}
    two = [job(q, sampling=Sampling(max_tokens=400)) for q in QUESTIONS[:4]]
    crew.workers.add(two)
    crew.done(*two)
    assert crew.limits("write") == {3, 6} and 3 in crew.limits("read")


def test_the_prompt_of_an_answer_longer_than_all_others_is_read_with_all_threads_while_they_pause(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    crew = Crew(threads=6, pause_s=0.002)
    jobs = [job(q, sampling=Sampling(max_tokens=100)) for q in ("Who?", "Why?", "Why is that so? " * 200)]
    crew.workers.add(jobs)
    crew.done(*jobs)
    worker = next(lanes for lanes in crew.lanes.values() if max(end for lane in lanes for *_, end in lane.reads) > 2000)
    limits = [limit for lane in worker for kind, limit in lane.limits if kind == "read"]
    assert limits[-1] == 6 and limits.count(6) > len(limits) / 2 and 3 in crew.limits("write")


def test_the_others_have_their_first_word_before_they_pause_for_the_longest(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    whole, worded = [], []

    class Seen(Cores):
        @contextmanager
        def turn(self, all_of_them):
            if all_of_them:
                whole.append(None)
                worded.append([isinstance(j.last, TextDelta | AnswerDone) for j in short])
            with super().turn(all_of_them):
                yield

    crew = Crew(threads=2, pause_s=0.002)
    crew.workers._cores = Seen()
    short = [job(q, sampling=Sampling(max_tokens=100)) for q in ("Who?", "Why?")]
    long = job("Why is that so? " * 200)
    crew.workers.add([long, *short])
    crew.done(long, *short)
    assert whole and all(map(all, worded))


def test_the_longest_answer_has_a_worker_for_itself_and_the_same_owners_next_one_goes_there(monkeypatch):
    crew = Crew(pause_s=0.001)
    for _ in range(3):
        jobs = [job(q, v, owner="ann", sampling=Sampling(max_tokens=4)) for q, v in
                (("Who?", PLAIN), ("Who?", TUNED), ("Why is that so? " * 60, TUNED_RAG))]
        crew.workers.add(jobs)
        at = {j.key: j.worker for j in jobs}
        crew.done(*jobs)
        assert at["plain"] is at["tuned"] is not at["tuned_rag"]
    same = {at["tuned_rag"]}
    for _ in range(3):
        crew.workers.add([again := job("Why is that so? " * 60, TUNED_RAG, owner="ann")])
        same.add(again.worker)
        crew.done(again)
    assert len(same) == 1


def test_who_has_answered_all_counts_as_free(monkeypatch):
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)
    crew = Crew(pause_s=0.001)
    for _ in range(4):
        long, *short = jobs = [job("Why is that so? " * 60, sampling=Sampling(max_tokens=9)),
                               *(job(q, sampling=Sampling(max_tokens=9)) for q in ("Who?", "Why?"))]
        crew.workers.add(jobs)
        assert len({j.worker for j in short} - {long.worker}) == 1 and long.worker not in {j.worker for j in short}
        crew.done(*jobs)
        wait(lambda: crew.workers.resting, "rest")
        assert all(w.work == 0 and w.reading == 0 for w in crew.workers._workers)


def test_answers_begin_in_the_order_in_which_they_were_asked_for():
    crew = Crew(threads=1)
    jobs = [job(q, v, sampling=Sampling(max_tokens=4)) for q, v in
            (("Who?", PLAIN), ("Why?", TUNED), ("Why is that so? " * 60, TUNED_RAG))]
    crew.workers.add(jobs)
    crew.done(*jobs)
    assert jobs[0]._started < jobs[1]._started < jobs[2]._started


def test_one_thread_means_one_worker():
    crew = Crew(threads=1)
    jobs = [job(q) for q in QUESTIONS[:5]]
    crew.workers.add(jobs)
    assert [a.text for a in crew.done(*jobs)] == [alone(q) for q in QUESTIONS[:5]] and len(crew.lanes) == 1


def test_a_worker_that_died_is_replaced_and_the_other_one_goes_on(monkeypatch):
    crew = Crew()
    crew.workers.add([one := job("Hi!")])
    crew.done(one)
    real = Scheduler.turn
    monkeypatch.setattr(Scheduler, "turn", lambda ring: (_ for _ in ()).throw(SystemExit))
    crew.workers.add([lost := job("Hi!")])
    wait(lambda: not lost.worker.is_alive(), "the end of a thread")
    monkeypatch.setattr(Scheduler, "turn", real)
    jobs = [job(q) for q in QUESTIONS[:6]]
    crew.workers.add(jobs)
    assert [a.text for a in crew.done(*jobs)] == [alone(q) for q in QUESTIONS[:6]]


def test_passages_are_read_while_nobody_waits_and_then_all_rest():
    crew = Crew(pause_s=0.001)
    crew.workers.prepare([Job(Request(TUNED_RAG, prompts.build("Why?"), Sampling()), SimpleQueue(), ())])
    wait(lambda: crew.workers.resting, "rest")
    crew.workers.add([one := job("Hi!")])
    assert not crew.workers.resting
    crew.done(one)
    wait(lambda: crew.workers.resting, "rest")


def test_parts_go_side_by_side_a_whole_turn_by_itself_and_each_in_its_order():
    cores, order = Cores(), []
    both = threading.Barrier(2, timeout=10)

    def part():
        with cores.turn(False):
            both.wait()  # passes only with two inside at once

    pair = [threading.Thread(target=part) for _ in range(2)]
    for one in pair:
        one.start()
    for one in pair:
        one.join(10)

    def take(name, whole):
        with cores.turn(whole):
            order.append(name)

    asked = ("whole 2", True), ("part", False), ("whole 3", True)
    later = [threading.Thread(target=take, args=one) for one in asked]
    with cores.turn(True):
        for number, one in enumerate(later, 1):
            one.start()
            wait(lambda number=number: len(cores._waiting) == number, "a ticket")
        assert order == []
    for one in later:
        one.join(10)
    assert order == ["whole 2", "part", "whole 3"]


def test_a_turn_that_fails_ends():
    cores = Cores()
    with pytest.raises(ZeroDivisionError), cores.turn(True):
        _ = 1 / 0
    with cores.turn(False):
        pass
