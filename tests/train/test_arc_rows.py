"""ARC as training rows: both file forms, the cut, and what is kept out of it."""

import json
import random
from collections import Counter
from types import SimpleNamespace

import pytest

from space import prompts
from space.errors import UserError
from tests.hub_standin import HubStandIn
from train import arc_rows
from train.arc_rows import ArcQuestion
from train.config import Recipe
from train.run import gather

WORDS = ["rock", "river", "moon", "leaf", "iron", "wind", "seed", "ocean"]


def row(number, question="", key="B", labels=("A", "B", "C", "D")):
    return {
        "id": f"q{number}",
        "question": question or f"Which {WORDS[number % 8]} is number {number}?",
        "choices": [f"{word} {number}" for word in WORDS[: len(labels)]],
        "labels": list(labels),
        "answerKey": key,
    }


def write(folder, name, rows):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


@pytest.fixture
def arc_dir(tmp_path, monkeypatch):
    folder = tmp_path / "arc"
    write(folder, "ARC-Easy-train.jsonl", [row(n) for n in range(60)])
    write(folder, "ARC-Challenge-train.jsonl", [row(n) for n in range(100, 140)])
    write(folder, "ARC-Easy-validation.jsonl", [row(200, "Which  MOON is number 202"), row(201)])
    write(folder, "ARC-Easy-test.jsonl", [row(1), row(202)])
    monkeypatch.setenv("ARC_DIR", str(folder))
    return folder


def test_a_row_asks_with_options_and_learns_letter_and_text(arc_dir):
    question = arc_rows.load("train")[0]
    (chat,) = arc_rows.rows([question])
    assert chat.prompt == prompts.build(
        "Which rock is number 0?\nA. rock 0\nB. river 0\nC. moon 0\nD. leaf 0\n"
        "Answer with the letter and the text of the right option."
    )
    assert chat.answer == "B. river 0" and chat.example_id == "arc-easy-q0"


@pytest.mark.parametrize(
    "key, labels, answer", [("3", "1234", "C. moon 5"), ("E", "ABCDE", "E. iron 5"), ("A", "ABC", "A. rock 5")]
)
def test_every_labelling_becomes_letters(tmp_path, key, labels, answer):
    write(tmp_path, "x.jsonl", [row(5, key=key, labels=tuple(labels))])
    assert arc_rows.rows(arc_rows.read(tmp_path / "x.jsonl", "Easy"))[0].answer == answer


def test_the_hubs_form_is_the_same_question(tmp_path):
    plain = row(5)
    hub = {**plain, "choices": {"text": plain["choices"], "label": plain["labels"]}}
    del hub["labels"]
    write(tmp_path, "plain.jsonl", [plain])
    write(tmp_path, "hub.jsonl", [hub])
    assert arc_rows.read(tmp_path / "plain.jsonl", "Easy") == arc_rows.read(tmp_path / "hub.jsonl", "Easy")


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        json.dumps({**row(1), "answerKey": "F"}),
        json.dumps({**row(1), "choices": ["one"], "labels": ["A"]}),
        json.dumps({**row(1), "choices": ["one", "", "three", "four"]}),
        json.dumps({**row(1), "labels": ["A", "B"]}),
        json.dumps({"id": "x"}),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row(0)) + "\n\n" + bad + "\n")
    with pytest.raises(UserError, match=r"Line 3 of x.jsonl"):
        arc_rows.read(path, "Easy")


def test_the_cut_is_80_10_10_and_the_same_each_time(arc_dir):
    cut = arc_rows.training_cut(3407)
    assert {part: len(questions) for part, questions in cut.items()} == {"train": 80, "dev": 10, "test": 10}
    assert cut == arc_rows.training_cut(3407) != arc_rows.training_cut(1)
    assert {q.subset for q in cut["train"]} == {"Easy", "Challenge"}
    few = arc_rows.training_cut(3407, 50)
    assert {part: len(questions) for part, questions in few.items()} == {"train": 40, "dev": 5, "test": 5}
    assert few["train"] == cut["train"][:40]


def test_the_cut_does_not_hang_on_the_order_of_lines():
    pool = [ArcQuestion(f"q{n}", "Easy", f"Question {n // 2}?", ("a", "b"), 0) for n in range(200)]
    shuffled = random.Random(1).sample(pool, len(pool))
    assert arc_rows.split(pool, [], 3407) == arc_rows.split(shuffled, [], 3407)


