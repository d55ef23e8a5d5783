import numpy as np
import pytest
from scipy import stats as scipy_stats

from space import stats


def each(values):
    """A document of its own for each value."""
    return [f"d{n:03}" for n in range(len(values))]


def test_interval_of_six_coins_is_the_binomials():
    # the mean of six draws from three ones and three zeros is Binomial(6, 1/2) / 6:
    # P(0) = 1/64 = .016 < .025 < P(0 or 1) = 7/64, so the 2.5 % point is 1/6, and by symmetry 5/6
    assert stats.interval([1, 1, 1, 0, 0, 0], each(range(6))) == pytest.approx((1 / 6, 5 / 6))


def test_interval_is_of_documents_not_of_questions():
    # six documents, each saying the same ten times: there is as much to know as in six questions
    values = [v for v in (1, 1, 1, 0, 0, 0) for _ in range(10)]
    assert stats.interval(values, [f"d{n // 10}" for n in range(60)]) == pytest.approx((1 / 6, 5 / 6))
    low, high = stats.interval(values, each(values))
    assert 0.3 < low < 0.5 < high < 0.7


def test_interval_weighs_documents_by_their_questions():
    values, documents = [1.0] * 50 + [0.0] * 5, ["long"] * 50 + [f"d{n}" for n in range(5)]
    low, high = stats.interval(values, documents)
    assert low == 0.0 and high > 0.97  # drawn thrice or more often: at least 150 / 153


def test_no_interval_for_a_handful_of_documents():
    assert stats.interval([0.1] * 5, each(range(5))) is None
    assert stats.interval([], []) is None
    assert stats.interval([0.25] * 6, each(range(6))) == (0.25, 0.25)


def test_interval_agrees_with_scipy():
    random = np.random.default_rng(1)
    documents = [f"d{n}" for n in random.integers(0, 26, size=124)]
    values = random.normal(size=124) + np.array([int(d[1:]) % 3 for d in documents])
    sums, counts = stats._by_document(values, documents)
    theirs = scipy_stats.bootstrap(
        (sums, counts), lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis), paired=True, vectorized=True,
        method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)).confidence_interval
    assert stats.interval(values, documents) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_p_of_hand_counted_cases():
    # of the 8 sign patterns of (1, 2, 3), only +++ and --- sum to 6 or more
    assert stats.p_value([1, 2, 3], each(range(3))) == 2 / 8
    # |sum| >= 4: +++ (6), -++ (4), and their opposites
    assert stats.p_value([-1, 2, 3], each(range(3))) == 4 / 8
    assert stats.p_value([0.1] * 10, each(range(10))) == 2 / 1024  # ties of floats count as ties
    assert stats.p_value([0, 0, 0], each(range(3))) == 1.0 == stats.p_value([], [])


def test_p_swaps_whole_documents():
    assert stats.p_value([1] * 30, ["a"] * 10 + ["b"] * 10 + ["c"] * 10) == 2 / 8


@pytest.mark.parametrize("seed", range(4))
def test_p_agrees_with_scipy_exactly(seed):
    random = np.random.default_rng(seed)
    ours, theirs = random.integers(0, 4, size=(2, 10)) / 4
    wanted = scipy_stats.permutation_test(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True)
    assert stats.p_value(ours - theirs, each(ours)) == pytest.approx(wanted.pvalue)


def test_p_of_many_documents_agrees_with_scipy_closely():
    random = np.random.default_rng(11)
    differences = random.normal(0.25, 1, size=60)
    wanted = scipy_stats.permutation_test(
        (differences, np.zeros(60)), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=np.random.default_rng(6)).pvalue
    assert 0.01 < wanted < 0.5
    assert stats.p_value(differences, each(differences)) == pytest.approx(wanted, abs=0.015)
    assert stats.p_value(np.ones(60), each(range(60))) == 1 / stats.RESAMPLES  # never zero


def test_no_false_alarm_more_often_than_promised():
    random = np.random.default_rng(7)
    documents = [f"d{n // 4}" for n in range(40)]
    alarms = 0
    for _ in range(200):  # scores of a document hang together
        alarms += stats.p_value(np.repeat(random.normal(size=10), 4) + random.normal(size=40), documents) < 0.05
    assert alarms <= 20  # of 200 expected 10; permuting questions gives 51


def test_holm_by_hand():
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04 -> never falling: .02 .03 .06 .06
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.7]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_the_same_scores_give_the_same_numbers():
    values = np.random.default_rng(8).normal(size=50)
    assert stats.interval(values, each(values)) == stats.interval(values, each(values))
    assert stats.p_value(values, each(values)) == stats.p_value(values, each(values))


def test_auroc_by_hand_and_against_scipy():
    # pairs (3, 1) (3, 2) (2, 1) are right, (2, 2) is a tie: 3.5 of 4
    assert stats.auroc([3, 2], [1, 2]) == 3.5 / 4
    assert stats.auroc([1], [0]) == 1 and stats.auroc([0], [1]) == 0 and stats.auroc([1, 2], [1, 2]) == 0.5
    assert stats.auroc([], [1]) == stats.auroc([1], []) == 0.5
    random = np.random.default_rng(9)
    good, bad = random.normal(0.7, 1, size=80).round(1), random.normal(size=50).round(1)
    wanted = scipy_stats.mannwhitneyu(good, bad).statistic / (80 * 50)
    assert stats.auroc(good, bad) == pytest.approx(wanted)


def test_interval_of_an_auroc_covers_the_truth_and_needs_documents():
    random = np.random.default_rng(10)
    true, covered = scipy_stats.norm.cdf(0.8 / 2 ** 0.5), 0
    for _ in range(60):
        good, bad = random.normal(0.8, 1, size=60), random.normal(size=60)
        low, high = stats.auroc_interval(good, bad, each(good), each(bad), resamples=300)
        covered += low <= true <= high
    assert covered >= 52  # of 60 expected 57
    few = [f"d{n % 5}" for n in range(60)]
    assert stats.auroc_interval(good, bad, few, few) is None


def test_answers_of_one_document_do_not_count_as_many():
    random = np.random.default_rng(11)
    shift = np.repeat(random.normal(size=12), 10)  # the answers of a document are good or bad together
    documents = [f"d{n // 10}" for n in range(120)]
    good, bad = shift + 0.3 + random.normal(scale=0.1, size=120), random.normal(size=120)
    wide, narrow = (stats.auroc_interval(good, bad, groups, groups) for groups in (documents, each(good)))
    assert wide[1] - wide[0] > 1.3 * (narrow[1] - narrow[0])
