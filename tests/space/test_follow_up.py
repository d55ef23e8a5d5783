import pytest

from space.follow_up import full_question, is_follow_up, remembered


@pytest.mark.parametrize("text", ["and V3?", "And on MATH-500?", "what about DualPipe", "How about R1?", "why?"])
def test_words_that_lean_on_the_question_before(text):
    assert is_follow_up(text)


@pytest.mark.parametrize(
    "text", ["What is MLA?", "Why does MLA shrink the cache?", "Android port of 3FS?", "butter", "What above all?"]
)
def test_questions_of_their_own(text):
    assert not is_follow_up(text)


def test_the_topic_and_the_last_question_are_remembered():
    first = remembered((), "What did R1-Zero reach on AIME?")
    second = remembered(first, "and V3?")
    third = remembered(second, "and on MATH-500?")
    assert third == ("What did R1-Zero reach on AIME?", "and on MATH-500?")
    assert full_question(second, "and R1?", 1000) == "What did R1-Zero reach on AIME? and V3? and R1?"


def test_too_long_a_past_is_left_out():
    assert full_question(("x" * 90, "short?"), "and V3?", 100) == "short? and V3?"
    assert full_question(("x" * 90,), "and V3?", 20) == "and V3?"
