"""Who is served when, with lanes that need no model."""

import random
import threading
from contextlib import nullcontext
from queue import SimpleQueue

import pytest

from space import prompts, scheduler
from space.errors import UserError
from space.job import Job, Request
from space.passage_states import Mode
from space.schema import (
    PLAIN,
    TUNED,
    TUNED_RAG,
    Answer,
    AnswerDone,
    AnswerFailed,
    ModelIdentity,
    Passage,
    Sampling,
    TextDelta,
)
from tests.space.fake_lane import FakeLane

IDENTITY = ModelIdentity("fake.gguf", "ab" * 32, "Fake", "llama", "F32", 1, 0.1)
SAMPLING = Sampling(max_tokens=60)
SCAFFOLD = len(prompts.build("")[0].text)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    """A turn of writing is one token, so that order shows."""
    monkeypatch.setattr(scheduler, "TURN_S", 0.0)


def make(places=3, width=2, **options):
    lanes = {tuned: FakeLane(places, width, **options) for tuned in (False, True)}
    return scheduler.Scheduler(lambda tuned: (lanes[tuned], IDENTITY)), lanes


def job(question, variant=PLAIN, stop=None, **options):
    request = Request(variant, prompts.build(question), options.pop("sampling", SAMPLING), **options)
    return Job(request, SimpleQueue(), [stop] if stop else [])


def run(ring, *jobs):
    ring.add(jobs)
    turns = 0
    while ring.count:
        ring.turn()
        turns += 1
        assert turns < 100_000, "the ring never empties"
    return [answer(one) for one in jobs]


def answer(one):
    """The job's events, folded; exactly one of them, the last, is an end."""
    events = []
    while not one.events.empty():
        events.append(one.events.get())
    assert [isinstance(e, AnswerDone | AnswerFailed) for e in events] == [False] * (len(events) - 1) + [True]
    told = Answer(one.key)
    for event in events:
        told = told.add(event)
    return told


def alone(question, variant=PLAIN, **options):
    return run(make()[0], job(question, variant, **options))[0].text


QUESTIONS = [f"{'Why ' * (n % 7)}is the number {n} so {'very ' * (n * 13 % 60)}large?" for n in range(30)]


