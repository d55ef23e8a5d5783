import shutil

import pytest

from space import corpus, corpus_tab, examples, sums
from space.errors import UserError
from space.questions import load_examples
from space.settings import ASSETS
from train import data, index


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.md").write_text("# A\n\n## One\n\nText of a.\n")
    (tmp_path / "b.md").write_text("# B\n\n## One\n\nText of b.\n")
    sums.seal(tmp_path, "*.md")
    return tmp_path


def cut(folder):
    (folder / "b.md").write_text((folder / "b.md").read_text()[:-5])


def swap(folder):
    shutil.copy(folder / "a.md", folder / "b.md")


def remove(folder):
    (folder / "b.md").unlink()


def rename_another(folder):
    (folder / "a.md").rename(folder / "b.md.part")
    (folder / "b.md.part").rename(folder / "b.md")


@pytest.mark.parametrize("damage", [cut, swap, remove, rename_another,
                                    lambda f: (f / "b.md").write_bytes(b"\x00" + (f / "b.md").read_bytes()[1:])])
def test_a_document_that_is_not_the_one_that_was_sealed_is_named_with_the_fix(folder, damage):
    assert [d.id for d in corpus.read_documents(folder)] == ["a", "b"]
    damage(folder)
    with pytest.raises(UserError, match=r"[ab].md is not the file that SHA256SUMS .*Restore it.*train.index"):
        corpus.read_documents(folder)
    assert corpus.read_documents(folder, changed=True)


def test_a_document_that_nobody_sealed_is_named(folder):
    (folder / "c.md").write_text("# C\n")
    with pytest.raises(UserError, match="c.md is not the file"):
        corpus.read_documents(folder)


def test_damaged_sums_are_named_and_a_folder_without_them_is_taken_as_it_is(folder):
    for damaged in (b"\xff", b"x\n", b"ab  a.md\n", b"0" * 64 + b"  ../../etc/passwd\n"):
        (folder / sums.NAME).write_bytes(damaged)
        with pytest.raises(UserError, match="SHA256SUMS of .*(damaged|cannot be read). Restore it"):
            corpus.read_documents(folder)
    (folder / sums.NAME).unlink()
    cut(folder)
    assert len(corpus.read_documents(folder)) == 2


def test_damaged_questions_are_refused_and_cost_the_examples_only(tmp_path, monkeypatch):
    for name in ("questions.jsonl", sums.NAME):
        shutil.copy(ASSETS / "qa" / name, tmp_path)
    assert load_examples(tmp_path / "questions.jsonl")
    with (tmp_path / "questions.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match="questions.jsonl is not the file .*run `python -m train.data seal`"):
        load_examples(tmp_path / "questions.jsonl")
    for made in (examples._shipped, examples._by_question):
        made.cache_clear()
    monkeypatch.setattr(examples, "load_examples", lambda: load_examples(tmp_path / "questions.jsonl"))
    try:
        assert examples.groups() == {} and examples.find("What is MLA?") is None
    finally:
        for made in (examples._shipped, examples._by_question):
            made.cache_clear()
    assert data.main(["seal", "--questions", str(tmp_path / "questions.jsonl")]) == 0
    assert load_examples(tmp_path / "questions.jsonl")


def test_a_damaged_document_costs_the_corpus_tab_only(folder, monkeypatch):
    cut(folder)
    monkeypatch.setenv("CORPUS_DIR", str(folder))  # the third column reads the index, which has sums of its own
    assert "b.md is not the file" in corpus_tab._head() and corpus_tab._list("title") == ""


def test_a_new_index_takes_the_documents_as_they_are_now(folder, monkeypatch):
    cut(folder)
    monkeypatch.setattr(index.retriever, "write_index", lambda *a, **k: {})
    index.build(folder, folder / "index")
    assert len(corpus.read_documents(folder)) == 2


def test_the_shipped_data_are_sealed():
    assert sums.names(ASSETS / "corpus") == {p.name for p in (ASSETS / "corpus").glob("*.md")}
    assert sums.names(ASSETS / "qa") == {"questions.jsonl", "offtopic.txt"}
    sums.check(ASSETS / "corpus", sums.names(ASSETS / "corpus"), "")
    sums.check(ASSETS / "qa", sums.names(ASSETS / "qa"), "")