def test_questions_of_the_test_part_are_left_out(arc_dir):
    everything = [q for part in arc_rows.training_cut(3407).values() for q in part]
    assert len(everything) == 100  # 102 questions, less number 1 and the reworded 202
    assert not {q.id for q in everything} & {"q1", "q200"}


def test_the_same_question_is_never_in_two_parts():
    pool = [ArcQuestion(f"q{n}", "Easy", f"Question {n % 40}?", ("a", "b"), n % 2) for n in range(120)]
    cut = arc_rows.split(pool, [], 3407)
    parts = {part: {q.question for q in questions} for part, questions in cut.items()}
    assert sum(len(questions) for questions in parts.values()) == 40
    assert sum(len(questions) for questions in cut.values()) == 120


def test_a_folder_without_the_part_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ARC_DIR", str(tmp_path))
    with pytest.raises(UserError, match="no ARC questions of the part train.*ARC-Easy-train.jsonl"):
        arc_rows.load("train")
    monkeypatch.setenv("ARC_DIR", str(tmp_path / "none"))
    with pytest.raises(UserError, match="is not a folder"):
        arc_rows.load("train")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    for variable in ("ARC_DIR", "REAL_DATA_DIR", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with HubStandIn() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        place = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", place)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
        yield hub


def test_without_a_folder_the_hubs_files_are_read(hub):
    import io

    import pyarrow
    from pyarrow import parquet

    files = {}
    for subset, first in (("Easy", 0), ("Challenge", 50)):
        rows = [row(n) for n in range(first, first + 10)]
        for item in rows:
            item["choices"] = {"text": item["choices"], "label": item.pop("labels")}
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
        files[f"ARC-{subset}/train-00000-of-00001.parquet"] = buffer.getvalue()
    hub.add_repo(arc_rows.REPO, files, kind="dataset")
    questions = arc_rows.load("train")
    assert Counter(q.subset for q in questions) == {"Easy": 10, "Challenge": 10}
    options = ("rock 0", "river 0", "moon 0", "leaf 0")
    assert questions[0] == ArcQuestion("q0", "Easy", "Which rock is number 0?", options, 1)
    with pytest.raises(UserError, match="ARC's test part could not be fetched.*ARC_DIR"):
        arc_rows.load("test")


def test_a_run_gathers_what_its_recipe_names(arc_dir):
    both = gather(Recipe(name="t", base="embedded", data="papers+arc", arc_rows=50), None)
    arc = gather(Recipe(name="t", base="embedded", data="arc", arc_rows=50), None)
    papers = gather(Recipe(name="t", base="embedded"), None)
    assert both.train == papers.train + arc.train and both.dev == papers.dev + arc.dev
    assert len(arc.train) == 40 and len(arc.dev) == 5
    assert both.identity["train_rows"] == len(both.train) and len(both.identity["questions_sha256"]) == 64
    assert both.identity["arc"] == arc.identity["arc"] and arc.identity["arc"]["test"] == 5
    assert "arc" not in papers.identity and arc.identity["questions_sha256"] == ""
    other = gather(Recipe(name="t", base="embedded", data="arc", arc_rows=50, seed=1), None)
    assert other.identity["arc"]["sha256"] != arc.identity["arc"]["sha256"]


def test_without_a_row_to_learn_from_or_to_judge_by_nothing_is_loaded(arc_dir, monkeypatch):
    monkeypatch.setattr("space.questions.load_examples", lambda: [])
    with pytest.raises(UserError, match="There are no training or dev questions.*train.data split"):
        gather(Recipe(name="t", base="embedded"), None)
    for path in arc_dir.glob("*.jsonl"):
        path.write_text("")
    with pytest.raises(UserError):
        gather(Recipe(name="t", base="embedded", data="arc", arc_rows=50), None)


def test_the_real_arc_is_cut_and_fits(real_data, monkeypatch):
    if not (real_data / "arc").is_dir():
        pytest.skip("no arc folder")
    monkeypatch.delenv("ARC_DIR", raising=False)
    cut = arc_rows.training_cut(3407, 800)
    assert {part: len(questions) for part, questions in cut.items()} == {"train": 640, "dev": 80, "test": 80}
    seen = {arc_rows._key(q) for questions in arc_rows.training_cut(3407).values() for q in questions}
    assert len(seen) > 3800 and not seen & {arc_rows._key(q) for q in arc_rows.load("test")}