@pytest.mark.parametrize("places, width", [(1, 1), (2, 2), (4, 3)])
def test_thirty_at_once_answer_as_they_would_alone(places, width):
    ring, lanes = make(places, width)
    jobs = [job(q, (PLAIN, TUNED, TUNED_RAG)[n % 3]) for n, q in enumerate(QUESTIONS)]
    got = run(ring, *jobs)
    assert [a.text for a in got] == [alone(q) for q in QUESTIONS]
    assert len({a.text for a in got}) > 25
    for lane in lanes.values():
        assert max(map(len, lane.writes)) == min(width, places)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_coming_and_going_leaves_the_others_answers_alone(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(scheduler, "PARKED_BYTES", rng.choice([0, 40_000, 10**9]))
    ring, _ = make(rng.randint(1, 4), rng.randint(1, 3))
    stops = {q: threading.Event() for q in QUESTIONS}
    waiting = [job(q, rng.choice([PLAIN, TUNED]), stops[q], owner=rng.choice(["", "a", "b"])) for q in QUESTIONS]
    jobs = list(waiting)
    while waiting or ring.count:
        if waiting and rng.random() < 0.2:
            ring.add([waiting.pop()])
        if rng.random() < 0.02:
            stops[rng.choice(QUESTIONS)].set()
        ring.turn()
    for question, told in zip(QUESTIONS, map(answer, jobs), strict=True):
        whole = alone(question).strip()
        assert told.state == "done"
        assert told.text == whole if told.done.finish != "stopped" else whole.startswith(told.text)


def test_a_newcomer_does_not_wait_for_whole_answers():
    ring, _ = make()
    long = [job(q, v, sampling=Sampling(max_tokens=500)) for q, v in zip(QUESTIONS, [PLAIN, TUNED] * 2, strict=False)]
    ring.add(long)
    for _ in range(40):
        ring.turn()
    newcomer = job("Hi!")
    ring.add([newcomer])
    turns = 0
    while not isinstance(newcomer.last, TextDelta | AnswerDone):
        ring.turn()
        turns += 1
    pieces = -(-(len(newcomer.prompt) - SCAFFOLD) // scheduler.LEAST_READ) + 1
    assert turns <= pieces * (len(long) + 1)
    assert sum(not j.finished for j in long) >= 2


def test_a_long_prompt_is_read_in_pieces_between_which_the_others_go_on():
    ring, lanes = make()
    short, long = job("short", sampling=Sampling(max_tokens=400)), job("long " * 200)
    run(ring, short, long)
    order = lanes[False].order
    reads = [n for n, call in enumerate(order) if call == ("read", 1)]
    assert len(reads) > 20
    assert sum(call == ("write", 0) for call in order[reads[0]:reads[-1]]) > 10


@pytest.mark.parametrize("threads, least, most", [(2, 1, 3), (1, 10, 20)])
def test_a_prompt_alone_is_read_in_long_pieces_and_with_a_part_of_the_threads_in_short_ones(threads, least, most):
    lane = FakeLane()
    lane.threads = 2
    ring = scheduler.Scheduler(lambda tuned: (lane, IDENTITY), cores=lambda job: nullcontext(threads))
    assert run(ring, job("why " * 100))[0].text == alone("why " * 100)
    assert least <= len(lane.reads) <= most


def readers_in_turn(lane):
    """Whose prompt was read, without repetitions."""
    places = [place for place, start, end in lane.reads if end > start]
    return [place for n, place in enumerate(places) if n == 0 or place != places[n - 1]]


def test_two_long_prompts_are_read_one_after_the_other_and_both_go_on_writing():
    ring, lanes = make()
    first, second = job("first " * 100), job("second " * 100)
    got = run(ring, first, second)
    assert readers_in_turn(lanes[False]) == [0, 1]
    assert got[0].done.first_token_s < got[1].done.first_token_s + got[1].done.queued_s
    assert [a.text for a in got] == [alone("first " * 100), alone("second " * 100)]


def test_a_short_prompt_is_read_before_the_rest_of_a_long_one_unless_that_has_waited_much_longer(monkeypatch):
    monkeypatch.setattr(scheduler, "ALONE_S", 0.0)
    for waited, order in ((0, [0, 1, 0]), (10_000, [0, 1])):
        ring, lanes = make()
        long = job("long " * 200)
        ring.add([long])
        for _ in range(3):
            ring.turn()
        long.submitted -= waited
        short = job("short")
        short.submitted -= 1
        run(ring, short)
        assert readers_in_turn(lanes[False])[:3] == order


def test_what_is_kept_of_a_prompt_counts_as_read():
    ring, _ = make()
    first = job("A question " * 30, owner="me")
    run(ring, first)
    assert first.unread == 0
    again = job("A question " * 30 + "and more", owner="me")
    ring.add([again, job("other " * 30)])
    ring.turn()
    assert again.unread < 20 < len(again.prompt)


def test_of_a_state_that_went_away_the_tokens_are_to_be_read_after_all():
    class Gone:
        def holds(self, tokens):
            return True

        def load(self, tokens):
            return None

    lane = FakeLane(3, 1)
    ring = scheduler.Scheduler(lambda tuned: (lane, IDENTITY), lambda identity: Gone(), Mode())
    passage = Passage("a#1", "text " * 200, "a", "A", "H")
    one = Job(Request(TUNED_RAG, prompts.build("Why so?", (passage,)), SAMPLING), SimpleQueue(), [])
    ring.add([one])
    ring.turn()
    assert one.unread == len(one.prompt) - one.read > 800


def test_what_one_prompt_left_behind_counts_for_the_next_of_its_owner():
    ring, _ = make()
    asked = "A question " * 60
    first, again, stranger = job(asked, owner="me"), job(asked + "again", owner="me"), job("?" * 200)
    for one in (first, again, stranger):
        one.submitted -= 10
    first.submitted -= 90
    ring.add([first, again, stranger])
    while not first.writing:
        ring.turn()
    assert again.unread < 50 < stranger.unread


def test_a_lane_that_cannot_open_fails_the_answer_that_was_given_to_it_and_no_other():
    def open_lane(tuned):
        if tuned:
            raise UserError("There is not enough memory.", "Set less.")
        return FakeLane(), IDENTITY

    here, _ = make()
    here.add([job("one " * 50, TUNED), job("two " * 50, TUNED)])
    here.turn()
    there, given, other = scheduler.Scheduler(open_lane), here.give(), job("plain")
    got = run(there, given, other)
    assert "not enough memory" in got[0].error and got[1].text == alone("plain")


@pytest.mark.parametrize("length", range(500, 560))
def test_pieces_begin_at_the_grain_and_the_last_one_is_no_single_token(length, monkeypatch):
    monkeypatch.setattr(scheduler, "ALONE_S", 1e9)
    ring, lanes = make()
    prompt = job("x" * length)
    run(ring, prompt)
    reads = lanes[False].reads
    assert all(start % 4 == 0 for _, start, _ in reads)
    assert all(2 <= end - start <= 512 for _, start, end in reads)
    assert reads[-1][2] == len(prompt.prompt)


def test_the_system_prompt_is_never_read_and_the_rest_only_by_the_same_owner_again():
    ring, _ = make()
    question = "What does the paper say about experts? " * 5
    for owner, cached in [("", SCAFFOLD), ("", SCAFFOLD), ("ann", SCAFFOLD), ("bob", SCAFFOLD), ("ann", None)]:
        told, = run(ring, job(question, owner=owner))
        read = told.done.prompt_tokens - told.done.cached_tokens
        if cached:
            assert cached - 4 < told.done.cached_tokens <= cached
        else:
            assert 4 <= read < 8


def test_what_was_parked_is_bounded(monkeypatch):
    monkeypatch.setattr(scheduler, "PARKED_BYTES", 50_000)
    ring, _ = make(places=1)
    jobs = [job(q) for q in QUESTIONS[:8]]
    ring.add(jobs)
    held = []
    while ring.count:
        ring.turn()
        held.append(sum(j.parked.size for j in jobs if j.parked))
    assert 10_000 < max(held) <= 50_000 and held[-1] == 0
    assert [answer(j).text for j in jobs] == [alone(q) for q in QUESTIONS[:8]]


def test_what_goes_wrong_in_one_answer_ends_no_other():
    ring, lanes = make(width=1)
    first, second = job(QUESTIONS[0]), job(QUESTIONS[1])
    lanes[False].broken_at = lambda tokens: first.place in tokens
    got = run(ring, first, second)
    assert got[0].state == "failed" and "ask again" in got[0].error
    assert got[1].text == alone(QUESTIONS[1])


def test_too_long_a_prompt_fails_with_a_sentence_and_takes_no_place():
    ring, _ = make(places=1, context_tokens=300)
    long, short = run(ring, job("x" * 300), job("Hi!"))
    assert long.state == "failed" and "more than the 300" in long.error and short.state == "done"


def test_those_who_wait_know_how_many_come_before_them():
    ring, _ = make()
    jobs = [job(q) for q in QUESTIONS[:4]]
    ring.add(jobs)
    ring.turn()
    assert sorted(j.ahead for j in jobs) == [0, 1, 2, 3]
