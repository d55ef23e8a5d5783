"""Judge every answer of a run: what is asked of a judge, the file that remembers it, what becomes of it.

A judge scores items one by one: how faithful an answer is to given passages, and how well it fits its
question. All variants are judged against the same passages, those that hold the question's evidence;
variants that retrieve also against what they found. Unanswerable questions are not judged: there
abstention is what counts. The file `judged.jsonl` beside the answers is keyed on everything a score
depends on, so the same command goes on where it was killed, and an item that failed is tried again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from eval import ledger
from space.errors import UserError
from space.questions import evidence_passages
from space.results import EvalRecord, Metric, Verdict, canonical_hash
from space.schema import VARIANTS, Example, Passage

KINDS = ("none", "local", "openai")
FAITHFULNESS, RELEVANCY, RETRIEVED = "faithfulness", "answer_relevancy", "faithfulness_retrieved"
LABELS = {FAITHFULNESS: "Faithfulness to the evidence", RETRIEVED: "Faithfulness to what was retrieved",
          RELEVANCY: "Answer relevancy"}
PROGRESS_S = 5.0


@dataclass(frozen=True)
class Item:
    """One thing to judge. `metric` is faithfulness | answer_relevancy; only the first reads passages."""

    metric: str
    question: str
    answer: str
    passages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """The judge's score, or why there is none; the verdicts behind it, and what the item took (calls,
    input and output tokens; nothing for a local judge)."""

    score: float | None
    error: str = ""
    verdicts: tuple[Verdict, ...] = ()
    spent: dict[str, int] = field(default_factory=dict)


class Judge(Protocol):
    """Anything that judges items."""

    label: str
    """How the judge is named beside every number: `local judge`, `RAGAS, gpt-4o-mini`."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that a score depends on, besides the item."""
        ...

    def judge(self, items: Sequence[Item]) -> Iterator[tuple[Item, Judged]]:
        """Each item with its result, as they get ready. Raises UserError where no item can be judged."""
        ...

    def dollars(self, spent: Mapping[str, int]) -> float:
        """What the calls and tokens cost; 0 for a judge on this machine."""
        ...


def metrics_of(label: str) -> tuple[Metric, ...]:
    """The metrics of a judge, named with it."""
    return tuple(Metric(key, f"{name} ({label})", "higher") for key, name in LABELS.items())


def items_of(record: EvalRecord, evidence: tuple[str, ...]) -> dict[str, Item]:
    """What is judged of an answer, by metric: nothing of an answer that failed or of an unanswerable
    question; `evidence` are the passages that all variants are held to."""
    if record.error or record.done is None or record.kind == "unanswerable":
        return {}
    found = {RELEVANCY: Item(RELEVANCY, record.question, record.text)}
    if evidence:
        found[FAITHFULNESS] = Item(FAITHFULNESS, record.question, record.text, evidence)
    if record.passages:
        found[RETRIEVED] = Item(FAITHFULNESS, record.question, record.text, tuple(map(as_read, record.passages)))
    return found


def evidence_of(example: Example, passages: Sequence[Passage]) -> tuple[str, ...]:
    """The passages that hold the example's evidence, in the order of its quotes; the bare quotes where
    the index has no passage for them."""
    by_id = {p.id: p for p in passages}
    found: dict[str, None] = {}
    for quote, ids in zip(example.evidence, evidence_passages(example, passages), strict=True):
        found |= dict.fromkeys([as_read(by_id[i]) for i in ids] or [quote.quote])
    return tuple(found)


def as_read(passage: Passage) -> str:
    """A passage as the models read it, under its title and heading."""
    return f"{passage.title}: {passage.heading}\n{passage.text}"


def load_judge(kind: str) -> Judge | None:
    """The judge of a kind; None for `none`. Raises UserError where it lacks something."""
    if kind == "local":
        from eval.local_judge import load_local_judge

        return load_local_judge()
    if kind == "openai":
        from eval.ragas_judge import open_judge

        return open_judge()
    return None


