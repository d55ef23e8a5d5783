"""Runs as the dashboard opens and hands them out: read once, kept while their files stay the same."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from space.errors import UserError
from space.eval_questions import Row, rows
from space.files import write_whole
from space.results import EvalRecord, EvalRun, Metric, read_run, read_samples


@dataclass(frozen=True)
class Opened:
    """A run with its answers; where these cannot be read, none, and `problem` says why."""

    run: EvalRun
    records: tuple[EvalRecord, ...]
    problem: str = ""

    @cached_property
    def rows(self) -> list[Row]:
        """The questions, each with its answers."""
        return rows(self.records)

    def metric(self, key: str) -> Metric | None:
        """The metric of that key, else the run's first."""
        return next((m for m in self.run.metrics if m.key == key), next(iter(self.run.metrics), None))


def open_run(folder: Path) -> Opened:
    """The run of a results folder. Raises UserError where run.json cannot be used."""
    return _open(folder, _stamp(folder / "run.json"), _stamp(folder / "samples.jsonl"))


@lru_cache(maxsize=8)
def _open(folder: Path, _run_stamp: tuple[int, int], _samples_stamp: tuple[int, int]) -> Opened:
    run = read_run(folder)
    try:
        return Opened(run, read_samples(folder, run))
    except UserError as error:
        return Opened(run, (), str(error))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0


def downloads(opened: Opened) -> tuple[Path, Path]:
    """CSV (an answer a line) and JSON (run and answers) of a run, as files in the temporary folder."""
    folder = _folder() / opened.run.samples_sha256[:16]
    folder.mkdir(exist_ok=True)
    whole = {"run": asdict(opened.run), "answers": [asdict(r) for r in opened.records]}
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1)
    table, everything = folder / f"{opened.run.name}.csv", folder / f"{opened.run.name}.json"
    write_whole(table, as_csv(opened.records))
    write_whole(everything, text)
    return table, everything


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="dashboard-"))


def as_csv(records: Sequence[EvalRecord]) -> str:
    """An answer a line: what was asked, what was answered, every score, and why one is missing."""
    metrics = list(dict.fromkeys(key for r in records for key in (*r.scores, *r.unscored)))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "variant", "document", "kind", "question", "reference", "wanted_facts", "answer", "passages",
                     "finish", "error", *metrics, "unscored"])
    for r in records:
        unscored = "; ".join(f"{key}: {reason}" for key, reason in r.unscored.items())
        writer.writerow([*map(inert, [
            r.id, r.variant, r.document, r.kind, r.question, r.reference, "; ".join(r.key_facts), r.text,
            "; ".join(p.id for p in r.passages), r.done.finish if r.done else "", r.error]),
            *(r.scores.get(m, "") for m in metrics), inert(unscored)])
    return text.getvalue()


def inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
