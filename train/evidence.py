"""From a question with a reference answer to a row: exact quotes, key facts, kind.

Everything is picked by rule from the passages that the answer was written from, so that a row can be
checked without the model that wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from space.key_facts import contains
from space.questions import squeeze
from space.schema import Evidence, Example, Passage

MAX_FACTS = 2
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
_NUMBER = re.compile(
    r"(?<![\w.,/-])(?:\d+(?:,\d{3})+|\d+)(?:\.\d+)?(?:%|[kKMBTxW]|[KMGT]i?[Bb](?:ps)?|[KMGT]Hz|[mn]?s)?"
    r"(?![\w]|[.,/-]\w)(?: ([A-Za-z]\w+))?")
_WORD = re.compile(r"[A-Za-z0-9][\w.@%/+-]*\w|\w")
_STOP = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "into", "is", "it", "its",
     "of", "on", "one", "or", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "was",
     "were", "which", "while", "with", "what", "when", "where", "who", "why", "how", "does", "did", "do", "can",
     "could", "than", "also", "each", "only", "not", "no", "both", "between", "over", "under", "per", "via", "such",
     "so", "but", "if", "all", "any", "more", "most", "other", "same", "used", "uses", "using", "about", "across",
     "after", "before", "during"})


def sentences(text: str) -> list[str]:
    """The sentences of a passage in order; of a table, the rows below its header."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.strip().splitlines()]
        if lines and lines[0].startswith("|"):
            found += [line for line in lines[2:] if line]
        else:
            found += [s.strip() for s in _SENTENCE_END.split(" ".join(lines)) if s.strip()]
    return found


def exact(text: str, body: str) -> str:
    """The stretch of `body` that reads like `text` up to white space; empty where there is none."""
    pattern = r"\s+".join(map(re.escape, text.split()))
    found = re.search(pattern, body) if pattern else None
    return found[0] if found else ""


def best_quote(reference: str, text: str, body: str) -> tuple[float, str]:
    """The one or two adjacent sentences of a passage that say most of `reference`, as they stand in
    the document's body, with their score; (0, "") where none says any of it."""
    wanted = _content(reference)
    parts = sentences(text)
    windows = parts + [f"{a} {b}" for a, b in zip(parts, parts[1:], strict=False) if not a.startswith("|")]
    best = (0.0, "")
    for window in windows:
        own = _content(window)
        shared = sum(2.0 if word[0].isdigit() else 1.0 for word in own & wanted)
        score = shared - 0.25 * len(own - wanted)
        if shared and score > best[0] and (quote := exact(window, body)):
            best = (score, quote)
    return best


def key_facts(question: str, reference: str, quotes: Sequence[str]) -> tuple[str, ...]:
    """At most two strings of the reference that the evidence has and the question has not: numbers,
    or capitalised terms where there is no number. Where there are two quotes, each gives one if it
    can."""
    for candidates in (numbers(reference), terms(reference)):
        facts = [f for f in candidates
                 if not contains(f, question) and any(contains(f, q) for q in quotes)]
        chosen: list[str] = []
        for quote in quotes if len(quotes) > 1 else ():
            chosen += [f for f in facts if contains(f, quote) and f not in chosen][:1]
        for fact in facts:
            if len(chosen) < MAX_FACTS and not any(contains(fact, c) or contains(c, fact) for c in chosen):
                chosen.append(fact)
        if chosen:
            return tuple(chosen)
    return ()


def kind_of(reference: str, facts: Sequence[str]) -> str:
    """`number` where the key facts are numbers, else `fact`."""
    return "number" if facts and facts[0] in numbers(reference) else "fact"


def make_row(id_: str, question: str, reference: str, contexts: Iterable[Passage],
             bodies: Mapping[str, str]) -> Example:
    """A row in the product's format. Two contexts make a `compare` row with a quote from each;
    evidence or key facts that cannot be found stay empty, and the filters remove such a row."""
    question, reference = squeeze(question), squeeze(reference)
    found: list[tuple[float, Evidence]] = []
    for passage in contexts:
        score, quote = best_quote(reference, passage.text, bodies[passage.source])
        if quote and all(quote not in e.quote and e.quote not in quote for _, e in found):
            found.append((score, Evidence(passage.source, quote)))
    best = sorted(found, key=lambda pair: -pair[0])[:2]
    evidence = tuple(e for pair in found if pair in best for e in pair[1:])
    facts = key_facts(question, reference, [e.quote for e in evidence])
    kind = "compare" if len(evidence) == 2 else kind_of(reference, facts)
    return Example(id_, question, reference, evidence, facts, kind, split="")


def _content(text: str) -> set[str]:
    return {w for w in (m.lower() for m in _WORD.findall(text)) if w not in _STOP}


def numbers(text: str) -> list[str]:
    """Numbers with what is written on to them (`671B`, `95%`); a bare digit with its noun (`8 GPUs`),
    since a digit alone is met by chance."""
    found = []
    for match in _NUMBER.finditer(text):
        number, noun = match[0].removesuffix(f" {match[1]}"), match[1]
        if len(number) > 1:
            found.append(number)
        elif noun and noun.lower() not in _STOP:
            found.append(match[0])
    return list(dict.fromkeys(found))


def terms(text: str) -> list[str]:
    """Names: words with a capital letter that is not just a sentence's first, joined to longer names.
    A number begins no name, and the word behind a number is its unit."""
    found: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        previous, run = "", False
        end = 0
        for match in _WORD.finditer(sentence):
            word = match[0].rstrip(".")
            joined = run and sentence[end:match.start()] == " "
            inner = any(c.isupper() for c in word[1:])
            capital = word[0].isupper() and bool(previous) and word.lower() not in _STOP
            name = (inner or capital) and (joined or not (_is_number(word) or _is_number(previous)))
            if name and joined:
                found[-1] += f" {word}"
            elif name:
                found.append(word)
            previous, run, end = word, name, match.end()
    return list(dict.fromkeys(term for term in found if len(term) > 1))


def _is_number(word: str) -> bool:
    return (match := _NUMBER.match(word)) is not None and match.end() == len(word)
