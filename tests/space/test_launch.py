"""Gradio's queue keeps the sessions that wait for an answer, however many others come, and runs what is let in."""

from types import SimpleNamespace

import pytest

from space.launch import Sessions, launch_settings
from space.settings import load_settings
from space.visitors import load_visitors
from tests.fakes import FakeEngine, FakeRetriever
from tests.served import serving


def made(most=3):
    queue = SimpleNamespace(pending_event_ids_session={}, event_ids_to_events={})
    return queue, Sessions(queue, most)


def test_the_session_used_least_recently_is_forgotten_with_its_events():
    queue, sessions = made()
    for name in "abc":
        sessions[name] = name
        queue.pending_event_ids_session[name] = {f"done-{name}"}
    assert sessions["a"] == "a"
    sessions["d"] = "d"
    assert list(sessions) == ["c", "a", "d"] and "b" not in queue.pending_event_ids_session


def test_a_session_whose_question_is_unfinished_is_kept():
    queue, sessions = made()
    sessions["a"] = "a"
    queue.pending_event_ids_session["a"], queue.event_ids_to_events["e"] = {"e"}, object()
    for n in range(10):
        sessions[f"other{n}"] = n
    assert "a" in sessions and len(sessions) == 3
    queue.event_ids_to_events.clear()
    for n in range(10, 13):
        sessions[f"other{n}"] = n
    assert "a" not in sessions


def test_it_never_grows_beyond_its_bound_even_where_all_wait():
    queue, sessions = made()
    for n in range(9):
        sessions[str(n)] = n
        queue.pending_event_ids_session[str(n)], queue.event_ids_to_events[str(n)] = {str(n)}, object()
    assert list(sessions) == ["6", "7", "8"]


def test_an_answer_arrives_though_more_sessions_came_meanwhile_than_are_kept():
    with serving(FakeEngine(delay_s=0.3), FakeRetriever()) as served:
        served.page._queue.pending_messages_per_session._most = 5
        assert served.join("asker").status_code == 200
        messages = served.listen("asker")
        first = next(messages)
        look = next(i for i, f in served.page.fns.items() if f.queue and not f.inputs and f.concurrency_id == "look")
        for n in range(12):
            load_visitors()._calls.clear()
            assert served.join(f"passer{n}", fn_index=look, data=[]).status_code == 200
        last = [first, *messages][-2:]
        assert any(m["msg"] == "process_completed" and m["success"] for m in last), last


@pytest.mark.parametrize("everyone", [1, 12, 40])
def test_every_question_that_is_let_in_runs_at_once(everyone):
    """In Gradio's line neither a deadline nor a listener who left would be seen."""
    with serving(FakeEngine(), FakeRetriever(), questions_at_once=everyone) as served:
        assert "An answer by plain." in served.answer("lane")
        lane = served.page._queue.event_queue_per_concurrency_id["ask"]
        assert lane.concurrency_limit is None and load_visitors().limits.events == everyone + 4
        assert served.page._queue.max_size > everyone + 4
        assert launch_settings(served.page, load_settings())["max_threads"] > everyone + 4
