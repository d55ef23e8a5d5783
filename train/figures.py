"""Figures changed alike in evidence and answer: a row that can be answered by reading alone.

A question that comes back with other figures in its sentences cannot be answered from memory, so a model that is
trained on such rows learns to read (counterfactual data, as in Longpre et al. 2021, "Entity-Based Knowledge
Conflicts in Question Answering").
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence


def changed(facts: Sequence[str], question: str, answer: str, sentences: Sequence[str],
            rng: random.Random) -> tuple[str, list[str]]:
    """The answer and the sentences with new digits in those key facts that the answer and a sentence state word for
    word and the question does not name. They come back as they were where there are none."""
    told = list(dict.fromkeys(
        fact for fact in facts if re.search(r"\d", fact) and not _in(fact, question) and _in(fact, answer)
        and any(_in(fact, sentence) for sentence in sentences)))
    texts = [answer, *sentences]
    for fact in sorted(told, key=len, reverse=True):
        other = _other(fact, rng)
        texts = [other.join(_pattern(fact).split(text)) for text in texts]
    return texts[0], texts[1:]


def _pattern(fact: str) -> re.Pattern[str]:
    """The fact as whole words and whole numbers."""
    return re.compile(rf"(?<![\w.]){re.escape(fact)}(?!\w|\.\d)")


def _in(fact: str, text: str) -> bool:
    return _pattern(fact).search(text) is not None


def _other(fact: str, rng: random.Random) -> str:
    """The fact with other digits; a number keeps its length and does not begin with 0 unless it did."""
    while True:
        other = re.sub(r"\d+", lambda number: _digits(number[0], rng), fact)
        if other != fact:
            return other


def _digits(number: str, rng: random.Random) -> str:
    first = "0" if number[0] == "0" else rng.choice("123456789")
    return first + "".join(rng.choice("0123456789") for _ in number[1:])
