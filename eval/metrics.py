"""Metrics that need no judge: key facts, abstention, likeness to the reference, retrieval, length, speed.

A metric that applies to a row (by the question's kind and the variant) is either in its `scores` or
in its `unscored` with the reason: an answer that failed is unscored, an answer that is empty is bad.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from space import key_facts
from space.errors import UserError
from space.questions import evidence_passages, topic
from space.results import EvalRecord, Metric, answer_done
from space.retriever import words
from space.schema import VARIANTS, AnswerDone, Example, Passage

METRICS = (
    Metric("key_facts", "Key facts all there", "higher"),
    Metric("reference_f1", "Words shared with the reference (F1)", "higher"),
    Metric("reference_cosine", "Likeness to the reference (MiniLM cosine)", "higher"),
    Metric("recall_at_3", "Evidence among the first three passages", "higher"),
    Metric("right_abstention", "Says it does not know, rightly", "higher"),
    Metric("wrong_abstention", "Says it does not know, wrongly", "lower"),
    Metric("ends_itself", "Ends by itself", "higher"),
    Metric("answer_tokens", "Answer length", "", "tokens"),
    Metric("first_token_s", "Time to the first token", "lower", "s", gated=False),
    Metric("decode_tps", "Writing speed", "higher", "tokens/s", gated=False),
)
_ALWAYS = {"ends_itself", "answer_tokens", "first_token_s", "decode_tps"}
_FUNCTION_WORDS = (
    "a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it"
    " its may more most of on one or she so such than that the their them then there these they this those to"
    " was we were what when where which while who why will with would you your")

Embed = Callable[[Sequence[str]], Any]
"""Texts -> unit vectors, shape (texts, width)."""


def applicable(example: Example, variant: str) -> set[str]:
    """The metrics that apply: an unanswerable question is scored by abstention alone, beside length
    and speed; retrieval by the variants that retrieve."""
    if example.kind == "unanswerable":
        return _ALWAYS | {"right_abstention"}
    retrieval = {"recall_at_3"} if VARIANTS[variant].retrieves else set()
    return _ALWAYS | retrieval | {"key_facts", "wrong_abstention", "reference_f1", "reference_cosine"}


def records(examples: Sequence[Example], rows: Mapping[tuple[str, str], dict[str, Any]], variants: Sequence[str],
            embed: Embed, passages: Sequence[Passage]) -> list[EvalRecord]:
    """The collected rows as scored records, in the order of `examples` and `variants`. `passages` are
    all those of the index: among them the evidence is looked up."""
    found = []
    for example in examples:
        evidence = evidence_passages(example, passages)
        for variant in variants:
            found.append(_record(example, rows[example.id, variant], evidence))
    return _with_cosines(found, embed)


def content_f1(answer: str, reference: str) -> float:
    """F1 of the content words and figures that both hold, counted with repetition (as in SQuAD,
    Rajpurkar et al. 2016, with more function words left out than its articles)."""
    ours, theirs = _content(answer), _content(reference)
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def recall_at(k: int, evidence: Sequence[Sequence[str]], retrieved: Sequence[str]) -> float:
    """Share of the quotes that one of the first `k` passages holds; `evidence` has, for each quote,
    the ids of the passages that hold it."""
    first = set(retrieved[:k])
    return sum(bool(first & set(ids)) for ids in evidence) / len(evidence)


def _record(example: Example, row: dict[str, Any], evidence: list[list[str]]) -> EvalRecord:
    done, names = answer_done(row["done"]), applicable(example, row["variant"])
    passages = tuple(Passage(**p) for p in row["passages"])
    scores: dict[str, float] = {}
    unscored: dict[str, str] = {}
    if row["error"] or done is None:
        unscored = dict.fromkeys(sorted(names), f"The answer failed: {row['error'] or 'it never ended'}")
    else:
        scores = _of_text(example, row["text"]) | _of_speed(done)
        if not done.decode_tps:
            unscored["decode_tps"] = "The answer is too short to time."
        if "recall_at_3" in names and all(evidence) and evidence:
            scores["recall_at_3"] = recall_at(3, evidence, [p.id for p in passages])
        elif "recall_at_3" in names:
            unscored["recall_at_3"] = "A quote of the evidence is in no passage of the index."
    return EvalRecord(
        id=example.id, variant=row["variant"], document=topic(example), kind=example.kind, question=example.question,
        reference=example.reference, evidence=example.evidence, key_facts=example.key_facts, text=row["text"],
        passages=passages, done=done, error=row["error"], scores=scores, unscored=unscored)


def _of_text(example: Example, text: str) -> dict[str, float]:
    abstained = float(key_facts.abstains(text))
    if example.kind == "unanswerable":
        return {"right_abstention": abstained}
    return {"key_facts": float(all(key_facts.hits(example.key_facts, text))), "wrong_abstention": abstained,
            "reference_f1": round(content_f1(text, example.reference), 6)}


def _of_speed(done: AnswerDone) -> dict[str, float]:
    speed = {"decode_tps": done.decode_tps} if done.decode_tps else {}
    return speed | {"ends_itself": float(done.finish == "end"), "answer_tokens": float(done.answer_tokens),
                    "first_token_s": done.first_token_s}


def _content(text: str) -> Counter[str]:
    left_out = _FUNCTION_WORDS.split()
    return Counter(w for w in words(key_facts.normalize(text)) if w not in left_out)


def _with_cosines(found: list[EvalRecord], embed: Embed) -> list[EvalRecord]:
    """The same records with `reference_cosine`, embedded in one go. An empty answer is like nothing."""
    asked = {(r.id, r.variant): r for r in found if r.done and not r.error and r.kind != "unanswerable"}
    texts = sorted({t for r in asked.values() for t in (r.text, r.reference) if t})
    try:
        vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    except UserError as error:
        reason = {"reference_cosine": str(error)}
        return [replace(r, unscored=r.unscored | reason) if (r.id, r.variant) in asked else r for r in found]

    def scored(record: EvalRecord) -> EvalRecord:
        cosine = float(vectors[record.text] @ vectors[record.reference]) if record.text else 0.0
        return replace(record, scores=record.scores | {"reference_cosine": round(cosine, 4)})

    return [scored(r) if (r.id, r.variant) in asked else r for r in found]
