"""What the local judge sees of a claim: how its words, figures and names stand in the passages. Every
feature grows with doubt and is 0 for a claim that a passage holds word by word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from space.support import FUNCTION_WORDS, Term, keys, sentence_spans, stem, terms

FEATURES = ("words_missing_share", "words_missing", "numbers_missing", "names_missing", "window_missing_share",
            "pairs_missing_share", "numbers_elsewhere", "sense_turned")
_ABOUT_THE_ANSWER = (
    "information question questions answer answers answered passage passages context text texts document documents"
    " based given provided provide provides mention mentioned mentions according unable able sure happy help note"
    " please important remember additionally overall finally similarly specifically particularly including following"
    " regardless respectively let know hope here's i'm i'd i'll am want need conclusion summary summarize brief"
    " briefly example various several certain specific different")
"""Words in which an answer speaks of itself, of the question or of the passages: they claim nothing."""
_TALK = frozenset(stem(word) for word in _ABOUT_THE_ANSWER.split())
_NEGATIONS = re.compile(r"\b(?:not|no|never|none|cannot|without|neither|nor)\b|n't\b", re.I)
_OPPOSITES = ({"increas", "decreas"}, {"high", "low"}, {"more", "less", "fewer"}, {"most", "least"}, {"larg", "small"},
              {"before", "after"}, {"first", "last"}, {"fast", "slow"}, {"above", "below"}, {"maximum", "minimum"},
              {"same", "different"}, {"improv", "worsen"}, {"reduc", "increas"}, {"long", "short"}, {"input", "output"},
              {"always", "never"}, {"all", "none"})


@dataclass(frozen=True)
class Window:
    """Two neighbouring sentences of a passage."""

    text: str
    keys: frozenset[str]


class Passages:
    """Passages prepared for the comparison; the words of the question count as given."""

    def __init__(self, texts: Sequence[str], question: str) -> None:
        self.given = keys(question)
        self.keys = frozenset().union(self.given, *(keys(text) for text in texts))
        self.windows = [w for text in texts for w in windows(text)]
        self.pairs = frozenset().union(_pairs(terms(question)), *(_text_pairs(text) for text in texts))

    def lacking(self, claim: str) -> str:
        """The words and figures of the claim that are not in the passages, in words; empty where all are."""
        missing = dict.fromkeys(t.written for t in _content(claim) if t.key not in self.keys)
        return f"Not in the passages: {', '.join(missing)}." if missing else ""


def features(claims: Sequence[str], passages: Passages) -> Any:
    """The features of each claim, shape (claims, len(FEATURES)), in the order of FEATURES."""
    import numpy as np

    return np.array([_features(c, passages) for c in claims], dtype=float).reshape(len(claims), len(FEATURES))


def says_nothing(claim: str) -> bool:
    """Whether a sentence has no words or figures beside those that speak of the answer itself."""
    return not _content(claim)


@lru_cache(maxsize=2048)
def windows(text: str) -> tuple[Window, ...]:
    """Every two neighbouring sentences of a passage, under the passage's first line (its title)."""
    spans = sentence_spans(text)
    title = text.split("\n")[0] if "\n" in text else ""
    found = []
    for a, b in zip(spans, spans[1:] or spans, strict=False):
        part = text[a[0]:b[1]]
        found.append(Window(part, keys(f"{title}\n{part}")))
    return tuple(found)


def _features(claim: str, passages: Passages) -> list[float]:
    own = _content(claim)
    distinct = {t.key: t for t in own}
    if not distinct:
        return [0.0] * len(FEATURES)
    missing = [t for key, t in distinct.items() if key not in passages.keys]
    best, uncovered = None, len(distinct)
    for window in passages.windows:
        left = sum(key not in window.keys and key not in passages.given for key in distinct)
        if left < uncovered:
            best, uncovered = window, left
    pairs = _pairs(own)
    turned = best is not None and _turned(claim, best.text)
    elsewhere = [t for key, t in distinct.items() if t.is_number and key in passages.keys
                 and not (best and key in best.keys) and key not in passages.given]
    names = _names(claim)
    return [len(missing) / len(distinct), math.log1p(sum(not t.is_number for t in missing)),
            math.log1p(sum(t.is_number for t in missing)), math.log1p(sum(t.written in names for t in missing)),
            uncovered / len(distinct), len(pairs - passages.pairs) / len(pairs) if pairs else 0.0,
            math.log1p(len(elsewhere)), _held(uncovered / len(distinct)) * float(turned)]


def _held(uncovered: float) -> float:
    """Weight of a turned sense: 1 where the window holds the whole claim, 0 where it holds under half; two
    sentences on different things need not agree."""
    return max(0.0, 1 - 2 * uncovered)


def _content(claim: str) -> list[Term]:
    return [t for t in terms(claim) if t.is_number or stem(t.written) not in _TALK]


def _pairs(found: Sequence[Term]) -> frozenset[tuple[str, str]]:
    return frozenset((a.key, b.key) for a, b in zip(found, found[1:], strict=False))


@lru_cache(maxsize=2048)
def _text_pairs(text: str) -> frozenset[tuple[str, str]]:
    return _pairs(terms(text))


def _names(claim: str) -> set[str]:
    """Words of the claim with a capital inside or behind another word, lower case."""
    words = re.findall(r"[^\W_]+", claim)
    return {w.lower() for n, w in enumerate(words) if any(c.isupper() for c in (w if n else w[1:]))
            and w.lower() not in FUNCTION_WORDS}


def _turned(claim: str, window: str) -> bool:
    """Whether claim and window differ in the number of negations, or hold opposite words."""
    if bool(_NEGATIONS.search(claim)) != bool(_NEGATIONS.search(window)):
        return True
    ours, theirs = (set(re.findall(r"[a-z]+", t.lower())) for t in (claim, window))
    return any(_opposed(pair, ours, theirs) for pair in _OPPOSITES)


def _opposed(pair: set[str], ours: set[str], theirs: set[str]) -> bool:
    a, b = ({stem for stem in pair if any(word.startswith(stem) for word in words)} for words in (ours, theirs))
    return bool(a and b and not a & b)
