import threading

import pytest

from space.limits import Busy, Limits
from space.schema import CHAT_VARIANTS, AnswerFailed, AnswerQueued, TextDelta
from space.settings import ROOT
from space.visitors import FIRST_GUESS_S, GONE_S, GRACE_S, Visitors
from tests.fakes import FakeEngine


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def asking(visitors, session, address, stop=None):
    """A question that is at the models: its events, of which the first was taken."""
    visitors.admit(session, address)
    given = iter([AnswerQueued("plain", 1)] * 3)
    events = visitors.watch(given, CHAT_VARIANTS, stop or threading.Event(), session, 60.0)
    next(events)
    return events


def test_a_session_has_one_question_running_and_one_waiting(clock):
    visitors = Visitors(clock=clock)
    first, _second = asking(visitors, "a", "1.1.1.1"), asking(visitors, "a", "1.1.1.1")
    with pytest.raises(Busy, match="Your last questions are still being answered. Please try again in about 40 sec"):
        asking(visitors, "a", "1.1.1.1")
    first.close()
    assert asking(visitors, "a", "1.1.1.1")


def test_forged_sessions_do_not_widen_what_an_address_gets(clock):
    visitors = Visitors(clock=clock)
    running = [asking(visitors, f"s{n}", "1.1.1.1") for n in range(4)]
    with pytest.raises(Busy, match="already: 4"):
        asking(visitors, "s9", "1.1.1.1")
    assert asking(visitors, "s9", "2.2.2.2") and running


def test_everyone_together_is_bounded(clock):
    visitors = Visitors(Limits(everyone=3), clock)
    running = [asking(visitors, f"s{n}", f"1.1.1.{n}") for n in range(3)]
    with pytest.raises(Busy, match="The app is busy: 3 questions"):
        asking(visitors, "s9", "9.9.9.9")
    list(running[0])
    assert asking(visitors, "s9", "9.9.9.9")


def test_a_few_events_more_than_questions_are_let_in_for_answers_that_need_no_model(clock):
    visitors = Visitors(clock=clock)
    for _ in range(4):
        visitors.admit("a", "1.1.1.1")
    with pytest.raises(Busy):
        visitors.admit("a", "1.1.1.1")
    for n in range(4):
        visitors.admit(f"b{n}", "1.1.1.1")
    with pytest.raises(Busy, match="already: 8"):
        visitors.admit("c", "1.1.1.1")
    for n in range(8):
        visitors.admit(f"d{n}", f"2.2.2.{n}")
    with pytest.raises(Busy, match="The app is busy: 16"):
        visitors.admit("e", "3.3.3.3")


def test_other_events_of_an_address_are_counted_until_gradio_finished_them(clock):
    visitors, held = Visitors(clock=clock), {f"e{n}" for n in range(24)}
    visitors.guard(held.__contains__)
    for n in range(24):
        visitors.admit_other(f"s{n}", "1.1.1.1").event = f"e{n}"
    with pytest.raises(Busy, match="Too many requests from your network are waiting"):
        visitors.admit_other("more", "1.1.1.1")
    assert visitors.admit_other("more", "2.2.2.2") and visitors.admit("more", "1.1.1.1")
    held.remove("e3")
    visitors.dismiss(visitors.admit_other("more", "1.1.1.1"))
    assert visitors.admit_other("more", "1.1.1.1")


def test_an_event_that_gradio_finished_or_refused_no_longer_counts(clock):
    visitors, held = Visitors(Limits(everyone=1, spare=0), clock), {"e1"}
    visitors.guard(held.__contains__)
    visitors.admit("a", "1.1.1.1").event = "e1"
    with pytest.raises(Busy):
        visitors.admit("b", "2.2.2.2")
    held.clear()
    visitors.dismiss(visitors.admit("b", "2.2.2.2"))
    assert visitors.admit("b", "2.2.2.2")


