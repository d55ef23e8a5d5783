import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from eval import arc
from eval.arc import Estimate, ask_chat, ask_raw, average, estimate, grade, measure, table
from eval.arc_questions import ArcQuestion
from space import parts, prompts
from space.schema import PLAIN, PLAIN_RAG, TUNED
from tests.fakes import IDENTITY, PASSAGE, FakeRetriever

EASY = ArcQuestion("e-1", "easy", "Which one is the source of daylight?", ("the Moon", "the Sun", "a lamp"), 1)
HARD = ArcQuestion("c-1", "challenge", "Which do plants need to make sugar?", ("carbon dioxide", "salt"), 0)
OTHER = replace(EASY, id="e-2", question="Which is cold?", options=("ice", "fire", "steam"), gold=0)
QUESTIONS = [EASY, OTHER, HARD]


class FakeLane:
    """Scores each option by the table of its texts; a text it does not know is unlikely."""

    def __init__(self, likely=()):
        self.likely = likely
        self.asked = []
        self.weights = SimpleNamespace(tokenize=lambda text, special: list(text.encode()))

    def score(self, prompt, continuations):
        self.asked.append((bytes(prompt).decode(), [bytes(c).decode() for c in continuations]))
        return [-1.0 if bytes(c).decode().strip() in self.likely else -20.0 for c in continuations]


def lanes(plain, tuned=None):
    return {"plain": (plain, IDENTITY), "tuned": (tuned, replace(IDENTITY, adapter="a.gguf", adapter_sha256="cd" * 32))}


def test_mean_and_standard_error():
    assert estimate([1.0, 0.0, 1.0, 1.0]) == Estimate(0.75, pytest.approx(math.sqrt(0.75 * 0.25 / 3)), 4)
    assert estimate([1.0]) == Estimate(1.0, None, 1)
    both = average([Estimate(0.5, 0.03, 10), Estimate(0.3, 0.04, 20)])
    assert both == Estimate(pytest.approx(0.4), pytest.approx(0.025), 30)
    assert average([Estimate(0.5, None, 1), Estimate(0.3, 0.04, 20)]).error is None


def test_the_sum_favours_short_options_and_the_bytes_correct_it():
    question = ArcQuestion("q", "easy", "?", ("no", "a much longer one"), 1)
    assert grade(question, [-4.0, -17.0]) == {"sum": 0.0, "per_byte": 1.0}
    assert grade(replace(question, gold=0), [-4.0, -17.0]) == {"sum": 1.0, "per_byte": 0.0}
    accents = ArcQuestion("q", "easy", "?", ("éé", "abc"), 0)  # 4 bytes and 3
    assert grade(accents, [-4.0, -3.3]) == {"sum": 0.0, "per_byte": 1.0}
    assert grade(replace(question, options=("same", "size")), [-2.0, -2.0]) == {"sum": 0.0, "per_byte": 0.0}


def test_the_prompt_is_that_of_the_harness():
    lane = FakeLane(["the Sun"])
    rows = list(measure([EASY], [PLAIN], lanes(lane), ask_raw, None))
    assert lane.asked == [("Question: Which one is the source of daylight?\nAnswer:",
                           [" the Moon", " the Sun", " a lamp"])]
    assert rows[0]["scores"] == {"sum": 1.0, "per_byte": 1.0} and rows[0]["logprobs"] == [-20.0, -1.0, -20.0]


def test_the_chat_prompt_is_that_of_the_chat(monkeypatch):
    monkeypatch.setattr(parts, "load_retriever", lambda: FakeRetriever())
    assert ask_chat(EASY, PLAIN) == (prompts.build(EASY.question), "")
    assert ask_chat(EASY, PLAIN_RAG) == (prompts.build(EASY.question, [PASSAGE]), "")


def run(out, plain, tuned, questions=QUESTIONS, ask=ask_raw):
    return list(measure(questions, [PLAIN, TUNED], lanes(plain, tuned), ask, out))


def test_a_run_resumes_where_it_was_killed(tmp_path):
    out = tmp_path / "run" / "arc.jsonl"
    whole = run(out, FakeLane(["the Sun"]), FakeLane(["ice"]))
    lines = out.read_text().splitlines(keepends=True)
    assert len(lines) == 6 and [json.loads(line) for line in lines] == whole
    for cut in range(len(lines)):
        out.write_text("".join(lines[:cut]) + lines[cut][:30])
        plain, tuned = FakeLane(["the Sun"]), FakeLane(["ice"])
        assert run(out, plain, tuned) == whole
        assert len(plain.asked) + len(tuned.asked) == 6 - cut
        assert out.read_text() == "".join(lines)


