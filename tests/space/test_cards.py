from dataclasses import replace

import pytest

from space import cards
from space.chat_flow import KEYS
from space.comparison import Column, Comparison, Source
from space.options import default_options
from space.schema import Answer, AnswerDone, Example, Passage, Sampling
from tests.fakes import IDENTITY, PASSAGE

EVIL = '<img src=x onerror=alert(1)><script>x</script> ${alert(1)} {{x}} & "q"'
DONE = AnswerDone(
    "tuned_rag",
    "end",
    310,
    25,
    120,
    2.0,
    0.41,
    33.333,
    replace(IDENTITY, adapter="a/adapter.gguf", adapter_sha256="cd" * 32),
)
EXAMPLE = Example("doc-01", "Why?", "Because 93.3%.", (), ("93.3%", "MLA"), "number", "heldout")


def compared(text="MLA shrinks the KV cache by 93.3%.", **changes):
    """A finished comparison in which every column says the same."""
    answers = {k: Answer(k, text, (PASSAGE,) if k == "tuned_rag" else (), "done", done=DONE) for k in KEYS}
    columns = {k: Column(a, Sampling()) for k, a in answers.items()}
    return Comparison(**{"question": "Why?", "options": default_options(), "order": KEYS, "columns": columns} | changes)


def test_everything_that_is_not_ours_is_escaped():
    passage = Passage("a#1", EVIL + f"\n\n| a |\n|---|\n| {EVIL} |", "a", EVIL, EVIL, 0.5)
    for answer in (
        Answer("tuned_rag", text=EVIL, passages=(passage,), state="done", done=DONE),
        Answer("tuned_rag", state="failed", error=EVIL),
        Answer("tuned_rag", text=EVIL, state="streaming"),
    ):
        html = cards.card(compared(question=EVIL).with_column("tuned_rag", Column(answer, Sampling())), 2)
        assert "<img" not in html and "<script" not in html and "&lt;img" in html


def test_a_finished_card_names_its_numbers_and_files():
    html = cards.card(compared(), 2)
    for part in (
        "0.41 s",
        "33.3 tok/s",
        "310 read, 25 written",
        "waited",
        "Fake-1M Q4_1",
        "abababab",
        "a/adapter.gguf",
        "cdcdcdcd",
        "120 of them reused",
        "temperature 0 (greedy)",
        "finished",
    ):
        assert part in html
    assert "no adapter" in cards.identity_text(IDENTITY)


def test_the_drawer_holds_the_exact_prompt_with_what_was_read():
    plain, rag = cards.card(compared(), 0), cards.card(compared(), 2)
    assert "&lt;|im_start|&gt;user\nWhy?&lt;|im_end|&gt;" in plain
    assert "Exact prompt" in rag and f"[1] {PASSAGE.title}" in rag and "Question: Why?" in rag


def test_a_recorded_column_says_so_and_when():
    source = Source("heldout", "27 November 2026", "assets/results/heldout/samples.jsonl")
    column = replace(compared().columns["plain"], source=source)
    html = cards.card(compared().with_column("plain", column), 0)
    assert "27 November 2026" in html and source.file in html and "Exact prompt" not in html


def test_the_verdict_counts_the_key_facts():
    assert "2 of 2 key facts" in cards.card(compared(example=EXAMPLE), 0)
    assert "1 of 2 key facts" in cards.card(compared("It is 93.3%.", example=EXAMPLE), 1)
    unanswerable = replace(EXAMPLE, kind="unanswerable", key_facts=())
    assert "answers, though the corpus has no answer" in cards.card(compared(example=unanswerable), 1)
    assert "says that it does not know" in cards.card(compared("The corpus does not tell.", example=unanswerable), 1)


@pytest.mark.parametrize("position", range(3))
def test_a_blind_card_tells_nothing_before_the_vote(position):
    blind = compared(blind=True, order=("tuned_rag", "plain", "tuned"), example=EXAMPLE)
    html = cards.card(blind, position)
    assert f"Answer {'ABC'[position]}" in html and "93.3%" in html
    for word in ("plain", "tuned", "RAG", "adapter", "tok/s", "tokens", "key fact", "Fake-1M", "sentence"):
        assert word not in html.replace("three answers", "")
    voted = cards.card(replace(blind, vote="plain"), 1)
    assert "Plain" in voted and "your vote" in voted and "tok/s" in voted


def test_blind_texts_appear_together():
    blind = compared(blind=True)
    html = cards.card(blind.with_column("tuned", Column(Answer("tuned"), Sampling())), 0)
    assert "93.3%" not in html and 'data-state="working"' in html


@pytest.mark.parametrize(
    "answer, text",
    [
        (Answer("plain", state="queued", ahead=1), "2nd in line"),
        (Answer("plain", state="queued"), "starting"),
        (Answer("plain", state="reading", prompt_tokens=310), "reading 310 tokens"),
        (Answer("plain", state="failed"), "no answer"),
        (Answer("plain", state="done", done=replace(DONE, finish="length")), "cut at the length limit"),
    ],
)
def test_the_state_is_told_in_words(answer, text):
    assert cards.state_text(answer) == text
