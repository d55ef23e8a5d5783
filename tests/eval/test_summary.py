import pytest

from eval.metrics import METRICS
from eval.summary import summarise
from space.results import Metric
from tests.eval.made import record, records

FACTS = Metric("key_facts", "Key facts", "higher")
WRONG = Metric("key_facts", "Wrong abstentions", "lower")
LENGTH = Metric("key_facts", "Answer length", "", "tokens")
NONE = [0] * 40
MANY = [1] * 20 + [0] * 20


def test_means_count_what_was_scored():
    rows = records(plain=[1, 0, 1, None], tuned=[None] * 4)
    plain, tuned = summarise(rows, ["plain", "tuned"], [FACTS]).means
    assert (plain.mean, plain.expected, plain.scored, plain.failed, plain.documents) == (0.666667, 4, 3, 1, 3)
    assert plain.low is None and plain.withheld
    assert (tuned.mean, tuned.scored, tuned.failed, tuned.withheld) == (None, 0, 4, True)


def test_a_failing_variant_gains_nothing_by_its_failures():
    rows = records(plain=[1, 0] * 20, tuned=[1, None] * 20)
    summary = summarise(rows, ["plain", "tuned"], [FACTS])
    assert not summary.comparisons
    assert "tuned is left out: only 20 of 40 of its answers could be scored" in summary.sentences["key_facts"]


def test_a_difference_in_words():
    rows = records(plain=NONE, tuned=NONE, tuned_rag=MANY)
    summary = summarise(rows, ["plain", "tuned", "tuned_rag"], [FACTS])
    first = {(c.a, c.b): c for c in summary.comparisons}["tuned_rag", "plain"]
    assert (first.difference, first.wins, first.ties, first.losses, first.questions) == (0.5, 20, 20, 0, 40)
    assert first.shown and first.p == 2 / 1024 and first.p_holm == pytest.approx(6 / 1024)
    assert summary.sentences["key_facts"] == (
        "Key facts: tuned_rag beats plain by 0.50 [0.50, 0.50], better on 20 of 40 questions; "
        "tuned_rag beats tuned by 0.50 [0.50, 0.50], better on 20 of 40 questions; "
        "plain and tuned are equal on all 40 questions.")


@pytest.mark.parametrize("metric, words", [
    (WRONG, "Wrong abstentions: plain beats tuned by 0.50 [0.50, 0.50], better on 20 of 40 questions."),
    (LENGTH, "Answer length: tuned is higher than plain by 0.50 tokens [0.50, 0.50], higher on 20 of 40 questions."),
])
def test_words_follow_the_direction(metric, words):
    summary = summarise(records(plain=NONE, tuned=MANY), ["plain", "tuned"], [metric])
    assert summary.sentences["key_facts"] == words


def test_no_difference_is_claimed_where_none_is_shown():
    rows = records(plain=[1, 0, 0, 0] * 10, tuned=[0, 1, 0, 0] * 10)
    summary = summarise(rows, ["plain", "tuned"], [FACTS])
    assert not summary.comparisons[0].shown and summary.comparisons[0].wins == 10 == summary.comparisons[0].losses
    assert summary.sentences["key_facts"] == (
        "Key facts: between plain and tuned no difference can be shown at this size.")


def test_too_few_documents_show_nothing():
    summary = summarise(records(plain=NONE, tuned=[1] * 40, documents=5), ["plain", "tuned"], [FACTS])
    assert not summary.comparisons[0].shown and summary.comparisons[0].low is None
    assert "no difference can be shown" in summary.sentences["key_facts"]


def test_small_differences_keep_their_figures():
    rows = records(plain=[0.5] * 40, tuned=[0.504] * 40)
    assert "by 0.0040 [0.0040, 0.0040]" in summarise(rows, ["plain", "tuned"], [FACTS]).sentences["key_facts"]
    rows = records(plain=[50] * 40, tuned=[62.34] * 40)
    assert "by 12.3 tokens [12.3, 12.3]" in summarise(rows, ["plain", "tuned"], [LENGTH]).sentences["key_facts"]


def test_holm_is_over_the_pairs_of_a_metric():
    summary = summarise(records(plain=NONE, tuned=MANY, tuned_rag=MANY), ["plain", "tuned", "tuned_rag"], [FACTS])
    by_pair = {(c.a, c.b): c for c in summary.comparisons}
    assert by_pair["tuned", "plain"].p_holm == pytest.approx(3 * 2 / 1024)
    assert by_pair["tuned_rag", "tuned"].p_holm == 1.0


def test_metrics_that_apply_to_nothing_are_left_out():
    rows = [record(n, "plain", {"key_facts": 1.0}) for n in range(8)]
    summary = summarise(rows, ["plain"], METRICS)
    assert list(summary.sentences) == ["key_facts"] and len(summary.means) == 1
    assert summary.sentences["key_facts"].endswith("there is only plain, nothing to compare.")


def test_pairs_without_a_difference_are_named_in_one_breath():
    rows = records(plain=[1, 0, 0, 0] * 10, tuned=[0, 1, 0, 0] * 10, plain_rag=[0, 0, 1, 0] * 10)
    assert summarise(rows, ["plain", "tuned", "plain_rag"], [FACTS]).sentences["key_facts"] == (
        "Key facts: between plain and tuned, between plain and plain_rag and between tuned and plain_rag "
        "no difference can be shown at this size.")
    summary = summarise(records(plain=NONE, tuned=NONE, plain_rag=NONE), ["plain", "tuned", "plain_rag"], [FACTS])
    assert summary.sentences["key_facts"] == (
        "Key facts: all variants are equal on all 40 questions.")
