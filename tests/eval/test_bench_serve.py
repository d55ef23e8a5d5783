"""The benchmark of serving: what it asks, what it computes, and one tiny run of it."""

import math

import pytest

from eval.bench import __main__ as bench
from eval.bench import serve, twin
from eval.bench.serve_work import Load, Round, Told, asks
from space.errors import UserError
from space.gguf_header import read_header


def test_equal_loads_ask_the_same_and_others_something_else():
    load = Load(users=3, seed=5, passage_tokens=450)
    assert asks(load) == asks(load) != asks(Load(users=3, seed=6, passage_tokens=450))
    questions = [a.question for a in asks(load)]
    assert len(questions) == 9 and len(set(questions)) == 3
    words = [sum(len(p.text.split()) for p in a.passages) for a in asks(load)]
    assert words[0] == words[1] == 0 and 200 < words[2] < 450


def told(user, first_s, done_s):
    return Told(user, "plain", first_s, done_s, 40, 10)


def test_what_a_round_says():
    done = Round((told(0, 1.0, 4.0), told(1, 3.0, 8.0)), cpu_s=5.0, memory_mb=1.0)
    assert (done.all_s, done.tokens_per_cpu_s, done.first_s("plain")) == (8.0, 4.0, 2.0)
    assert done.fairness == 3.0 / 4.0
    assert Round.of_json(done.as_json() | {"told": [t.__dict__ for t in done.told]}) == done


def test_ratios_are_of_pairs_with_a_t_interval_on_their_logarithm():
    assert serve.ratio([2.0], [4.0]) == pytest.approx((0.5, 0.5, 0.5))
    middle, low, high = serve.ratio([1.0, 2.0], [2.0, 2.0])
    assert middle == pytest.approx(math.sqrt(0.5))
    half = 12.71 * (math.log(2) / math.sqrt(2)) / math.sqrt(2)
    assert (low, high) == pytest.approx((middle * math.exp(-half), middle * math.exp(half)))
    slow, fast = [10.0, 100.0, 30.0], [5.0, 50.0, 15.0]  # the machine's mood falls out
    assert serve.ratio(fast, slow) == pytest.approx((0.5, 0.5, 0.5))


def test_the_table_compares_ours_with_every_other():
    rounds = {name: [Round(tuple(Told(0, v, 1.0, 2.0 * n, 40, 10) for v in ("plain", "tuned", "tuned_rag")), 1.0, 2.0)
                     for _ in range(2)] for n, name in enumerate(("naive", "ours"), 1)}
    lines = serve.table(rounds)
    assert "ours ÷ naive" in lines[0] and "ours ÷ ours" not in lines[0]
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| until all answers are there, s | 2 | 4 | 2.000 |"


def test_a_system_that_told_no_text_spoils_no_table():
    rounds = {name: [Round(tuple(Told(0, v, first, 2.0, 40, 10) for v in ("plain", "tuned", "tuned_rag")), 1.0, 2.0)]
              for name, first in (("naive", 0.0), ("ours", 1.0))}
    assert "| first text of plain, s | 0 | 1 | - |" in serve.table(rounds)


def test_what_was_prepared_is_compared_with_its_own_bound():
    rounds = {name: [Round(tuple(Told(0, v, 1.0, 2.0, 40, 10) for v in ("plain", "tuned", "tuned_rag")), 1.0, 2.0)] * 2
              for name in serve.SYSTEMS}
    new, prepared = "\n".join(serve.tables(rounds)).split("\n\n")
    assert "ours ÷ bare" in new and "prepared" not in new
    assert "prepared ÷ bare_prepared" in prepared and "prepared ÷ naive" in prepared and "ours" not in prepared


def test_benchmarks_are_named_and_their_parts_are_not(capsys):
    assert {"serve", "twin"} <= set(bench.names()) and not {"serve_work", "serve_systems"} & set(bench.names())
    assert bench.main(["nothing"]) == 2 and "serve" in capsys.readouterr().err
    with pytest.raises(UserError, match="no system"):
        serve.main(["--systems", "ours,theirs"])


@pytest.mark.model
def test_a_tiny_run(capsys, tmp_path):
    out = tmp_path / "rounds.json"
    assert serve.main(["--rounds", "1", "--answer-tokens", "3", "--passage-tokens", "30", "--threads", "1",
                       "--systems", "naive,ours,prepared,bare,bare_prepared", "--out", str(out)]) == 0
    assert "ours ÷ bare" in capsys.readouterr().out and '"users": 1' in out.read_text()


@pytest.mark.model
def test_a_twin_is_a_model_with_its_adapter(tmp_path, monkeypatch):
    from space.lane import Lane
    from space.weights import Weights

    for name, value in {"WIDTH": 256, "HEADS": 2, "FFN": 512, "VOCAB": 49152, "SHAPES": {
            part: {2048: 256, 256: 256, 11008: 512}[rows] and tuple({2048: 256, 256: 256, 11008: 512}[n] for n in pair)
            for part, pair in twin.SHAPES.items() for rows in pair[:1]}}.items():
        monkeypatch.setattr(twin, name, value)
    model, adapter = tmp_path / "twin.gguf", tmp_path / "adapter.gguf"
    assert twin.main([str(model), str(adapter), "--layers", "4", "--rank", "4"]) == 0
    assert read_header(model).quantization == "Q4_K_M" and read_header(adapter).is_adapter
    lane = Lane(Weights(model), 256, 1, adapter)
    for said in ("A speed twin answers noise.", "What is 12?", "Here:"):
        lane.cut(0, 0)
        lane.read(0, lane.weights.tokenize(said, False))
        answer = lane.weights.piece(int(lane._logits(-1).argmax())).decode()
        assert answer.isascii() and answer.isalpha()