def test_a_program_that_names_no_session_is_counted_by_the_session_gradio_gave_it(clock):
    visitors = Visitors(Limits(per_address=1), clock)
    visitors.guard(lambda event: True, {"e1": "given1", "e2": "given2"}.get)
    for event in ("e1", "e2"):
        visitors.admit("", "1.1.1.1").event = event
        visitors.enter_stream(f"given{event[1]}", "1.1.1.1")

    def ask(session):
        events = watch(visitors, iter([AnswerQueued("plain", 1)] * 3), threading.Event(), session=session)
        next(events)
        return events

    running = ask("given1")
    with pytest.raises(Busy, match="from your network are being answered or waiting already: 1"):
        ask("given2")
    running.close()
    assert ask("given2")


def test_calls_are_rationed_by_address_and_the_ration_grows_again(clock):
    visitors = Visitors(Limits(calls_per_s=2, calls_at_once=5), clock)
    for _ in range(5):
        visitors.count_call("1.1.1.1")
    with pytest.raises(Busy):
        visitors.count_call("1.1.1.1")
    visitors.count_call("2.2.2.2")
    clock.now += 1
    visitors.count_call("1.1.1.1")


def test_memory_does_not_grow_with_the_number_of_visitors(clock):
    visitors = Visitors(clock=clock)
    for n in range(20_000):
        visitors.count_call(f"a{n}")
        visitors.enter_stream(f"s{n}", f"a{n}")
        visitors.leave_stream(f"s{n}", f"a{n}")
    assert len(visitors._calls) == len(visitors._listening) == 4096 and not visitors._streams


def test_streams_are_bounded_by_address_and_together(clock):
    visitors = Visitors(Limits(streams_per_address=2, streams=3), clock)
    for n, address in enumerate("aab"):
        visitors.enter_stream(f"s{n}", address)
    for address in "ac":
        with pytest.raises(Busy, match="Too many connections"):
            visitors.enter_stream("x", address)
    visitors.leave_stream("s0", "a")
    visitors.enter_stream("x", "c")


def test_a_question_is_abandoned_when_nobody_came_or_everybody_left(clock):
    visitors = Visitors(clock=clock)
    assert not visitors.abandoned("a", 0.0)  # no door, no knowledge
    visitors.guard(lambda event: True)
    since = clock.now
    assert not visitors.abandoned("a", since)
    clock.now += GRACE_S + 0.1
    assert visitors.abandoned("a", since)
    visitors.enter_stream("a", "1.1.1.1")
    clock.now += 100
    assert not visitors.abandoned("a", since)
    visitors.enter_stream("a", "1.1.1.1")
    visitors.leave_stream("a", "1.1.1.1")
    clock.now += 100
    assert not visitors.abandoned("a", since)  # a second stream of the session is still open
    visitors.leave_stream("a", "1.1.1.1")
    assert not visitors.abandoned("a", since)
    clock.now += GONE_S + 0.1
    assert visitors.abandoned("a", since)
    assert not visitors.abandoned("a", clock.now)  # a new question of the same session has its own grace


def test_the_wait_is_learnt_from_questions_that_were_answered(clock):
    visitors = Visitors(clock=clock)
    assert visitors.wait_s(2) == 2 * FIRST_GUESS_S
    first, second = clock.now, clock.now
    clock.now += 6
    visitors.finished(first)
    clock.now += 6
    visitors.finished(second)  # it waited for the first, so it too kept the engine busy for 6 s
    assert visitors.wait_s(3) == pytest.approx(18)


def watch(visitors, events, stop, deadline_s=10.0, session="a"):
    return visitors.watch(events, CHAT_VARIANTS, stop, session, deadline_s)


def test_a_watched_question_passes_every_event_on(clock):
    visitors, stop = Visitors(clock=clock), threading.Event()
    from space.engine import Request
    from space.schema import Sampling

    requests = [Request(v, (), Sampling()) for v in CHAT_VARIANTS]
    events = list(watch(visitors, FakeEngine().stream(requests, stop), stop))
    assert events == list(FakeEngine().stream(requests)) and not stop.is_set()


def forever(clock, step_s, closed):
    try:
        while True:
            clock.now += step_s
            yield AnswerQueued("plain", 3)
    finally:
        closed.append(True)


