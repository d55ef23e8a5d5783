"""The simulated line against what queueing theory says exactly, and its tables."""

import random
from dataclasses import replace

import pytest

from eval.bench import queueing
from eval.bench.queueing import Assumptions, service_times, simulate, workers_needed
from space.errors import UserError
from tests import made_results

EVER = 10**9
"""More places in line than anyone needs."""


def test_one_worker_waits_as_pollaczek_and_khinchine_say():
    """M/G/1: the mean wait is rate * E[S^2] / (2 (1 - load))."""
    times, rate = [1.0, 2.0, 6.0], 0.2
    second = sum(t * t for t in times) / 3
    wanted = rate * second / (2 * (1 - rate * 3.0))
    out = simulate(times, rate, 1, EVER, questions=200_000)
    assert out.wait_s == pytest.approx(wanted, rel=0.06) and out.busy == pytest.approx(0.6, rel=0.02)
    assert out.refused == 0 and out.wait_95_s > out.wait_s


def test_several_workers_wait_as_erlang_says():
    """M/M/2 at load 0.75: P(wait) = 2 r^2 / (1 + r) for r = load, mean wait = P / (2 mu - rate)."""
    chance = random.Random(4)
    times = [chance.expovariate(1.0) for _ in range(20_000)]
    mu = len(times) / sum(times)
    rate = 1.5 * mu
    wanted = (2 * 0.75**2 / 1.75) / (2 * mu - rate)
    assert simulate(times, rate, 2, EVER, questions=200_000).wait_s == pytest.approx(wanted, rel=0.08)


def test_a_full_line_refuses_as_erlang_b_says():
    """Without places in line and with one worker the share refused is load / (1 + load), whatever the times."""
    out = simulate([2.0], 0.5, 1, 0, questions=100_000)
    assert out.refused == pytest.approx(0.5, abs=0.01) and out.wait_s == 0.0
    assert simulate([2.0], 5.0, 1, 3).wait_95_s <= 3 * 2.0 + 2.0


def test_the_fewest_workers_are_enough_and_one_less_is_not():
    times, wanted = [20.0, 30.0, 40.0], Assumptions()
    workers, out = workers_needed(times, 0.5, wanted)
    assert workers >= 15 and out.wait_95_s <= wanted.wait_s
    less = simulate(times, 0.5, workers - 1, wanted.places + workers - 1)
    assert less.wait_95_s > wanted.wait_s or less.refused > 0.01
    assert workers_needed([1.0], 0.001, wanted)[0] == 1


def test_no_number_of_workers_is_too_small_for_the_work():
    """A hundred times the load of one worker needs a hundred, less what may be refused, though a line takes long
    to fill."""
    workers, out = workers_needed([10.0, 14.0], 100 / 12, Assumptions())
    assert workers >= 99 and out.busy <= 1.0
    out = simulate([10.0, 14.0], 102 / 12, 100, 112)  # two per cent too much work, and a long line
    assert out.refused == pytest.approx(1 - 100 / 102, abs=0.004) and out.busy > 0.99


def test_times_are_those_of_whole_questions(tmp_path):
    run, records = made_results.make(tmp_path, "heldout", limit=12)
    whole = {}
    for r in records:
        whole.setdefault(r.id, []).append(r.done)
    times = service_times(records)
    assert len(times) == sum(all(found) for found in whole.values())
    first = next(found for found in whole.values() if all(found))
    assert times[0] == pytest.approx(max(d.queued_s + d.first_token_s + d.answer_tokens / d.decode_tps
                                         for d in first))
    failed = [replace(r, done=None) if r.variant == "plain" else r for r in records]
    assert service_times(failed) == []


def test_the_tables_are_made_from_a_run_and_the_same_each_time(tmp_path, monkeypatch, capsys):
    from space.settings import load_settings

    made_results.make(tmp_path, "heldout", limit=12)
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path))
    load_settings.cache_clear()
    try:
        said = []
        for _ in range(2):
            assert queueing.main(["--users", "10", "1000"]) == 0
            said.append(capsys.readouterr().out)
        assert queueing.main(["--run", "none"]) == 2 and "There is no run none" in capsys.readouterr().err
        assert queueing.main(["--users", "0"]) == 2
    finally:
        load_settings.cache_clear()
    assert said[0] == said[1] and "| 1,000 | 360 |" in said[0] and "questions an hour to break even" in said[0]


def test_a_run_without_whole_questions_is_named(tmp_path):
    made_results.make(tmp_path, "half", limit=3, variants=("plain", "tuned"))
    with pytest.raises(UserError, match="has no questions that all three"):
        queueing.measured(tmp_path, "half")


def test_a_document_gets_the_tables_between_its_marks(tmp_path):
    path = tmp_path / "doc.md"
    path.write_text(f"before {queueing.BEGIN} old {queueing.END} after")
    for _ in range(2):
        queueing.write(path, "| new |")
    assert path.read_text() == f"before {queueing.BEGIN}\n\n| new |\n\n{queueing.END} after"
    path.write_text(queueing.END)
    with pytest.raises(UserError, match="lacks the marks"):
        queueing.write(path, "x")
    with pytest.raises(UserError, match="cannot be read"):
        queueing.write(tmp_path / "none.md", "x")
