"""The load test's marks, each of which can fail, and its users of gradio_client against the real page."""

import asyncio
import json
import time

import pytest

from eval.bench import load_programs
from eval.bench.load import Sample, growth, judge, slots_free_s
from eval.bench.load_programs import Program
from eval.bench.load_users import Crowd, Seen, headers_of
from space.visitors import load_visitors
from tests.fakes import FakeEngine, FakeRetriever
from tests.served import serving

WORDS = " ".join(f"word{n}" for n in range(60))


def samples(mb_per_answer=0.0, threads=5, files=9):
    """A run of 30 looks, 50 answers between two of them; threads and files at the end differ from before."""
    return [Sample(n * 1.0, n * 50, n * 0.5, 100 + n * 50 * mb_per_answer, threads if n == 29 else 5,
                   files if n == 29 else 9) for n in range(30)]


def seen(**changed):
    made = Seen(answers_s=[1.0, 5.0], refusals_s=[0.1], texts={"a": {"x"}})
    made.outcomes["answered"] = 2
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def held(found, looks=None, free_s=(0.2,)):
    return [mark.holds for mark in judge(found, looks or samples(), free_s, 20.0)]


def test_every_mark_holds_where_nothing_is_wrong():
    assert held(seen()) == [True] * 7


@pytest.mark.parametrize(("position", "found", "looks", "free_s"), [
    (0, seen(refusals_s=[0.1, 1.1]), None, (0.2,)),
    (1, seen(), None, (0.2, 1.1)),
    (2, seen(answers_s=[1.0, 21.1]), None, (0.2,)),
    (3, seen(crossed=["q000001 got q000002"]), None, (0.2,)),
    (3, seen(texts={"a": {"x", "y"}}), None, (0.2,)),
    (4, seen(), samples(mb_per_answer=0.0011), (0.2,)),
    (5, seen(), samples(threads=8), (0.2,)),
    (5, seen(), samples(files=12), (0.2,)),
    (6, seen(problems=["no whole answer"]), None, (0.2,)),
])
def test_each_mark_fails_alone(position, found, looks, free_s):
    assert held(found, looks, free_s) == [n != position for n in range(7)]


def test_what_was_not_measured_holds_no_mark():
    assert held(Seen(), samples()[:2], ())[:5] == [None] * 5


def test_growth_is_told_in_megabytes_for_a_thousand_answers():
    assert growth(samples(mb_per_answer=0.003)) == pytest.approx(3.0)
    assert growth(samples()[:8]) is None


def test_a_place_is_free_when_the_engine_lets_the_question_go(tmp_path):
    log = tmp_path / "engine.jsonl"
    rows = [("taken", "q000001", 5.0), ("let go", "q000001", 10.4), ("let go", "q000003", 9.0)]
    log.write_text("".join(json.dumps({"what": w, "number": n, "at": at}) + "\n" for w, n, at in rows))
    assert slots_free_s(Seen(left={"q000001": 10.0, "q000002": 10.0}), log) == [pytest.approx(0.4)]


class NotingEngine(FakeEngine):
    """Notes when it is done with a question."""

    def __init__(self):
        super().__init__()
        self.closed = []

    def stream(self, requests, stop=None):
        try:
            yield from super().stream(requests, stop)
        finally:
            self.closed.append(time.monotonic())


@pytest.fixture(scope="module")
def served():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUST_FORWARDED", "1")
        with serving(NotingEngine(), FakeRetriever()) as running:
            yield running


@pytest.fixture
def program(served):
    made = Program(served.url, headers_of(7))
    yield made
    made.close()
    served.engine.delay_s, served.engine.replies = 0.0, {}


def test_a_program_is_answered(program):
    reply = program.ask("What is q000007 about?")
    assert reply.end == "answered" and "q000007" in reply.text and "An answer by plain." in reply.answers


def test_a_question_that_is_called_off_ends_though_the_program_goes_on_with_another(served, program):
    served.engine.replies, served.engine.delay_s = dict.fromkeys(("plain", "tuned", "tuned_rag"), WORDS), 0.3
    served.engine.closed.clear()
    first = program.ask("What is MLA?", stay_s=0.5)
    second = program.ask("What is GRPO?", stay_s=4.0)  # all the while its stream is open in the same session
    assert first.end == second.end == "left"
    assert served.engine.closed[0] - first.left_at < 1 + served.slowness_s()


def test_a_refusal_is_told_with_its_pause(program):
    load_visitors()._calls["9.0.0.7"] = (0.0, float("inf"))
    try:
        reply = program.ask("What is MLA?")
    finally:
        load_visitors()._calls.clear()
    assert reply.end == "refused" and reply.retry_s == 1.0


def test_a_sentence_that_is_no_refusal_is_raised(program):
    with pytest.raises(ValueError, match="shorten"):
        program.ask("long " * 400)


def test_a_time_limit_is_no_answer():
    late = {"answers": [{"text": "a", "error": "", "finish": "end"},
                        {"text": "", "error": "The time limit of 20 s was over before this answer was made.",
                         "finish": None}]}
    assert load_programs._reply(late).end == "late"
    with pytest.raises(ValueError, match="broken"):
        load_programs._reply({"answers": [{"text": "", "error": "broken", "finish": None}]})


def test_a_crowd_counts_its_programs_like_everybody(served):
    load_visitors()._calls.clear()
    crowd = Crowd(served.url, 4)
    asyncio.run(crowd.run(2.0))
    assert crowd.seen.outcomes["a program answered"] > 0 and crowd.seen.outcomes["answered"] > 0
    assert not crowd.seen.problems, crowd.seen.problems
