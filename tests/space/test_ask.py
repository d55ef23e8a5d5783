import json

import pytest

from space import ask, parts
from space.errors import UserError
from tests.fakes import FakeEngine, FakeRetriever


@pytest.fixture
def faked(monkeypatch):
    engine = FakeEngine({"tuned": UserError("No adapter.", "Make one.")})
    monkeypatch.setattr(parts, "load_engine", lambda: engine)
    monkeypatch.setattr(parts, "load_retriever", lambda: FakeRetriever())
    return engine


def test_json_is_one_line_per_answer(faked, capsys):
    assert ask.main(["What is MLA?", "--json"]) == 1  # one of the three failed
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["variant"] for r in rows] == ["plain", "tuned", "tuned_rag"]
    assert rows[0]["text"] == "An answer by plain." and rows[0]["model"]["file"] == "fake.gguf"
    assert rows[0]["timings"]["finish"] == "end" and rows[1]["error"] == "No adapter. Make one."
    assert rows[2]["passages"][0]["id"] == "doc#1" and rows[2]["passages"][0]["score"] == 0.8


def test_a_file_of_questions(faked, tmp_path, capsys):
    path = tmp_path / "q.jsonl"
    path.write_text('{"q": "One?"}\n\n{"q": "Two?"}\n')
    assert ask.main(["--questions", str(path), "--variants", "plain", "--json"]) == 0
    assert [json.loads(line)["question"] for line in capsys.readouterr().out.splitlines()] == ["One?", "Two?"]


def test_reading_is_for_people(faked, capsys):
    ask.main(["What is MLA?", "--variants", "tuned_rag"])
    out = capsys.readouterr().out
    assert "Fine-tuned + RAG" in out and "An answer by tuned_rag." in out and "A title: A heading" in out


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["   "], "empty"),
        (["What?", "--variants", "best"], "no variant 'best'"),
        (["--questions", "/none.jsonl"], "cannot be read"),
    ],
)
def test_bad_input_is_one_sentence_on_stderr(faked, capsys, arguments, part):
    assert ask.main(arguments) == 2
    captured = capsys.readouterr()
    assert part in captured.err and not captured.out and "Traceback" not in captured.err


def test_a_bad_line_is_named(faked, tmp_path, capsys):
    path = tmp_path / "q.jsonl"
    path.write_text('{"q": "One?"}\n{"question": "Two?"}\n')
    assert ask.main(["--questions", str(path), "--variants", "plain"]) == 2
    assert "Line 2 of q.jsonl" in capsys.readouterr().err
