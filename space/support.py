"""How much of an answer's sentences is found in given passages: words and figures, nothing cleverer.

Used for the shading of answers in the chat and in the eval tab, and by the local judge. It says "found in
the passages", never "true": a sentence that turns a fact round is made of the same words. Measured on
labelled answers in docs/experiments.md ("Local judge").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from space.key_facts import normalize

_NUMBER = r"\d+(?:\.\d+)*(?:e-?\d+)?"
_TERM = re.compile(rf"(?P<number>(?<![^\W\d]){_NUMBER})(?P<unit>[^\W\d_]*|%)|[^\W_]+(?:['\u2019][a-z]+)?", re.I)
_END = re.compile(r"[.!?]+[\"')\]*\u2019\u201d]*\s+|\s*\n\s*")
_NO_END = re.compile(r"(?:\b(?:e\.g|i\.e|et al|etc|vs|cf|ca|approx|resp|figs?|eqs?|sec|tab|vol|dr|mrs?|ms|prof"
                     r"|inc|ltd)|(?:^|[\s(])[a-z]|(?:^|\n)\W*\d{1,2})\.\s+$", re.I)
_LIST_MARK = re.compile(r"(?:[-*\u2022|>#]+\s*|\d{1,2}[.)]\s+)+")
_TIMES = re.compile(r"(?<=\d)x(?=\d)")
_SCALES = "kmbt"
_WRITTEN = dict(enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
                           "eleven", "twelve")))
_WORDED = {word: str(number) for number, word in _WRITTEN.items()}
_SUFFIXES = (
    "ization", "isation", "ational", "fulness", "ousness", "iveness", "ations", "ingly", "edly", "ation",
    "ments", "ities", "izing", "ising", "ized", "ised", "izes", "ises", "ment", "ness", "ings", "ions",
    "ally", "able", "ible", "ing", "ion", "ies", "ied", "ers", "ors", "ely", "ity", "ive", "ous", "ate",
    "ize", "ise", "est", "ful", "al", "ed", "es", "er", "or", "ly", "e", "s", "y")
_FUNCTION_WORDS = (
    "a about above after again all also although an and another any are as at be because been before being below"
    " between both but by can cannot could did do does doing done down during each either else etc even every few"
    " for from further get gets got had has have having he her here hers him his how however i if in into is it"
    " its itself just like made make makes many may me might more most much must my neither no nor not of off"
    " often on once only onto or other others our out over own per rather same she should since so some still such"
    " than that the their them themselves then there therefore these they this those though through thus to too"
    " under until up upon us use used uses using very via was we well were what when where whether which while who"
    " whom whose why will with within without would yes yet you your don't doesn't isn't aren't can't won't didn't"
    " wasn't it's that's there's i'm")
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True)
class Term:
    """A content word or a figure: `key` is what is compared, `written` what stands in the text."""

    key: str
    written: str
    is_number: bool


@dataclass(frozen=True)
class SentenceSupport:
    """A sentence of an answer, `answer[start:end] == text`. `share` (0..1) of its `terms` content words
    and figures is found in the passages together; where it has none, nothing is missing and the share is
    1. `passage_index` is the passage that alone holds most of them, None where none holds any."""

    text: str
    start: int
    end: int
    share: float
    passage_index: int | None
    numbers_missing: tuple[str, ...]
    missing: tuple[str, ...]
    terms: int


def support(answer: str, passages: Sequence[str]) -> list[SentenceSupport]:
    """How far the passages hold what each sentence of the answer says, in the order of the answer.
    Words are compared by stem, figures by value; a term that is said twice counts once."""
    held = [frozenset(keys(text)) for text in passages]
    together = frozenset().union(*held)
    found = []
    for start, end in sentence_spans(answer):
        own = {t.key: t for t in terms(answer[start:end])}
        missing = [t for key, t in own.items() if key not in together]
        counts = [sum(key in one for key in own) for one in held]
        best = max(range(len(held)), key=lambda n: (counts[n], -n), default=None)
        found.append(SentenceSupport(
            answer[start:end], start, end, round(1 - len(missing) / len(own), 4) if own else 1.0,
            best if best is not None and counts[best] else None,
            tuple(t.written for t in missing if t.is_number), tuple(t.written for t in missing), len(own)))
    return found


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without the white space around it; lines and list items are
    sentences of their own, list marks belong to none."""
    spans, start = [], 0
    for match in [*_END.finditer(text), None]:
        end = match.end() if match else len(text)
        if match and "\n" not in match[0] and _NO_END.search(text[max(0, start - 1):end]):
            continue
        first = start + len(text[start:end]) - len(text[start:end].lstrip())
        if mark := _LIST_MARK.match(text, first, end):
            first = mark.end()
        last = start + len(text[start:end].rstrip())
        if any(c.isalnum() for c in text[first:last]):
            spans.append((first, last))
        start = end
    return spans


def terms(text: str) -> list[Term]:
    """The content words and figures of a text, in order, with repetition."""
    found = []
    for match in _TERM.finditer(_TIMES.sub(" x ", normalize(text))):
        if match["number"]:
            number = _value(match["number"])
            unit = match["unit"]
            found.append(Term(number + (unit if unit and unit in _SCALES else ""), match[0], is_number=True))
            if len(unit) > 1:
                found.append(Term(stem(unit), unit, is_number=False))
        elif match[0] not in FUNCTION_WORDS and (len(match[0]) > 1 or match[0].isdigit()):
            found.append(Term(stem(match[0]), match[0], is_number=False))
    return found


@lru_cache(maxsize=4096)
def keys(text: str) -> frozenset[str]:
    """All that a passage holds: the keys of its terms, small numbers both as a figure and as a word, and
    large ones both with and without their scale."""
    found = {t.key for t in terms(text)}
    words = {word for word, figure in _WORDED.items() if figure in found}
    figures = {_WORDED[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDED}
    bare = {k[:-1] for k in found if k[-1] in _SCALES and k[:-1].replace(".", "").isdigit()}
    return frozenset(found | {stem(w) for w in words} | figures | bare)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without its endings, so that `trained`, `training` and `trains` are one; names with digits
    stay whole. Cuts more than a linguist would: only equality counts here."""
    word = re.sub(r"['\u2019]s?$", "", word)
    if any(c.isdigit() for c in word):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[:-len(suffix)]
            return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl" else word
    return word


def _value(number: str) -> str:
    """1.50 -> 1.5; versions (1.2.3) stay."""
    return number.rstrip("0").rstrip(".") if number.count(".") == 1 and "e" not in number else number
