from dataclasses import replace

import pytest

from space import evidence
from space.schema import Passage
from tests.fakes import PASSAGE
from tests.space.test_cards import EVIL, EXAMPLE, compared


@pytest.mark.parametrize("cosine, notice", [(0.39, True), (0.41, False)])
def test_an_uncovered_question_is_flagged(cosine, notice):
    html = evidence.passage_list((replace(PASSAGE, cosine=cosine),))
    assert ("the corpus may not cover it" in html) == notice


def test_passages_become_cards_with_rank_score_and_a_link_to_the_corpus():
    html = evidence.passage_list((PASSAGE, replace(PASSAGE, id="doc#2&x", score=0.41)))
    assert html.count("<details") == 2 and "score 0.80" in html and "score 0.41" in html and html.count(" open>") == 1
    assert 'href="?tab=corpus&amp;doc=doc&amp;passage=doc%232%26x"' in html and 'id="read-2"' in html
    assert "found in the passages" in html and "not true" in html
    assert evidence.passage_list(()) == ""


@pytest.mark.parametrize("scores, read, told", [
    ((0.61, 0.65), "One.", True), ((0.65, 0.61), "One.", False), ((0.61, 0.65), "", False)])
def test_an_order_that_is_not_that_of_the_scores_is_explained(scores, read, told):
    first, second = (replace(PASSAGE, score=score) for score in scores)
    html = evidence.passage_list((replace(first, excerpt=read), second))
    assert ("The passage with the best sentence comes first" in html) == told


def test_foreign_text_is_escaped():
    passage = Passage("a#1", EVIL + f"\n\n| a |\n|---|\n| {EVIL} |", "a", EVIL, EVIL, 0.5, excerpt=EVIL)
    for html in (
        evidence.passage_list((passage,)),
        evidence.reference(compared(example=replace(EXAMPLE, reference=EVIL, key_facts=(EVIL,)))),
    ):
        assert "<img" not in html and "<script" not in html and "&lt;img" in html


def test_what_the_model_read_is_marked():
    text = "First line.\nIt cuts the\ncache by 93.3%. A last sentence.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    passage = replace(PASSAGE, text=text, excerpt="It cuts the cache by 93.3%. a 1: b 2.")
    html = evidence.passage_list((passage, replace(PASSAGE, id="doc#2")))
    assert '<mark class="excerpt">It cuts the cache by 93.3%.</mark>' in html
    assert '<mark class="excerpt">a 1: b 2.</mark>' in html and "<table>" in html
    assert "what the model read" in html and "the model read nothing from it" in html
    assert "model read" not in evidence.passage_list((PASSAGE,))


def test_the_reference_shows_which_answer_holds_which_fact():
    html = evidence.reference(compared("It is 93.3%.", example=EXAMPLE))
    assert "Because 93.3%." in html and "held out" in html
    assert html.count("✓ yes") == 3 and html.count("✗ no") == 3
    assert evidence.reference(compared()) == ""


def test_nothing_is_shown_while_names_are_withheld():
    blind = compared(blind=True, example=EXAMPLE)
    assert evidence.below(blind) == "" and "Reference" in evidence.below(replace(blind, vote="tie"))
