"""Collect the answers of every variant through `space.answer`, greedy, into append-only JSONL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from eval import ledger, metrics
from space.answer import answer_all, stream_answers
from space.engine import Engine
from space.retriever import Searcher
from space.schema import Example, Sampling, Variant


def collect(examples: Sequence[Example], variants: Sequence[Variant], engine: Engine,
            retriever: Searcher, sampling: Sampling, passages: int, out: Path) -> Iterator[dict]:
    """Answer what `out` does not hold yet, append it there, and yield every row of the run.

    One line per (question, variant); a line that a crash left unfinished is cut off, a failed
    answer is tried again.
    """
    kept = {(row["id"], row["variant"]): row for row in ledger.read(out) if not row["error"]}
    wanted = {(e.id, v.key) for e in examples for v in variants}
    yield from (row for key, row in kept.items() if key in wanted)
    for example in examples:
        missing = [v for v in variants if (example.id, v.key) not in kept]
        if not missing:
            continue
        events = stream_answers(example.question, missing, engine, retriever, sampling, passages)
        for answer in answer_all(events, missing).values():
            row = {"id": example.id, "variant": answer.variant, "question": example.question,
                   "text": answer.text, "error": answer.error,
                   "passages": [asdict(p) for p in answer.passages],
                   "done": asdict(answer.done) if answer.done else None,
                   "scores": metrics.score(example, answer) if answer.done else {}}
            ledger.append(out, row)
            yield row
