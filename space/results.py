"""Results of evaluations: what a run's two files hold, read and checked.

`assets/results/<run>/run.json` is an EvalRun, `samples.jsonl` has an EvalRecord a line. Both are
written by `python -m eval.run --part heldout --name <run>`. A file that was changed, cut or written
by a newer version is refused with a sentence; a folder made elsewhere only has to be put there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.json_text import parse_json
from space.schema import AnswerDone, Evidence, ModelIdentity, Passage, Sampling
from space.settings import Settings
from space.shapes import check_shape

SCHEMA = 2
RESULTS = Settings.results
ENOUGH = 0.9
"""Share of rows that must be scored before a mean is a headline."""
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda row: row | {"schema": 2}}
"""For each older schema, what turns its run.json into that of the next one. 1 had no verdicts in its samples."""


@dataclass(frozen=True)
class Metric:
    """What a number means. `better` is higher | lower | "" (says nothing about quality); `gated`
    metrics do not depend on the machine, so a run can be held to another's."""

    key: str
    label: str
    better: str
    unit: str = ""
    gated: bool = True


@dataclass(frozen=True)
class Mean:
    """A metric of a variant: the mean over the `scored` of the `expected` rows that it applies to,
    with a 95 % interval (None: too few documents)."""

    metric: str
    variant: str
    mean: float | None
    low: float | None
    high: float | None
    expected: int
    scored: int
    failed: int
    documents: int

    @property
    def withheld(self) -> bool:
        """Too many rows are unscored for the mean to stand as a headline."""
        return self.scored < ENOUGH * self.expected


@dataclass(frozen=True)
class Comparison:
    """Variant `a` minus variant `b`, paired by question. `wins` counts the questions where `a` is
    better; `p_holm` is corrected over the pairs of this metric; `shown` says whether there is a
    difference at all."""

    metric: str
    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int
    questions: int
    shown: bool


@dataclass(frozen=True)
class Verdict:
    """What a judge made of one claim of an answer, or of one question that it read out of the answer: 1 is
    in favour, 0 against, and a judge that is not sure says something between."""

    claim: str
    verdict: float
    reason: str = ""


@dataclass(frozen=True)
class EvalRecord:
    """One answer and its scores. A metric that applies to the row is in exactly one of `scores` and
    `unscored` (with the reason); one that does not apply is in neither. `verdicts` holds, for each metric
    of a judge, what its score was made from."""

    id: str
    variant: str
    document: str
    kind: str
    question: str
    reference: str
    evidence: tuple[Evidence, ...]
    key_facts: tuple[str, ...]
    text: str
    passages: tuple[Passage, ...]
    done: AnswerDone | None
    error: str
    scores: dict[str, float]
    unscored: dict[str, str]
    verdicts: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if both := self.scores.keys() & self.unscored.keys():
            raise ValueError(f"{sorted(both)} cannot be both scored and unscored")


@dataclass(frozen=True)
class EvalRun:
    """Everything needed to audit a run: what was asked of what, with which files and settings. `sentences_read` of the
    `passages` found are read (0: the passages whole)."""

    name: str
    created_utc: str
    part: str
    questions: int
    variants: tuple[str, ...]
    profile: str
    models: dict[str, ModelIdentity]
    sampling: Sampling
    passages: int
    dataset_sha256: str
    prompts_sha256: str
    corpus_sha256: str
    index_sha256: str
    embedder_sha256: str
    judge: dict[str, Any]
    git_revision: str
    git_dirty: bool | None
    packages: dict[str, str]
    machine: str
    metrics: tuple[Metric, ...]
    means: tuple[Mean, ...]
    comparisons: tuple[Comparison, ...]
    sentences: dict[str, str]
    samples_sha256: str
    schema: int = SCHEMA
    sentences_read: int = 0


