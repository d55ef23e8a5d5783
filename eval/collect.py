"""Collect the answers of every variant through `space.answer`, greedy, into append-only JSONL.

A folder of answers may hold several files, `answers.jsonl` and one for each shard; they are merged
by (question, variant). A row counts as long as what it was made from is unchanged: the question,
the prompts, the sampling and, where passages are read, their number, that of their sentences, and the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from eval import ledger
from space import prompts
from space.answer import answer_all, stream_answers
from space.engine import Engine
from space.errors import UserError
from space.json_text import parse_json
from space.results import canonical_hash
from space.retriever import Searcher
from space.schema import Answer, Example, Passage, Sampling, Variant

Rows = dict[tuple[str, str], dict[str, Any]]
"""(question id, variant) -> row."""


def collect(examples: Sequence[Example], variants: Sequence[Variant], engine: Engine,
            retriever: Searcher, sampling: Sampling, passages: int, out: Path,
            index_sha256: str = "", sentences: int = 0) -> Iterator[dict[str, Any]]:
    """Answer what the folder of `out` does not hold yet, append it to `out`, and yield every row.

    One line per (question, variant); a line that a crash left unfinished is cut off, a failed
    answer is tried again. Raises UserError where the rows at hand come from another model.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    ledger.cut_unfinished(out)
    setups = {v.key: setup_of(v, sampling, passages, index_sha256, sentences) for v in variants}
    kept = {key: row for key, row in gather(out, examples, setups).items() if not row["error"]}
    makers = {row["variant"]: _maker(row) for row in kept.values()}
    yield from kept.values()
    for example in examples:
        missing = [v for v in variants if (example.id, v.key) not in kept]
        if not missing:
            continue
        events = stream_answers(example.question, missing, engine, retriever, sampling, passages)
        for answer in answer_all(events, missing).values():
            row = _row(example, answer, setups[answer.variant])
            if row["done"] and makers.setdefault(answer.variant, _maker(row)) != _maker(row):
                raise UserError(f"The answers of {answer.variant} in {out.parent.name}/ were made by another model.",
                                f"Choose another name, or remove {out.parent}.")
            ledger.append(out, row)
            yield row


def setup_of(variant: Variant, sampling: Sampling, passages: int, index_sha256: str, sentences: int = 0) -> str:
    """Hash of all that an answer of this variant depends on, besides the question and the model."""
    about: list[Any] = [prompts_hash(), asdict(sampling)]
    return canonical_hash([*about, passages, index_sha256, sentences] if variant.retrieves else about)


def prompts_hash() -> str:
    """Hash of the prompt around a question: without passages, with whole ones, with excerpts."""
    whole = Passage("document#1", "Text. More.", "document", "Title", "Heading")
    read = replace(whole, excerpt="Text.")
    return canonical_hash([prompts.text(prompts.build("Question?", given)) for given in ((), (whole,), (read,))])


def gather(out: Path, examples: Sequence[Example], setups: dict[str, str]) -> Rows:
    """The rows of all answer files beside `out` that belong to these examples and setups, by key; of
    two the answer that did not fail, else the later one."""
    questions = {e.id: e.question for e in examples}
    found: Rows = {}
    for path in sorted({out, *out.parent.glob("answers*.jsonl")}):
        for row in _read(path):
            key = row["id"], row["variant"]
            current = row["question"] == questions.get(row["id"]) and row.get("setup") == setups.get(row["variant"])
            if current and (not row["error"] or found.get(key, row)["error"]):
                found[key] = row
    return found


def _row(example: Example, answer: Answer, setup: str) -> dict[str, Any]:
    return {"id": example.id, "variant": answer.variant, "setup": setup, "question": example.question,
            "text": answer.text, "error": answer.error, "passages": [asdict(p) for p in answer.passages],
            "done": asdict(answer.done) if answer.done else None}


def _maker(row: dict[str, Any]) -> tuple[str, str]:
    identity = row["done"]["identity"]
    return identity["sha256"], identity["adapter_sha256"]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(ledger.whole_lines(path), 1):
        try:
            row = parse_json(line, finite=True)
            _ = row["id"], row["variant"], row["question"], row["error"], row["done"], row["passages"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"Line {number} of {path.name} is damaged.", f"Remove that line from {path}.") from None
        yield row