def judge_run(judge: Judge, examples: Sequence[Example], records: Sequence[EvalRecord], passages: Sequence[Passage],
              path: Path) -> tuple[list[EvalRecord], dict[str, Any]]:
    """The records with the judge's scores, and what the run says of its judge: kind, name, identity, what
    was spent, and how it did on the control set. `passages` are all those of the index."""
    from eval.controls import describe, make_controls

    evidence = {e.id: evidence_of(e, passages) for e in examples}
    controls = make_controls(examples, evidence)
    items = [item for r in records for item in items_of(r, evidence[r.id]).values()] + [c.item for c in controls]
    judged = judge_all(judge, items, path)
    identity = judge.identity
    used = spent(judged)
    return with_scores(records, evidence, judged), {
        "kind": identity["kind"], "name": identity["name"], "identity": identity, "spent": used,
        "dollars": round(judge.dollars(used), 4),
        **describe(controls, judged)}


def same_judge(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two runs' scores come from one judge."""
    return (a.get("kind"), a.get("identity")) == (b.get("kind"), b.get("identity"))


def judge_all(judge: Judge, items: Sequence[Item], path: Path) -> dict[Item, Judged]:
    """Judge what `path` does not hold yet and append it; the results of all items."""
    identity = canonical_hash(judge.identity)
    wanted = {canonical_hash([identity, asdict(i)]): i for i in items if i.answer.strip()}
    found = {wanted[row["key"]]: _judged(row) for row in _rows(path) if row["key"] in wanted and not row["error"]}
    missing = [i for i in wanted.values() if i not in found]
    keys = {item: key for key, item in wanted.items()}
    for item, judged in _shown(judge.judge(missing) if missing else iter(()), len(missing), judge.label):
        ledger.append(path, {"key": keys[item], "metric": item.metric} | asdict(judged))
        found[item] = judged
    return found


def with_scores(records: Sequence[EvalRecord], evidence: Mapping[str, tuple[str, ...]],
                judged: Mapping[Item, Judged]) -> list[EvalRecord]:
    """The records with the judge's scores and verdicts; an answer that failed, or on which the judge did,
    is unscored with the reason. An empty answer, which no judge is asked about, scores 0."""
    return [_with_scores(r, items_of(r, evidence[r.id]), judged) for r in records]


def _with_scores(record: EvalRecord, items: Mapping[str, Item], judged: Mapping[Item, Judged]) -> EvalRecord:
    scores, unscored, verdicts = dict(record.scores), dict(record.unscored), dict(record.verdicts)
    if not items and record.kind != "unanswerable":
        unscored |= dict.fromkeys(_names(record), f"The answer failed: {record.error or 'it never ended'}")
    for name, item in items.items():
        result = judged[item] if item.answer.strip() else Judged(0.0)
        if result.score is None:
            unscored[name] = f"The judge failed: {result.error}"
        else:
            scores[name] = round(result.score, 6)
            verdicts[name] = result.verdicts
    return replace(record, scores=scores, unscored=unscored, verdicts=verdicts)


def _names(record: EvalRecord) -> list[str]:
    """The metrics that would apply to a failed answer."""
    return [FAITHFULNESS, RELEVANCY, *([RETRIEVED] if VARIANTS[record.variant].retrieves else [])]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = ledger.read(path)
        _ = [(row["key"], row["error"], row["score"], row["verdicts"], row["spent"]) for row in rows]
        return rows
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} is damaged.", f"Remove {path}; the same command judges again.") from error


def _judged(row: dict[str, Any]) -> Judged:
    return Judged(row["score"], row["error"], tuple(Verdict(**v) for v in row["verdicts"]), row["spent"])


def _shown(results: Iterator[tuple[Item, Judged]], total: int, label: str) -> Iterator[tuple[Item, Judged]]:
    """The same results, with a line of progress every few seconds."""
    started = said = time.monotonic()
    for count, result in enumerate(results, 1):
        yield result
        now = time.monotonic()
        if now - said > PROGRESS_S or (count == total and now - started > PROGRESS_S):
            left = (now - started) / count * (total - count)
            print(f"{label}: {count}/{total} judged, about {left / 60:.1f} min left", file=sys.stderr, flush=True)
            said = now


def spent(judged: Mapping[Item, Judged]) -> dict[str, int]:
    """Calls and tokens of all items together."""
    total: dict[str, int] = {}
    for result in judged.values():
        for name, count in result.spent.items():
            total[name] = total.get(name, 0) + count
    return total

