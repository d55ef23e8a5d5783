"""Recorded answers, from runs with the shape of real ones."""

import pytest

from space import chat_flow, examples, parts, recorded
from space.options import check_options, default_options
from tests import made_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_results.make(folder, limit=40)
    return folder


def test_a_held_out_question_has_its_recorded_answers(results):
    comparison = recorded.first(results)
    assert comparison.finished and comparison.example.split == "heldout"
    assert {c.source.run for c in comparison.columns.values()} == {"heldout"}
    assert comparison.source.file == "heldout/samples.jsonl" and comparison.source.day
    assert [comparison.columns[k].answer.variant for k in chat_flow.KEYS] == list(chat_flow.KEYS)
    assert comparison.passages and not comparison.columns["plain"].answer.passages


def test_only_the_settings_of_the_run_are_recorded(results):
    question = recorded.first(results).question
    assert recorded.find(question.upper(), default_options(), results)
    assert recorded.find(question, check_options(temperature=0.5), results) is None
    assert recorded.find(question, check_options(passages=1), results) is None
    assert recorded.find(question, check_options(max_tokens=64), results) is None
    assert recorded.find(question, check_options(seed=1), results)  # greedy: the seed does not count
    assert recorded.find("What is this?", default_options(), results) is None


def test_a_changed_or_absent_run_is_left_out(results, tmp_path):
    assert recorded.first(tmp_path) is None
    run, _ = made_results.make(tmp_path, limit=40)
    samples = tmp_path / run.name / "samples.jsonl"
    samples.write_text(samples.read_text(encoding="utf-8").replace("model", "modem"), encoding="utf-8")
    assert recorded.first(tmp_path) is None


def test_a_run_of_other_columns_or_models_is_left_out(tmp_path, monkeypatch):
    made_results.make(tmp_path, variants=("plain", "tuned"), limit=40)
    assert recorded.first(tmp_path) is None
    made_results.make(tmp_path, limit=40)
    assert recorded.first(tmp_path)
    monkeypatch.setattr(parts, "own_corpus", lambda: tmp_path)
    assert recorded.first(tmp_path) is None


def test_every_greeting_example_stands_in_a_group(results):
    assert recorded.first(results).example in [e for group in examples.groups().values() for e in group]