def canonical_hash(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys and of spaces."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_run(folder: Path) -> EvalRun:
    """The run.json of a results folder, under the folder's name.

    Raises UserError where it is missing, unreadable, changed, or of a schema that is not known.
    """
    try:
        row = parse_json((folder / "run.json").read_text(encoding="utf-8"), finite=True)
        schema, stated = row["schema"], row.pop("run_sha256")
    except FileNotFoundError:
        raise UserError(f"There is no evaluation run {folder.name}.",
                        f"Make it with `python -m eval.run --part heldout --name {folder.name}`.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"run.json of {folder.name} is unreadable.", _again(folder)) from error
    if not isinstance(schema, int) or schema > SCHEMA:
        raise UserError(f"The run {folder.name} has format {schema!r}; this version reads up to {SCHEMA}.",
                        "Update this repository.")
    if stated != canonical_hash(row):
        raise UserError(f"run.json of {folder.name} was changed after the run.", _again(folder))
    while schema < SCHEMA:
        if schema not in UPGRADES:
            raise UserError(f"The run {folder.name} has format {schema}, which is no longer read.", _again(folder))
        row = UPGRADES[schema](row)
        schema = row["schema"]
    try:
        run = check_shape(_run(row))
        datetime.fromisoformat(run.created_utc)  # ValueError where it is no time
        return replace(run, name=folder.name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"run.json of {folder.name} lacks something or has too much.", _again(folder)) from error


def read_samples(folder: Path, run: EvalRun) -> tuple[EvalRecord, ...]:
    """The rows of a run, in the order of questions and variants. Raises UserError where the file is
    missing or not the one that `run` was made from."""
    try:
        data = (folder / "samples.jsonl").read_bytes()
    except OSError:
        raise UserError(f"samples.jsonl of {folder.name} is missing.", _again(folder)) from None
    if hashlib.sha256(data).hexdigest() != run.samples_sha256:
        raise UserError(f"samples.jsonl of {folder.name} was changed after the run.", _again(folder))
    try:
        return tuple(check_shape(_record(parse_json(line, finite=True))) for line in data.decode().split("\n") if line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"samples.jsonl of {folder.name} is unreadable.", _again(folder)) from error


def list_runs(results: Path = RESULTS) -> tuple[list[EvalRun], list[str]]:
    """The readable runs, newest first, and a sentence for each folder that is not one."""
    runs, problems = [], []
    for path in sorted(results.glob("*/run.json")):
        try:
            runs.append(read_run(path.parent))
        except UserError as error:
            problems.append(str(error))
    return sorted(runs, key=lambda r: r.created_utc, reverse=True), problems


def _again(folder: Path) -> str:
    return f"Make it again with `python -m eval.run --name {folder.name}`, or remove the folder."


def _run(row: dict[str, Any]) -> EvalRun:
    return EvalRun(**row | {
        "variants": tuple(row["variants"]),
        "models": {key: ModelIdentity(**value) for key, value in row["models"].items()},
        "sampling": Sampling(**row["sampling"]),
        "metrics": tuple(Metric(**m) for m in row["metrics"]),
        "means": tuple(Mean(**m) for m in row["means"]),
        "comparisons": tuple(Comparison(**c) for c in row["comparisons"]),
    })


def _record(row: dict[str, Any]) -> EvalRecord:
    row = {"verdicts": {}} | row
    if row.keys() != {f.name for f in fields(EvalRecord)}:
        raise KeyError("fields")
    return EvalRecord(**row | {
        "evidence": tuple(Evidence(**e) for e in row["evidence"]),
        "key_facts": tuple(row["key_facts"]),
        "passages": tuple(Passage(**p) for p in row["passages"]),
        "done": answer_done(row["done"]),
        "verdicts": {metric: tuple(Verdict(**v) for v in said) for metric, said in row["verdicts"].items()},
    })


def answer_done(row: dict[str, Any] | None) -> AnswerDone | None:
    """An AnswerDone from its JSON form."""
    return AnswerDone(**row | {"identity": ModelIdentity(**row["identity"])}) if row else None
