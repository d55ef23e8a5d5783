"""Wrong versions of right answers: a number or a name changed, or the sense turned round.

They calibrate the local judge (from training pairs) and test any judge in every run (from the run's own
reference answers). All choices come from the caller's random generator: the same seed, the same text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from space.key_facts import contains
from train.evidence import numbers, terms

_TURNS = (("increases", "decreases"), ("increase", "decrease"), ("increased", "decreased"), ("higher", "lower"),
          ("more", "less"), ("most", "least"), ("larger", "smaller"), ("largest", "smallest"), ("before", "after"),
          ("with", "without"), ("first", "last"), ("above", "below"), ("faster", "slower"), ("all", "none of the"),
          ("improves", "worsens"), ("reduces", "increases"), ("reduced", "increased"), ("always", "never"),
          ("only", "never"), ("outperforms", "falls behind"), ("beats", "loses to"), ("maximum", "minimum"),
          ("same", "different"), ("each", "no"), ("up to", "at least"), ("open", "closed"), ("long", "short"),
          ("small", "large"), ("high", "low"), ("input", "output"), ("two", "three"), ("four", "five"))
_AUXILIARY = re.compile(r"\b(is|are|was|were|can|does|has|have|had|will|must|could)\b(?! not\b)")
_NEGATED = re.compile(r"\b(is|are|was|were|can|does|do|did|has|have|had|will|must|could) not\b|\b(can)not\b")

Corruption = Callable[[str, Sequence[str], random.Random], str]
"""(answer, texts to take other numbers and names from, chance) -> the wrong answer, empty where there is
nothing to change."""


def change_number(text: str, others: Sequence[str], chance: random.Random) -> str:
    """One number replaced everywhere by another of its kind from `others`, or by one with other digits."""
    found = [n for n in numbers(text) if re.match(r"[\d.,]+", n)]
    if not found:
        return ""
    old = chance.choice(found)
    value, unit = _parts(old)
    pool = sorted({_parts(n)[0] for text_ in others for n in numbers(text_) if _parts(n)[1] == unit} - {value})
    pool = [n for n in pool if len(n) == len(value) or ("." in n) == ("." in value)]
    new = chance.choice(pool) if pool and chance.random() < 0.7 else _other_digits(value, chance)
    return _replaced(text, old, new + unit)


def change_name(text: str, others: Sequence[str], chance: random.Random) -> str:
    """One name replaced everywhere by another from `others` that the answer does not hold."""
    found = [t for t in terms(text) if len(t) > 2]
    pool = sorted({t for other in others for t in terms(other) if len(t) > 2 and not contains(t, text)})
    if not found or not pool:
        return ""
    old = chance.choice(found)
    close = [t for t in pool if any(c.isdigit() for c in t) == any(c.isdigit() for c in old)
             and len(t.split()) == len(old.split()) and t not in old and old not in t]
    return _replaced(text, old, chance.choice(close)) if close else ""


def contradict(text: str, others: Sequence[str], chance: random.Random) -> str:
    """The sense turned round: a `not` put in or taken out, or a word changed for its opposite."""
    ways: list[str] = []
    if match := _NEGATED.search(text):
        ways.append(text[:match.start()] + (match[1] or match[2]) + text[match.end():])
    elif match := _AUXILIARY.search(text):
        ways.append(f"{text[:match.end()]} not{text[match.end():]}")
    for pair in _TURNS:
        for old, new in (pair, pair[::-1]):
            if match := re.search(rf"\b{old}\b", text):
                ways.append(text[:match.start()] + new + text[match.end():])
    return chance.choice(ways) if ways else ""


def _parts(number: str) -> tuple[str, str]:
    """`14.8T` -> (14.8, T), `8 GPUs` -> (8, " GPUs")."""
    match = re.match(r"[\d.,]*\d", number)
    return (match[0], number[match.end():]) if match else ("", number)


def _other_digits(value: str, chance: random.Random) -> str:
    """A number of the same shape with its first digit, and by chance others, changed."""
    first = chance.choice([d for d in "123456789" if d != value[0]])
    rest = (chance.choice("0123456789") if c.isdigit() and chance.random() < 0.3 else c for c in value[1:])
    return first + "".join(rest)


def _replaced(text: str, old: str, new: str) -> str:
    changed = re.sub(rf"(?<![\w.]){re.escape(old)}(?!\w|\.\d)", lambda _: new, text)
    return "" if changed == text else changed
