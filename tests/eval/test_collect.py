import json
import random
from dataclasses import replace

import pytest

from eval import collect as collecting
from eval import metrics
from eval.collect import collect
from eval.results import samples_bytes
from eval.run import table
from eval.summary import summarise
from space import prompts
from space.errors import UserError
from space.schema import CHAT_VARIANTS, PLAIN, Example, Sampling
from tests.eval.fake_run import EchoEngine, embed
from tests.fakes import IDENTITY, FakeEngine, FakeRetriever

EXAMPLES = [
    Example("a-1", "How much?", "93.3%", (), ("93.3%",), "number", "dev"),
    Example("a-2", "Who knows?", "The corpus does not tell.", (), (), "unanswerable", "dev"),
]


KEYS = [v.key for v in CHAT_VARIANTS]


def run(path, engine, examples=EXAMPLES, **changes):
    options = {"sampling": Sampling(), "passages": 3, "out": path} | changes
    return list(collect(examples, CHAT_VARIANTS, engine, FakeRetriever(), **options))


def scored(path, examples=EXAMPLES):
    setups = {v.key: collecting.setup_of(v, Sampling(), 3, "") for v in CHAT_VARIANTS}
    return metrics.records(examples, collecting.gather(path, examples, setups), KEYS, embed, ())


def test_a_run_resumes_where_it_was_killed(tmp_path):
    path = tmp_path / "run" / "answers.jsonl"
    run(path, FakeEngine())
    whole, lines = table(scored(path)), path.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    for cut in range(len(lines)):
        path.write_text("".join(lines[:cut]) + lines[cut][:20])
        engine = FakeEngine()
        run(path, engine)
        assert table(scored(path)) == whole
        assert len(engine.requests) == 6 - cut
        assert len(path.read_text().splitlines()) == 6


def test_fifty_truncations_leave_the_same_table(tmp_path):
    examples = [Example(f"d{n % 8}-{n:02}", f"Question {n}?", "About 93.3%.", (), ("93.3%",),
                        "unanswerable" if n % 7 == 3 else "fact", "dev") for n in range(24)]
    path = tmp_path / "answers.jsonl"
    run(path, EchoEngine(), examples)
    data, records = path.read_bytes(), scored(path, examples)
    assert "\u2028" in records[0].text and len(records) == 72
    chance = random.Random(3407)
    for _ in range(50):
        path.write_bytes(data[:chance.randrange(len(data))])
        run(path, EchoEngine(), examples)
        assert path.read_bytes() == data
        assert samples_bytes(scored(path, examples)) == samples_bytes(records)
    assert summarise(scored(path, examples), KEYS, metrics.METRICS) == summarise(records, KEYS, metrics.METRICS)


def test_many_kills_in_a_row_end_in_the_same_table(tmp_path):
    path = tmp_path / "answers.jsonl"
    run(path, EchoEngine())
    data = path.read_bytes()
    chance = random.Random(1)
    path.write_bytes(b"")
    for _ in range(20):  # each life adds some answers and loses the end of the last one
        rows = collect(EXAMPLES, CHAT_VARIANTS, EchoEngine(), FakeRetriever(), Sampling(), 3, path)
        for _ in range(chance.randrange(6)):
            next(rows, None)
        rows.close()
        path.write_bytes(path.read_bytes()[:-chance.randrange(1, 40)] or b"")
    run(path, EchoEngine())
    assert sorted(path.read_bytes().splitlines()) == sorted(data.splitlines())


def test_what_was_made_otherwise_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    run(path, FakeEngine())

    def asked(examples=EXAMPLES, **changes):
        engine = FakeEngine()
        run(path, engine, examples, **changes)
        return [r.variant.key for r in engine.requests]

    assert asked() == []
    assert asked(passages=2) == ["tuned_rag"] * 2  # the others read no passages
    assert asked(index_sha256="ab") == ["tuned_rag"] * 2
    assert asked(sampling=Sampling(max_tokens=16)) == KEYS * 2
    assert asked([Example("a-1", "How many?", "93.3%", (), ("93.3%",), "number", "dev"), EXAMPLES[1]]) == KEYS
    monkeypatch.setattr(prompts, "SYSTEM", "Answer in verse.")
    assert asked() == KEYS * 2


def test_the_prompts_hash_feels_how_passages_are_laid_out(monkeypatch):
    before = collecting.prompts_hash()
    monkeypatch.setattr(prompts, "user_text", lambda q, p=(): q + "".join(x.text for x in p))
    assert collecting.prompts_hash() != before


def test_answers_of_another_model_are_not_mixed_in(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    run(path, FakeEngine(), EXAMPLES[:1])
    size = path.stat().st_size
    monkeypatch.setattr("tests.fakes.IDENTITY", replace(IDENTITY, adapter_sha256="cd" * 32))
    with pytest.raises(UserError, match="made by another model"):
        run(path, FakeEngine())
    assert path.stat().st_size == size


def test_shards_merge_by_key(tmp_path):
    run(tmp_path / "a" / "answers.jsonl", EchoEngine())
    run(tmp_path / "b" / "answers-1-of-2.jsonl", EchoEngine(), EXAMPLES[0::2])
    run(tmp_path / "b" / "answers-2-of-2.jsonl", EchoEngine(), EXAMPLES[1::2])
    (tmp_path / "b" / "answers-2-of-2.jsonl").open("a").write('{"id": "a-1", "vari')  # still being written
    assert scored(tmp_path / "b" / "answers.jsonl") == scored(tmp_path / "a" / "answers.jsonl")
    engine = EchoEngine()
    run(tmp_path / "b" / "answers.jsonl", engine)
    assert not engine.requests


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "answers.jsonl"
    run(path, FakeEngine())
    lines = path.read_text().splitlines()
    for bad in ('{"id": "a-1"}', "\x00\x00", '{"id": NaN}', "[]"):
        path.write_text("\n".join([*lines[:2], bad, *lines[2:]]) + "\n")
        with pytest.raises(UserError, match=r"Line 3 of answers.jsonl is damaged"):
            run(path, FakeEngine())


def test_failed_answers_are_tried_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = run(path, FakeEngine({"plain": UserError("Broken.", "")}))
    assert sum(bool(r["error"]) for r in first) == 2
    engine = FakeEngine()
    assert all(r.error == "Broken." and not r.scores for r in scored(path) if r.variant == "plain")
    assert not any(r["error"] for r in run(path, engine)) and {r.variant for r in engine.requests} == {PLAIN}
    assert not any(r.error for r in scored(path))


def test_the_table_counts_only_what_applies(tmp_path):
    run(tmp_path / "a.jsonl", FakeEngine({"plain": "93.3%", "tuned": "The corpus does not tell."}))
    text = table(scored(tmp_path / "a.jsonl"))
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
