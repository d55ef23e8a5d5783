"""What a run says: means with intervals, variants compared question by question, in numbers and words.

Means of a metric are over the rows that were scored, and always carry how many of how many that
are. A difference between two variants is "shown" when the permutation test, corrected by Holm over
the pairs of its metric, stays under .05 and the interval excludes zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import floor, log10

from space import stats
from space.results import Comparison, EvalRecord, Mean, Metric

SIGNIFICANT = 0.05
Scores = dict[str, tuple[float, str]]
"""Question id -> (score, document)."""


@dataclass(frozen=True)
class Summary:
    """The three parts of a run's summary; `sentences` has one for each metric."""

    means: tuple[Mean, ...]
    comparisons: tuple[Comparison, ...]
    sentences: dict[str, str]


def summarise(records: Sequence[EvalRecord], variants: Sequence[str], metrics: Sequence[Metric]) -> Summary:
    """The summary of all rows of a run; a metric that applies to no row of a variant is left out."""
    means: list[Mean] = []
    comparisons: list[Comparison] = []
    sentences = {}
    for metric in metrics:
        found = [m for v in variants if (m := mean(records, v, metric.key)).expected]
        if not found:
            continue
        sound = [m.variant for m in found if not m.withheld]
        pairs = compare_all([(a, b, scores(records, a, metric.key), scores(records, b, metric.key))
                             for b, a in combinations(sound, 2)], metric)
        means += found
        comparisons += pairs
        sentences[metric.key] = sentence(metric, found, pairs)
    return Summary(tuple(means), tuple(comparisons), sentences)


def scores(records: Sequence[EvalRecord], variant: str, metric: str) -> Scores:
    """The scores of one metric of one variant."""
    return {r.id: (r.scores[metric], r.document) for r in records
            if r.variant == variant and metric in r.scores}


def mean(records: Sequence[EvalRecord], variant: str, metric: str) -> Mean:
    """The mean of one metric of one variant, with its interval and counts."""
    found = scores(records, variant, metric)
    failed = sum(r.variant == variant and metric in r.unscored for r in records)
    values, documents = [v for v, _ in found.values()], [d for _, d in found.values()]
    low, high = stats.interval(values, documents) or (None, None)
    return Mean(metric, variant, _rounded(sum(values) / len(values)) if values else None, _rounded(low),
                _rounded(high), len(found) + failed, len(found), failed, len(set(documents)))


def compare(a: str, b: str, ours: Scores, theirs: Scores, metric: Metric) -> Comparison:
    """`a` minus `b` over the questions that both were scored on; not yet corrected, not yet `shown`."""
    both = [i for i in ours if i in theirs]
    differences = [ours[i][0] - theirs[i][0] for i in both]
    documents = [ours[i][1] for i in both]
    sign = -1 if metric.better == "lower" else 1
    wins = sum(sign * d > 1e-9 for d in differences)
    losses = sum(sign * d < -1e-9 for d in differences)
    low, high = stats.interval(differences, documents) or (None, None)
    p = stats.p_value(differences, documents)
    return Comparison(metric.key, a, b, round(sum(differences) / max(len(both), 1), 6), _rounded(low),
                      _rounded(high), p, p, wins, len(both) - wins - losses, losses, len(both), shown=False)


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with Holm's correction over all of them, and so with `shown` decided."""
    adjusted = stats.holm([c.p for c in comparisons])
    return [replace(c, p_holm=p, shown=p < SIGNIFICANT and _excludes_zero(c))
            for c, p in zip(comparisons, adjusted, strict=True)]


def compare_all(pairs: Sequence[tuple[str, str, Scores, Scores]], metric: Metric) -> list[Comparison]:
    """All pairs of one metric, corrected together; pairs without a common question are left out."""
    return corrected([c for pair in pairs if (c := compare(*pair, metric)).questions])


def sentence(metric: Metric, means: Sequence[Mean], comparisons: Sequence[Comparison]) -> str:
    """The metric's result in words."""
    parts = [in_words(c, metric) for c in comparisons if c.shown]
    open_pairs = [f"between {c.b} and {c.a}" for c in comparisons if not c.shown and c.ties < c.questions]
    if open_pairs:
        parts.append(f"{_listed(open_pairs)} no difference can be shown at this size")
    if equal := [c for c in comparisons if c.ties == c.questions]:
        pairs = "all variants" if len(equal) == len(comparisons) > 1 else \
            _listed([f"{c.b} and {c.a}" for c in equal])
        counts = {c.questions for c in equal}
        on = f"all {counts.pop()} questions" if len(counts) == 1 else "every question"
        parts.append(f"{pairs} are equal on {on}")
    parts += [f"{m.variant} is left out: only {m.scored} of {m.expected} of its answers could be scored"
              for m in means if m.withheld]
    if not parts:
        parts = [f"there is only {means[0].variant}, nothing to compare"]
    return f"{metric.label}: " + "; ".join(parts) + "."


def in_words(c: Comparison, metric: Metric) -> str:
    """A difference that is shown, in words, the better (or higher) variant first."""
    assert c.low is not None and c.high is not None  # or it would not be shown
    a_leads = (c.difference > 0) != (metric.better == "lower")
    first, second, count = (c.a, c.b, c.wins) if a_leads else (c.b, c.a, c.losses)
    size, unit = abs(c.difference), f" {metric.unit}" if metric.unit else ""
    low, high = sorted((abs(c.low), abs(c.high)))
    by = f"{_digits(size, size)}{unit} [{_digits(low, size)}, {_digits(high, size)}]"
    on = f"on {count} of {c.questions} questions"
    if not metric.better:
        return f"{first} is higher than {second} by {by}, higher {on}"
    return f"{first} beats {second} by {by}, better {on}"


def _excludes_zero(c: Comparison) -> bool:
    return c.low is not None and c.high is not None and (c.low > 0 or c.high < 0)


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _digits(value: float, size: float) -> str:
    """`value` with as many decimals as show two digits of `size`: 0.21, 0.034, 12.3."""
    decimals = 1 if size >= 10 else min(max(2, 1 - floor(log10(size))), 5) if size else 2
    return f"{value:.{decimals}f}"