def test_scores_of_another_model_prompt_or_question_are_not_taken(tmp_path):
    out = tmp_path / "arc.jsonl"
    list(measure([EASY], [PLAIN], lanes(FakeLane()), ask_raw, out))
    changed = [
        ([EASY], {"plain": (FakeLane(), replace(IDENTITY, sha256="ef" * 32))}, ask_raw),
        ([EASY], {"plain": (FakeLane(), replace(IDENTITY, adapter_sha256="ef" * 32))}, ask_raw),
        ([EASY], {"plain": (FakeLane(), IDENTITY)}, ask_chat),
        ([replace(EASY, options=("the Moon", "the Sun", "a candle"))], {"plain": (FakeLane(), IDENTITY)}, ask_raw),
    ]
    for questions, models, ask in changed:
        list(measure(questions, [PLAIN], models, ask, out))
        assert len(models["plain"][0].asked) == 1
    again = FakeLane()
    list(measure([EASY], [PLAIN], lanes(again), ask_raw, out))
    assert not again.asked


def test_the_table_has_sets_average_and_paired_difference():
    rows = run(None, FakeLane(["the Sun", "carbon dioxide"]), FakeLane(["the Sun", "ice", "salt"]))
    text = table(rows).splitlines()
    assert text[2] == "| plain | Easy | 2 | 100.0 ± 0.0 % | 50.0 ± 50.0 % |"
    cells = {tuple(c.strip() for c in line.split("|")[1:3]): [c.strip() for c in line.split("|")[3:5]] for line in text}
    # "ice" is the first of equals by sum, and the shortest, so the least likely per byte.
    assert cells["plain", "Easy"] == ["2", "100.0 ± 0.0 %"] and cells["plain", "Challenge"] == ["1", "100.0 ± - %"]
    assert cells["tuned", "Easy"] == ["2", "100.0 ± 0.0 %"] and cells["tuned", "average"] == ["3", "50.0 ± - %"]
    assert cells["tuned - plain", "Challenge"] == ["1", "-100.0 ± - %"]
    assert cells["tuned - plain", "average"] == ["3", "-50.0 ± - %"]


def test_paired_differences_have_the_error_of_the_pairs():
    def rows(variant, hits):
        return [{"variant": variant, "set": "easy", "id": str(n), "scores": {"sum": h, "per_byte": h}}
                for n, h in enumerate(hits)]

    last = table(rows("plain", [1, 0, 1, 0]) + rows("tuned", [1, 0, 1, 1])).splitlines()[-1]
    assert last == "| tuned - plain | Easy | 4 | +25.0 ± 25.0 % | +25.0 ± 25.0 % |"


@pytest.mark.parametrize(("options", "sentence"), [
    (["--split", "test", "--variants", "tuned_rag"], "Add --chat"),
    (["--split", "test", "--variants", "nobody"], "no variant"),
    (["--split", "test", "--data", "/nowhere/at/all"], "--data DIR"),
])
def test_what_the_user_can_mend_is_a_sentence(options, sentence, capsys):
    assert arc.main(options) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.model
def test_the_command_scores_a_small_file_with_the_served_model(tmp_path, capsys):
    for name, questions in (("Easy", [EASY, OTHER]), ("Challenge", [HARD])):
        rows = [{"id": q.id, "question": q.question, "choices": q.options, "labels": list("ABCD")[:len(q.options)],
                 "answerKey": "ABCD"[q.gold]} for q in questions]
        (tmp_path / f"ARC-{name}-test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["--split", "test", "--variants", "plain", "--data", str(tmp_path), "--out", str(tmp_path / "out.jsonl")]
    assert arc.main([*command, "--limit", "1"]) == 0
    first = capsys.readouterr().out
    assert "raw prompt" in first and "SmolLM2-135M-Instruct.Q4_1.gguf b179c952" in first
    assert "| plain | Easy | 1 |" in first and "| plain | average | 2 |" in first
    assert arc.main(command) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["e-1", "c-1", "e-2"]
    assert all(value < 0 for row in rows for value in row["logprobs"])
    assert all(row["scores"]["per_byte"] for row in rows if row["id"] == "e-1")
