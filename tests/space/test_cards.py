from dataclasses import replace

import pytest

from space import cards
from space.schema import PLAIN, TUNED_RAG, Answer, AnswerDone, Passage
from tests.fakes import IDENTITY

EVIL = '<img src=x onerror=alert(1)><script>x</script> ${alert(1)} {{x}} & "q"'
DONE = AnswerDone(
    "tuned_rag",
    "end",
    310,
    25,
    0,
    2.0,
    0.41,
    33.333,
    replace(IDENTITY, adapter="a/adapter.gguf", adapter_sha256="cd" * 32),
)


def test_everything_that_is_not_ours_is_escaped():
    passage = Passage("a#1", EVIL + f"\n\n| a |\n|---|\n| {EVIL} |", "a", EVIL, EVIL, 0.5)
    for answer in (
        Answer("tuned_rag", text=EVIL, passages=(passage,), state="done", done=DONE),
        Answer("tuned_rag", state="failed", error=EVIL),
    ):
        html = cards.card(TUNED_RAG, answer)
        assert "<img" not in html and "<script" not in html and "&lt;img" in html


def test_a_finished_card_names_its_numbers_and_files():
    html = cards.card(TUNED_RAG, Answer("tuned_rag", text="Yes.", state="done", done=DONE))
    for part in (
        "0.41 s",
        "33.3 tok/s",
        "310 read, 25 written",
        "waited",
        "Fake-1M Q4_1",
        "abababab",
        "a/adapter.gguf",
        "cdcdcdcd",
    ):
        assert part in html
    assert "no adapter" in cards.identity_text(IDENTITY)


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
    assert text in cards.card(PLAIN, answer)


@pytest.mark.parametrize(
    "number, text",
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (113, "113th")],
)
def test_ordinal(number, text):
    assert cards.ordinal(number) == text


def test_tables_of_passages_become_tables():
    html = cards.blocks("Scores:\n\n| model | score |\n|---|---:|\n| V3 | 1.0 |")
    assert (
        html.startswith("<p>Scores:</p>") and html.count("<tr>") == 2 and "<td>1.0</td>" in html and "---" not in html
    )
