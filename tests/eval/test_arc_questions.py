import json

import pytest

from eval.arc_questions import ArcQuestion, find_folder, load
from space.errors import UserError

ROW = {"id": "q-1", "question": "Which is hot?", "choices": ["ice", "fire", "snow"], "labels": ["1", "2", "3"],
       "answerKey": "2"}


def write(folder, rows, name="ARC-Easy-test.jsonl"):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_both_forms_of_choices_are_read(tmp_path):
    hub = {**ROW, "id": "q-2", "choices": {"text": ROW["choices"], "label": ["A", "B", "C"]}, "answerKey": "B"}
    del hub["labels"]
    first, second = load(write(tmp_path, [ROW, hub]), "easy", "test")
    assert first == ArcQuestion("q-1", "easy", "Which is hot?", ("ice", "fire", "snow"), 1)
    assert (second.id, second.options, second.gold) == ("q-2", first.options, 1)


def test_missing_data_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.delenv("REAL_DATA_DIR", raising=False)
    with pytest.raises(UserError, match="do not come with this program.*--data DIR"):
        find_folder(None)
    with pytest.raises(UserError, match="no folder .*none.*--data DIR"):
        find_folder(tmp_path / "none")
    monkeypatch.setenv("REAL_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="no folder .*arc"):
        find_folder(None)
    (tmp_path / "arc").mkdir()
    assert find_folder(None) == tmp_path / "arc"
    assert find_folder(tmp_path) == tmp_path
    with pytest.raises(UserError, match=r"ARC-Challenge-validation.jsonl .*\(ARC-Easy-test.jsonl\)"):
        load(write(tmp_path, [ROW]), "challenge", "validation")


@pytest.mark.parametrize("change", [{"answerKey": "4"}, {"choices": ["ice", "fire"]}, {"question": None},
                                    {"choices": ["ice", "", "snow"]}, {"choices": None},
                                    {"choices": ["ice"], "labels": ["2"]}])
def test_a_line_that_is_no_question_is_named(tmp_path, change):
    with pytest.raises(UserError, match="Line 2 of ARC-Easy-test.jsonl"):
        load(write(tmp_path, [ROW, {**ROW, **change}]), "easy", "test")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no questions"):
        load(write(tmp_path, []), "easy", "test")


@pytest.mark.parametrize(("name", "split", "count"), [("easy", "test", 2376), ("easy", "validation", 570),
                                                      ("challenge", "test", 1172), ("challenge", "train", 1119)])
def test_the_real_files_are_read_whole(real_data, name, split, count):
    if not (real_data / "arc").is_dir():
        pytest.skip("no arc folder in REAL_DATA_DIR")
    questions = load(real_data / "arc", name, split)
    assert len(questions) == len({q.id for q in questions}) == count
    assert {len(q.options) for q in questions} <= {3, 4, 5}
