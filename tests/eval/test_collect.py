import json

from eval import metrics
from eval.collect import collect
from eval.run import table
from space.errors import UserError
from space.schema import CHAT_VARIANTS, PLAIN, Answer, Example, Sampling
from tests.fakes import FakeEngine, FakeRetriever

EXAMPLES = [
    Example("a-1", "How much?", "93.3%", (), ("93.3%",), "number", "dev"),
    Example("a-2", "Who knows?", "The corpus does not tell.", (), (), "unanswerable", "dev"),
]


def run(path, engine, examples=EXAMPLES):
    return list(collect(examples, CHAT_VARIANTS, engine, FakeRetriever(), Sampling(), 3, path))


def test_answers_are_scored_by_their_kind():
    answer = Answer("plain", text="It is 93.3% in all.")
    assert metrics.score(EXAMPLES[0], answer) == {"key_facts": 1.0, "wrong_abstention": 0.0}
    assert metrics.score(EXAMPLES[1], answer) == {"right_abstention": 0.0}
    assert metrics.score(EXAMPLES[1], Answer("plain", text="The corpus does not tell who.")) == {
        "right_abstention": 1.0
    }


def test_a_run_resumes_where_it_was_killed(tmp_path):
    path = tmp_path / "run" / "answers.jsonl"
    whole = run(path, FakeEngine())
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    for cut in range(len(lines)):
        path.write_text("".join(lines[:cut]) + lines[cut][:20])
        engine = FakeEngine()
        again = run(path, engine)
        assert sorted((r["id"], r["variant"]) for r in again) == sorted((r["id"], r["variant"]) for r in whole)
        assert table(sorted(again, key=str)) == table(sorted(whole, key=str))
        assert len(engine.requests) == 6 - cut
        assert len(path.read_text().splitlines()) == 6


def test_failed_answers_are_tried_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = run(path, FakeEngine({"plain": UserError("Broken.", "")}))
    assert sum(bool(r["error"]) for r in first) == 2
    engine = FakeEngine()
    assert not any(r["error"] for r in run(path, engine)) and {r.variant for r in engine.requests} == {PLAIN}


def test_the_table_counts_only_what_applies(tmp_path):
    rows = run(tmp_path / "a.jsonl", FakeEngine({"plain": "93.3%", "tuned": "The corpus does not tell."}))
    text = table(rows)
    plain = next(line for line in text.splitlines() if line.startswith("| plain"))
    tuned = next(line for line in text.splitlines() if line.startswith("| tuned |"))
    assert "100.0% of 1 | 0.0% of 1 | 0.0% of 1 | 100.0%" in plain
    assert "0.0% of 1 | 100.0% of 1 | 100.0% of 1" in tuned


def test_rows_are_plain_json(tmp_path):
    run(tmp_path / "a.jsonl", FakeEngine())
    row = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[2])
    assert (
        row["variant"] == "tuned_rag"
        and row["passages"][0]["id"] == "doc#1"
        and row["done"]["identity"]["file"] == "fake.gguf"
    )