def test_no_question_outlives_its_deadline_even_while_it_waits(clock):
    visitors, stop, closed = Visitors(clock=clock), threading.Event(), []
    begun = clock.now
    events = list(watch(visitors, forever(clock, 0.25, closed), stop))
    assert 10 < clock.now - begun <= 11 and stop.is_set() and closed
    failed = [e for e in events if isinstance(e, AnswerFailed)]
    assert [e.variant for e in failed] == ["plain", "tuned", "tuned_rag"]
    assert "The time limit of 10 s was over" in failed[0].message


def test_the_deadline_runs_from_when_the_door_let_the_question_in(clock):
    visitors, stop, closed = Visitors(clock=clock), threading.Event(), []
    visitors.admit("s", "1.1.1.1")
    let_in, clock.now = clock.now, clock.now + 4
    list(visitors.watch(forever(clock, 0.25, closed), CHAT_VARIANTS, stop, "s", 10.0))
    assert 10 < clock.now - let_in <= 11 and closed


def test_a_clock_that_jumps_moves_no_deadline(monkeypatch):
    import time

    visitors, stop, jumps = Visitors(), threading.Event(), iter([0, 1e9, -1e9, 1e9])
    wall = time.time

    def given():
        for _ in range(3):
            by = next(jumps)
            monkeypatch.setattr(time, "time", lambda by=by: wall() + by)
            yield TextDelta("plain", "x")

    assert len(list(watch(visitors, given(), stop))) == 3 and not stop.is_set()


def test_no_module_measures_by_the_wall_clock():
    for file in (f for part in ("space", "eval", "train") for f in (ROOT / part).rglob("*.py")):
        assert "time.time(" not in file.read_text(encoding="utf-8"), file


def test_nothing_runs_before_somebody_listens(monkeypatch, clock):
    import space.visitors

    visitors, stop, closed = Visitors(clock=clock), threading.Event(), []
    visitors.guard(lambda event: True)
    monkeypatch.setattr(space.visitors.time, "sleep", lambda s: setattr(clock, "now", clock.now + s))

    def work():
        closed.append("worked")
        yield TextDelta("plain", "x")

    assert list(watch(visitors, work(), stop)) == [] and stop.is_set() and not closed


def test_a_listener_who_left_before_the_work_began_is_noticed_at_once(monkeypatch, clock):
    visitors, stop = Visitors(clock=clock), threading.Event()
    visitors.guard(lambda event: True)
    monkeypatch.setattr("space.visitors.time.sleep", lambda s: setattr(clock, "now", clock.now + s))
    visitors.admit("a", "x")
    visitors.enter_stream("a", "x")
    visitors.leave_stream("a", "x")
    left = clock.now = clock.now + 0.1
    assert list(watch(visitors, iter([TextDelta("plain", "x")]), stop)) == [] and clock.now - left < 1


def test_a_question_that_was_called_off_ends_at_once_though_its_session_listens_on(clock):
    visitors, stop, closed = Visitors(clock=clock), threading.Event(), []
    visitors.guard(lambda event: True)
    visitors.enter_stream("a", "x")
    mine = visitors.watch(forever(clock, 0.1, closed), CHAT_VARIANTS, stop, "a", 60.0, "e1")
    other = visitors.watch(forever(clock, 0.1, []), CHAT_VARIANTS, threading.Event(), "a", 60.0, "e2")
    assert next(mine) and next(other)
    visitors.call_off("e1")
    assert list(mine) == [] and stop.is_set() and closed
    assert next(other)
    for n in range(10_000):
        visitors.call_off(f"x{n}")
    assert len(visitors._called_off) <= 4096


def test_when_the_listener_leaves_the_work_ends_silently(clock):
    visitors, stop, closed = Visitors(clock=clock), threading.Event(), []
    visitors.guard(lambda event: True)
    visitors.enter_stream("a", "x")
    running = watch(visitors, forever(clock, 0.25, closed), stop)
    next(running)
    left = clock.now
    visitors.leave_stream("a", "x")
    assert not any(isinstance(e, AnswerFailed) for e in running)
    assert stop.is_set() and closed and clock.now - left <= 1
