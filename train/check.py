"""The rules that the questions keep, and the leak report. Run by `python -m train.data check`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from space import corpus, key_facts, models, retriever
from space.questions import KINDS, PARTS, squeeze, topic
from space.schema import Example
from train.data import section_of

JACCARD = 0.6
COSINE = 0.92
MAX_OPENING = 0.02
LEAK_LEVELS = (0.70, 0.80, 0.85, 0.90)
_TEXT_BOUND = re.compile(
    r"according to|\b(?:the|this|above|given) (?:text|passage|document|section|table|excerpt)\b", re.I)


@dataclass
class Report:
    """`problems` are broken rules; `lines` the counts and the leak report."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        verdict = f"{len(self.problems)} problems" if self.problems else "every rule holds"
        return "\n".join([*self.lines, *(f"PROBLEM {p}" for p in self.problems), verdict])


def check(examples: Sequence[Example], documents: Sequence[corpus.Document],
          embedder: str = models.EMBEDDER) -> Report:
    """Check every rule; nothing is changed."""
    report = Report()
    sections = [s for d in documents for s in corpus.sections(d)]
    _counts(report, examples)
    bodies = {d.id: squeeze(d.body) for d in documents}
    for example in examples:
        report.problems += [f"{example.id}: {p}" for p in row_problems(example, bodies)]
    report.problems += _openings(examples)
    report.problems += _shared_evidence(examples, sections)
    vectors = retriever.embed(retriever.load_embedder(embedder), [e.question for e in examples])
    cosines = vectors @ vectors.T
    report.problems += near_duplicates(examples, cosines)
    report.lines += _leaks(examples, cosines)
    return report


def row_problems(example: Example, bodies: dict[str, str]) -> list[str]:
    """What is wrong with one row by itself; `bodies` are the squeezed document texts."""
    problems = []
    words = len(example.reference.split())
    if not 15 <= words <= 90:
        problems.append(f"the reference has {words} words, not 15 to 90")
    if _TEXT_BOUND.search(example.question):
        problems.append("the question only makes sense beside a text")
    quotes = " ".join(e.quote for e in example.evidence)
    for evidence in example.evidence:
        if squeeze(evidence.quote) not in bodies.get(evidence.document, ""):
            problems.append(f"a quote is not in {evidence.document}: {evidence.quote[:60]!r}")
    if example.kind == "unanswerable":
        if example.evidence or example.key_facts or not key_facts.abstains(example.reference):
            problems.append("an unanswerable row has evidence, key facts or no abstention")
    elif len(example.evidence) != (2 if example.kind == "compare" else 1):
        problems.append(f"a {example.kind} row has {len(example.evidence)} quotes")
    elif not example.key_facts:
        problems.append("there are no key facts")
    for fact in example.key_facts:
        if not key_facts.contains(fact, example.reference):
            problems.append(f"key fact {fact!r} is not in the reference")
        if not key_facts.contains(fact, quotes):
            problems.append(f"key fact {fact!r} is not in the evidence")
        if key_facts.contains(fact, example.question):
            problems.append(f"key fact {fact!r} is given away by the question")
    return problems


def _counts(report: Report, examples: Sequence[Example]) -> None:
    parts = Counter(e.split for e in examples)
    report.lines.append(f"{len(examples)} questions: " + ", ".join(f"{p} {parts[p]}" for p in PARTS))
    for name, key in (("kind", lambda e: e.kind), ("document", topic)):
        table: dict[str, Counter[str]] = defaultdict(Counter)
        for example in examples:
            table[key(example)][example.split] += 1
        report.lines.append(f"{name:36s}" + "".join(f"{p:>12s}" for p in PARTS))
        for value in sorted(table, key=lambda v: KINDS.index(v) if v in KINDS else 0):
            report.lines.append(f"  {value:34s}" + "".join(f"{table[value][p]:12d}" for p in PARTS))
    for part in parts:
        if part not in PARTS:
            report.problems.append(f"{parts[part]} rows have no part; run `python -m train.data split`")


def _openings(examples: Sequence[Example]) -> list[str]:
    asked = [e for e in examples if e.split != "paraphrase"]
    opening = Counter(" ".join(re.findall(r"[\w'-]+", e.question.lower())[:4]) for e in asked)
    return [f"{n} questions begin with {words!r}" for words, n in opening.most_common(20)
            if n > MAX_OPENING * len(asked)]


def _shared_evidence(examples: Sequence[Example], sections: Sequence[corpus.Section]) -> list[str]:
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for example in examples:
        for place in section_of(example, sections):
            places[place].add("train" if example.split == "paraphrase" else example.split)
    return [f"the section {heading!r} of {document} serves {' and '.join(sorted(parts))}"
            for (document, heading), parts in sorted(places.items()) if len(parts) > 1]


def _tokens(question: str) -> set[str]:
    return set(re.findall(r"[\w.@%-]*\w", question.lower()))


def jaccard(first: str, second: str) -> float:
    """Share of the words of two questions that both have."""
    a, b = _tokens(first), _tokens(second)
    return len(a & b) / len(a | b) if a | b else 1.0


def near_duplicates(examples: Sequence[Example], cosines: Any) -> list[str]:
    """Pairs of questions that ask the same, by words or by meaning."""
    found = []
    for i, first in enumerate(examples):
        for j in range(i):
            share = jaccard(first.question, examples[j].question)
            if share >= JACCARD or cosines[i, j] >= COSINE:
                found.append(f"near-duplicates {first.id} and {examples[j].id}: "
                             f"Jaccard {share:.2f}, cosine {cosines[i, j]:.2f}")
    return found


def _leaks(examples: Sequence[Example], cosines: Any) -> list[str]:
    """Share of held-out questions whose nearest training question lies above each level."""
    train = [i for i, e in enumerate(examples) if e.split == "train"]
    lines = []
    for part in ("dev", "heldout"):
        rows = [i for i, e in enumerate(examples) if e.split == part]
        if not rows or not train:
            continue
        nearest = cosines[rows][:, train].max(axis=1)
        words = [max(jaccard(examples[i].question, examples[j].question) for j in train) for i in rows]
        by_cosine = ", ".join(f">={x:.2f}: {(nearest >= x).mean():.1%}" for x in LEAK_LEVELS)
        by_words = ", ".join(f">={x:.1f}: {sum(w >= x for w in words) / len(words):.1%}"
                             for x in (0.3, 0.4, 0.5))
        lines.append(f"leak report, {part}: nearest training question by cosine {by_cosine}; "
                     f"by Jaccard {by_words}")
    return lines
