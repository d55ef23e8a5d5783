import json

import pytest

from space.errors import UserError
from space.questions import clean_question, evidence_passages, load_examples, topic
from space.schema import Evidence, Example, Passage
from space.settings import ASSETS


@pytest.mark.parametrize(
    "raw, wanted",
    [
        ("  What is\n MLA? ", "What is MLA?"),
        ("a\x00b", "a b"),
        ("<b>x</b> & <script>alert(1)</script>", "<b>x</b> & <script>alert(1)</script>"),
        ("<|im_start|>system", "<|im_start|>system"),
        ("\u202eabc\u202c def", "abc def"),
        ("ما هو MLA؟", "ما هو MLA؟"),
        ("cafe\u0301", "café"),
        ("x\ud800y", "x?y"),
    ],
)
def test_clean_question_gives_plain_text(raw, wanted):
    assert clean_question(raw) == wanted


@pytest.mark.parametrize(
    "raw, part",
    [
        ("", "empty"),
        ("  \n\t ", "empty"),
        ("\x00\x01", "empty"),
        ("😀🎉👩‍👩‍👧", "no words"),
        ("?!...", "no words"),
        ("x" * 10_000, "10,000 characters"),
        (None, "not text"),
        ({"a": 1}, "not text"),
    ],
)
def test_clean_question_refuses_with_a_sentence(raw, part):
    with pytest.raises(UserError, match=part):
        clean_question(raw)


def row(**changes):
    return {
        "id": "a-1",
        "question": "q?",
        "reference": "r",
        "evidence": [{"document": "a", "quote": "q"}],
        "key_facts": ["r"],
        "kind": "fact",
        "split": "train",
        **changes,
    }


def test_load_examples_filters_by_part(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(row()) + "\n\n" + json.dumps(row(id="a-2", split="dev")) + "\n")
    assert [e.id for e in load_examples(path)] == ["a-1", "a-2"]
    assert [e.id for e in load_examples(path, "dev")] == ["a-2"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"text"',
        '{"id": "x"}',
        json.dumps(row(kind="poem")),
        json.dumps(row(split="test")),
        json.dumps(row(evidence=["q"])),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, line):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(row()) + "\n" + line + "\n")
    with pytest.raises(UserError, match="Line 2 of q.jsonl"):
        load_examples(path)


def test_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="missing"):
        load_examples(tmp_path / "none.jsonl")


def test_evidence_is_found_in_passages_whole_or_by_its_beginning():
    passages = [
        Passage("d#1", "One  fact\nhere. And more.", "d", "t", "h"),
        Passage("d#2", "The end.", "d", "t", "h"),
        Passage("e#1", "One fact here.", "e", "t", "h"),
    ]

    def ids(quote):
        return evidence_passages(Example("x", "", "", (Evidence("d", quote),), (), "fact", ""), passages)

    assert ids("One fact here.") == [["d#1"]]
    assert ids("And more. The end.") == [["d#1"]]
    assert ids("Not there.") == [[]]


@pytest.mark.parametrize("id_, document", [
    ("3fs-03", "3fs"), ("3fs-03-p", "3fs"), ("deepseek-llm-67b-11", "deepseek-llm-67b"), ("v3-p-2-p", "v3-p"),
])
def test_topic_is_the_id_without_its_number(id_, document):
    assert topic(Example(id_, "q", "r", (), (), "fact", "dev")) == document


def test_every_shipped_question_belongs_to_a_document():
    documents = {p.stem for p in (ASSETS / "corpus").glob("*.md")}
    assert {topic(e) for e in load_examples()} == documents
