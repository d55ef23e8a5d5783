"""The exported folder, read back as a stranger would: by `datasets`, from disk, without a network."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from space import prompts, questions
from space.errors import UserError
from space.questions import PARTS
from space.schema import Evidence, Example
from space.settings import ROOT
from tests.fakes import PASSAGE, FakeRetriever
from train import card, dataset, rows
from train.config import Recipe
from train.data import main, write_examples

RECIPE = Recipe(name="t", base="embedded", rag_rows=1)


def example(number, part, **changes):
    return replace(Example(f"doc-{number:02}", f"Was müßte {number} sein?\nSag's \"kurz\".", f"It is {number}, " * 6,
                           (Evidence("doc", f"It is {number}."),), (str(number),), "fact", part), **changes)


EXAMPLES = [
    *(example(n, "train") for n in range(5)), example(5, "dev"), example(6, "heldout"),
    example(7, "heldout", kind="unanswerable", evidence=(), key_facts=()),
    example(1, "paraphrase", id="doc-01-p", paraphrase_of="doc-01", evidence=(), key_facts=()),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    source = tmp_path_factory.mktemp("qa") / "questions.jsonl"
    write_examples(source, EXAMPLES)
    (source.parent / "README.md").write_text("# Q\n\n| a |\n\n**How they were written.** By us.\n\n**Limits.** Few.\n")
    out = source.parent / "out"
    counts = dataset.export(out, RECIPE, source, FakeRetriever())
    assert set(counts) | {"README.md"} == set(dataset.FILES)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == sorted(dataset.FILES)
    return out


@pytest.fixture(scope="module")
def loaded(folder, tmp_path_factory):
    """Both configurations as {config: {split: rows}}, loaded in a process that may not use the network."""
    code = """
import json, sys
from datasets import load_dataset
sets = {c or "default": load_dataset(sys.argv[1], *([c] if c else [])) for c in ("", "chat")}
print(json.dumps({c: {s: list(rows) for s, rows in d.items()} for c, d in sets.items()}))
"""
    cache = tmp_path_factory.mktemp("cache")
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=cache,
                          env={"PATH": "", "HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_datasets_reads_every_question_back(loaded):
    assert list(loaded["default"]) == list(PARTS)
    for part in PARTS:
        own = [e for e in EXAMPLES if e.split == part]
        assert loaded["default"][part] == [dataset.flat(e) for e in own]
    row = loaded["default"]["paraphrase"][0]
    assert row["document"] == "doc" and row["paraphrase_of"] == "doc-01" and row["evidence_quotes"] == []


def test_the_chat_rows_are_those_that_training_reads(loaded):
    train = [e for e in EXAMPLES if e.split == "train"]
    learned = rows.training_rows(train, RECIPE, FakeRetriever())
    assert len(learned) == 10 and len(loaded["chat"]["train"]) == 10
    for row, shown in zip(learned, loaded["chat"]["train"], strict=True):
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}{prompts.END}\n" for m in shown["messages"])
        assert text == prompts.text(row.prompt) + row.answer + prompts.END + "\n"
        assert [(c["from"], c["value"]) for c in shown["conversations"]] == [
            (dataset.SENDERS[m["role"]], m["content"]) for m in shown["messages"]]
        assert shown["with_passages"] == (PASSAGE.text in shown["messages"][1]["content"])
    assert {r["with_passages"] for r in loaded["chat"]["heldout"]} == {True, False}
    assert len(loaded["chat"]["heldout"]) == 4


def test_the_card_says_what_lies_there(folder):
    text = (folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == card.license_id() == "apache-2.0" and head["size_categories"] == ["n<1K"]
    paths = [f["path"] for config in head["configs"] for f in config["data_files"]]
    assert sorted([*paths, "README.md"]) == sorted(dataset.FILES)
    assert "**How they were written.** By us." in text and "| a |" not in text
    assert "| fact | 5 | 1 | 1 | 1 | 8 |" in text and "| doc | 5 | 1 | 2 | 1 | 9 |" in text
    assert "SHA-256 of the questions file: `" in text


@pytest.mark.parametrize(("number", "name"), [
    (999, "n<1K"), (1000, "1K<n<10K"), (50_000, "10K<n<100K"), (10**7, "n>1M")])
def test_size_categories(number, name):
    assert card.size_category(number) == name


def test_an_mit_licence_is_named(tmp_path):
    assert card.license_id(tmp_path) == "apache-2.0"
    (tmp_path / "LICENSE").write_text("MIT License\n\nCopyright")
    assert card.license_id(tmp_path) == "mit"
    (tmp_path / "LICENSE").write_text("All rights reserved")
    assert card.license_id(tmp_path) == "other"


def test_the_shipped_questions_fit_the_columns():
    flat = [dataset.flat(e) for e in questions.load_examples()]
    assert {type(v) for row in flat for v in row.values()} == {str, list}
    assert all(len(row["evidence_documents"]) == len(row["evidence_quotes"]) for row in flat)
    assert all(row["document"] in {e.document for e in evidence} or not evidence or row["kind"] == "compare"
               for row, evidence in zip(flat, (e.evidence for e in questions.load_examples()), strict=True))


def test_questions_without_a_part_and_folders_without_files_are_refused(tmp_path, capsys):
    write_examples(tmp_path / "q.jsonl", [replace(EXAMPLES[0], split="")])
    with pytest.raises(UserError, match="1 questions belong to no part"):
        dataset.export(tmp_path / "out", RECIPE, tmp_path / "q.jsonl", FakeRetriever())
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="README.md is missing"):
        dataset.files_of(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        dataset.export(tmp_path / "file", RECIPE, ROOT / "assets" / "qa" / "questions.jsonl", FakeRetriever())
    assert main(["export"]) == 2 and "Add --out DIR" in capsys.readouterr().err
