"""Collect the answers of every variant through `space.answer`, greedy, into append-only JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from eval import metrics
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
    kept = _read(out)
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
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            yield row


def _read(path: Path) -> dict[tuple[str, str], dict]:
    """The good rows of the file by key; the file itself is cut behind its last whole line."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return {}
    data = path.read_bytes()
    whole = data[:data.rfind(b"\n") + 1]
    if whole != data:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    rows = (json.loads(line) for line in whole.decode().splitlines())
    return {(row["id"], row["variant"]): row for row in rows if not row["error"]}
