"""The about page: what it adds to docs/about.md, its documents, and its commands against the disk."""

import re

import pytest

from space import about
from space.errors import UserError
from space.settings import ROOT
from tests.space.test_markup import EVIL
from tests.test_reports import command_troubles

TEXT = (ROOT / "docs" / "about.md").read_text(encoding="utf-8")


def test_the_page_counts_questions_and_names_the_model_that_runs():
    drawn = about.page()
    assert "439 training, 59 dev, 124 held-out, 60 paraphrases of training questions" in drawn
    assert "SmolLM2-135M-Instruct</strong> (llama, 30 layers, Q4_1, 98 MB)" in drawn
    assert "<code>smollm2-135m</code>" in drawn


def test_every_command_and_file_of_the_page_exists():
    lines = [line for line in re.findall(r"^.*python -m .*$", TEXT, re.M)]
    assert len(lines) >= 4
    assert [trouble for line in lines for trouble in command_troubles(line.partition("`)")[0])] == []
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in re.findall(r"\bmake ([\w-]+)", TEXT))
    paths = re.findall(r"`((?:docs|train|space|assets)/[\w./-]+)`", TEXT)
    assert paths and all((ROOT / path).is_file() for path in paths)
    source = "".join(path.read_text() for path in (ROOT / "space").glob("*.py"))
    assert all(f'"{name}"' in source for name in re.findall(r"\b([A-Z_]{5,})=", TEXT))


def test_a_document_opens_and_links_to_others():
    drawn = about.document("about")
    assert 'data-read="decisions/004-small-default"' in drawn and "<code>docs/about.md</code>" in drawn
    listed = about.document_list()
    for key in ("experiments", "reports", "train/README", "CHANGELOG"):
        assert f'data-read="{key}"' in listed and "<h2>" in about.document(key)


def test_only_documents_are_read(tmp_path):
    for key in ("../pyproject", "README", "docs/about", "/etc/passwd", EVIL, ""):
        with pytest.raises(UserError, match="no document"):
            about.document(key)


def test_a_document_is_escaped(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "evil.md").write_text(f"# A {EVIL}\n\n{EVIL} and [here](javascript:alert(1))\n")
    drawn = about.document("evil", tmp_path)
    assert EVIL not in drawn and "<script" not in drawn
    assert not any("javascript" in address for address in re.findall(r'href="([^"]*)', drawn))
