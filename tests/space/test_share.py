from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from space import saved, share
from space.comparison import Source
from space.options import check_options
from tests.space.test_cards import EVIL, EXAMPLE, compared


def query(url):
    return dict(parse_qsl(urlsplit(url).query))


def test_a_link_brings_question_settings_and_seed_back():
    options = check_options(0.7, 96, 2, 11)
    made = compared(question="What is ünï & <b>?", options=options, earlier=("First?", "Second?"))
    url = share.link(made, {"host": "127.0.0.1:7861"})
    assert url.startswith("http://127.0.0.1:7861/?tab=compare&q=")
    asked = share.read(query(url))
    assert asked.question == made.question and asked.earlier == made.earlier
    assert check_options(*asked.options) == options


def test_on_a_space_the_link_is_that_of_its_page(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "ann/three")
    assert share.link(compared(), {"host": "evil.example"}).startswith("https://huggingface.co/spaces/ann/three?tab=compare")


@pytest.mark.parametrize("parameters", [{}, {"tab": "eval", "q": "x"}, {"q": "  "}, {"tab": "compare"}])
def test_other_links_ask_nothing(parameters):
    assert share.read(parameters) is None


def test_impossible_settings_are_left_at_their_default():
    asked = share.read({"q": "Why?", "temperature": "hot", "max_tokens": "-1", "passages": "2", "seed": "1e999"})
    assert asked.options == (None, None, 2, None)
    assert len(share.read({"q": "Why?", "after": "a\nb\nc\nd"}).earlier) == 2


def test_a_saved_markdown_file_holds_everything_and_nothing_live():
    made = compared(EVIL, question=EVIL, example=EXAMPLE)
    file = saved.file(made, "md", "http://127.0.0.1:7860/?tab=compare&q=x")
    text = file["text"]
    assert file["name"].endswith(".md") and "/" not in file["name"]
    assert "<img" not in text and "<script" not in text
    for part in ("## Plain", "## Fine-tuned + RAG", "Because 93.3%.", "| Key fact |", "## Passages found",
                 "adapter a/adapter.gguf", "greedy", "http://127.0.0.1:7860/?tab=compare&q=x"):
        assert part in text


def test_a_saved_page_needs_nothing_else():
    made = compared(question="What is <i>MLA</i>?", example=EXAMPLE)
    source = Source("heldout", "1 May 2026", "a/samples.jsonl")
    made = made.with_column("plain", replace(made.columns["plain"], source=source))
    file = saved.file(made, "html", "http://127.0.0.1:7860/?tab=compare&q=x")
    text = file["text"]
    assert file["name"] == "what-is-i-mla-i.html" and text.startswith("<!doctype html>")
    assert "<script" not in text and "<link" not in text and "src=" not in text and "url(" not in text
    assert "<i>MLA" not in text and "recorded on 1 May 2026" in text and "prefers-color-scheme: dark" in text
    assert 'href="http://127.0.0.1:7860/?tab=corpus' in text and 'href="?' not in text


def test_a_question_without_latin_letters_has_a_file_name():
    assert saved.file(compared(question="ما هو؟"), "md", "http://x/?q")["name"] == "comparison.md"
