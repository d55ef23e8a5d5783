"""Letters and line ends."""

import pytest

from train.pdf_words import Lines, plain


def test_letters_of_pdf_fonts():
    assert plain("e\ufb03cient \U0001d458-th\u00a0token\u200b \u22121") == "efficient k-th token -1"
    assert plain("a rate of 5 × 10\u22126") == "a rate of 5 × 10^-6"
    assert plain("x² and pages 10-6") == "x² and pages 10-6"


@pytest.mark.parametrize(("first", "second", "joined"), [
    ("we use super-", "vised data", "we use supervised data"),
    ("the cold-", "start phase", "the cold-start phase"),
    ("see DeepSeek-", "R1 and", "see DeepSeek-R1 and"),
    ("sizes Qwen2.5-", "14B here", "sizes Qwen2.5-14B here"),
    ("on Natu-", "ralQuestions", "on NaturalQuestions"),
    ("the LiveCode-", "Bench scores", "the LiveCodeBench scores"),
    ("a node-", "limited routing", "a node-limited routing"),
    ("a line", "without hyphen", "a line without hyphen"),
    ("range 1 -", "2", "range 1 - 2"),
])
def test_a_hyphen_stays_where_the_document_writes_it(first, second, joined):
    seen = Lines(["cold-start data of DeepSeek-R1 and the node that is limited", "LiveCodeBench", f"{first}\n{second}"])
    assert seen.join([first, second]) == joined
