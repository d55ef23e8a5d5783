"""Intervals and tests for scores that come in clusters: questions about one document are not
independent, so documents are what is drawn and what is permuted (Miller 2024, arXiv 2411.00640,
section 2.2). Everything is seeded: the same scores give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SEED = 3407
RESAMPLES = 10_000
MIN_DOCUMENTS = 6
"""With fewer there is no interval: no permutation of five documents can reach p < .05 (2 / 2**5)."""
_EXACT = 13
"""Up to this many documents all 2**n permutations are counted, beyond it a sample is drawn."""


def interval(values: Sequence[float], documents: Sequence[str]) -> tuple[float, float] | None:
    """95 % percentile bootstrap of the mean, whole documents drawn with replacement; a draw's mean is
    over its questions. None with fewer than MIN_DOCUMENTS documents."""
    import numpy as np

    sums, counts = _by_document(values, documents)
    if len(sums) < MIN_DOCUMENTS:
        return None
    n = len(sums)
    draws = np.random.default_rng(SEED).multinomial(n, [1 / n] * n, size=RESAMPLES)
    low, high = np.quantile((draws @ sums) / (draws @ counts), [0.025, 0.975])
    return float(low), float(high)


def p_value(differences: Sequence[float], documents: Sequence[str]) -> float:
    """Two-sided paired permutation test that the mean difference is zero: the two sides are swapped
    for whole documents at a time. Exact for few documents, else from RESAMPLES draws, where the
    observed one counts as one of them."""
    import numpy as np

    sums, _ = _by_document(differences, documents)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    threshold = abs(float(sums.sum())) - 1e-9 * float(np.abs(sums).sum())
    if len(sums) <= _EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= threshold).mean())
    signs = 1 - 2 * np.random.default_rng(SEED).integers(0, 2, size=(RESAMPLES - 1, len(sums)))
    return float((1 + (np.abs(signs @ sums) >= threshold).sum()) / RESAMPLES)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given (Holm 1979): the k-th smallest of m is
    multiplied by m - k + 1, and none may be below the one before it."""
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = floor
    return adjusted


def _by_document(values: Sequence[float], documents: Sequence[str]) -> tuple[Any, Any]:
    """Sum and number of the values of each document."""
    import numpy as np

    _, place = np.unique(np.asarray(documents, dtype=str), return_inverse=True)
    return np.bincount(place, weights=np.asarray(values, dtype=float)), np.bincount(place)


def auroc(good: Any, bad: Any) -> float:
    """Chance that a good item scores above a bad one, ties counting half (Mann-Whitney U / nm); 0.5 where
    either side is empty. Both are arrays or sequences of scores."""
    import numpy as np

    if not len(good) or not len(bad):
        return 0.5
    ordered = np.sort(np.asarray(bad, dtype=float))
    below = np.searchsorted(ordered, good, side="left")
    not_above = np.searchsorted(ordered, good, side="right")
    return float((below + not_above).mean() / 2 / len(ordered))


def auroc_interval(good: Sequence[float], bad: Sequence[float], good_groups: Sequence[str],
                   bad_groups: Sequence[str], resamples: int = 1000) -> tuple[float, float] | None:
    """95 % percentile bootstrap of the AUROC, whole groups drawn with replacement; None with fewer than
    MIN_DOCUMENTS groups."""
    import numpy as np

    names = sorted({*good_groups, *bad_groups})
    if len(names) < MIN_DOCUMENTS:
        return None
    sides = [[np.asarray([v for v, g in zip(values, groups, strict=True) if g == name], dtype=float) for name in names]
             for values, groups in ((good, good_groups), (bad, bad_groups))]
    chance = np.random.default_rng(SEED)
    draws = []
    for _ in range(resamples):
        picked = chance.integers(0, len(names), len(names))
        a, b = (np.concatenate([side[n] for n in picked]) for side in sides)
        if len(a) and len(b):
            draws.append(auroc(a, b))
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)
