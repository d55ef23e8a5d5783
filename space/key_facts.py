"""Does an answer contain the key facts of a reference? Does it say that it does not know?

Strings are compared as a reader would: case, thousands separators and typographic hyphens do not
count, `671 billion` is `671B`, and a number matches only as a whole number (`71.0` is not in
`171.0`; `71.0%` holds `71.0`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UNITS = {"billion": "b", "million": "m", "trillion": "t", "thousand": "k", "percent": "%"}
_HYPHENS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")

ABSTENTION = "The corpus does not tell"
"""How reference answers to unanswerable questions begin."""
_ABSTAINS = re.compile(
    r"corpus does(?: not|n't) (?:tell|say|state|give|cover|mention|report)"
    r"|(?:passages?|documents?|sources?|context) do(?:es)?(?: not|n't)"
    r" (?:tell|say|state|give|cover|mention|contain|provide)"
    r"|\b(?:is|are) not (?:told|stated|mentioned|covered|given|reported) (?:in|by) the"
    r"|\bI (?:do not|don't|cannot|can't) (?:know|tell|answer|say|find)", re.I)


def normalize(text: str) -> str:
    """Lower case, plain hyphens, no thousands separators, units joined to their number."""
    text = text.translate(_HYPHENS).lower()
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)[\s-]*(billion|million|trillion|thousand|percent)\b",
                  lambda m: UNITS[m[1]], text)
    return re.sub(r"\s+", " ", text)


def contains(fact: str, text: str) -> bool:
    """Whether `text` states `fact` as whole words and whole numbers."""
    wanted = re.escape(normalize(fact).strip())
    return re.search(rf"(?<![\w.]){wanted}(?![\w]|\.\d)", normalize(text)) is not None


def hits(facts: Sequence[str], text: str) -> list[bool]:
    """For each key fact whether the text contains it."""
    return [contains(fact, text) for fact in facts]


def abstains(text: str) -> bool:
    """Whether an answer says that it does not know."""
    return _ABSTAINS.search(text) is not None
