import pytest

from space import corpus
from space.errors import UserError
from space.settings import ASSETS

DOC = """---
title: "A paper: with colon"
arxiv: 2401.00001
---
# A paper

An introduction.

## First

{long}

## Table

Scores in percent.

| model | score |
|---|---|
{rows}
"""


@pytest.fixture
def document(tmp_path):
    sentence = "The model number {} reads a long sentence of quite some words in it. "
    rows = "\n".join(f"| model {n} | {n}.{n} |" for n in range(80))
    text = DOC.format(long="".join(sentence.format(n) for n in range(40)), rows=rows)
    (tmp_path / "paper.md").write_text(text)
    return corpus.read_documents(tmp_path)[0]


def test_front_matter_and_sections(document):
    assert document.id == "paper"
    assert document.title == "A paper: with colon"
    assert [s.heading for s in corpus.sections(document)] == ["A paper: with colon", "First", "Table"]


def test_passages_stay_inside_sections_and_lose_nothing(document):
    passages = corpus.passages(document, 60)
    assert [p.id for p in passages] == [f"paper#{n}" for n in range(1, len(passages) + 1)]
    assert all(corpus.size(p.text) <= 60 * 2 for p in passages)
    first = " ".join(p.text for p in passages if p.heading == "First")
    assert all(f"model number {n} reads" in first for n in range(40))
    table = [p.text for p in passages if p.heading == "Table"]
    assert all("| model | score |" in text for text in table if "|" in text)
    assert all(any(f"| model {n} | {n}.{n} |" in text for text in table) for n in range(80))


def test_every_shipped_sentence_is_in_a_passage():
    for document in corpus.read_documents(ASSETS / "corpus"):
        together = "".join("".join(p.text.split()) for p in corpus.passages(document))
        for section in corpus.sections(document):
            for line in section.text.splitlines():
                if not set(line) <= set("|-: "):
                    assert "".join(line.split()) in together, (document.id, line)


def test_missing_documents_and_open_front_matter_are_sentences(tmp_path):
    with pytest.raises(UserError, match="no Markdown documents"):
        corpus.read_documents(tmp_path)
    (tmp_path / "x.md").write_text("---\ntitle: x\n")
    with pytest.raises(UserError, match="not closed"):
        corpus.read_documents(tmp_path)


def test_a_document_without_front_matter_takes_its_title_from_the_heading(tmp_path):
    (tmp_path / "x.md").write_text("# My title\n\nText here.\n")
    assert corpus.read_documents(tmp_path)[0].title == "My title"


def test_the_hash_notices_any_change(tmp_path):
    (tmp_path / "x.md").write_text("# T\n\nText.\n")
    before = corpus.corpus_hash(corpus.read_documents(tmp_path))
    (tmp_path / "x.md").write_text("# T\n\nText!\n")
    assert corpus.corpus_hash(corpus.read_documents(tmp_path)) != before
