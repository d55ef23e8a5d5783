"""Recorded answers: what an evaluation run in the results folder holds for a question.

They are shown at once, with the day and the file they come from, and only for the settings they were made
with. Without runs there is nothing recorded, and every question is answered live.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from space import examples, parts
from space.comparison import Column, Comparison, Source
from space.errors import UserError
from space.options import Options, default_options
from space.results import EvalRecord, EvalRun, list_runs, read_samples
from space.schema import CHAT_VARIANTS, Answer, Sampling
from space.settings import ROOT, load_settings

KEYS = tuple(v.key for v in CHAT_VARIANTS)


@dataclass(frozen=True)
class Recording:
    """The recorded answers of one question, by variant."""

    source: Source
    sampling: Sampling
    passages: int
    answers: dict[str, Answer]

    def fits(self, options: Options) -> bool:
        """Whether these answers were made with such settings; the seed matters only above temperature 0."""
        asked = options.sampling
        return (self.passages == options.passages and self.sampling.max_tokens == asked.max_tokens
                and self.sampling.temperature == asked.temperature
                and (asked.temperature == 0 or self.sampling.seed == asked.seed))


def find(question: str, options: Options, results: Path | None = None) -> Comparison | None:
    """The recorded comparison of a question, from the newest run that has all three columns."""
    example = examples.find(question)
    if example is None:
        return None
    for recording in _recordings(results or load_settings().results).get(example.id, ()):
        if recording.fits(options):
            columns = {key: Column(recording.answers[key], recording.sampling, recording.source) for key in KEYS}
            return Comparison(example.question, options, KEYS, columns, example=example)
    return None


def first(results: Path | None = None) -> Comparison | None:
    """The recorded comparison that greets a visitor: that of the first example which has one."""
    for group in examples.groups().values():
        for example in group:
            if comparison := find(example.question, default_options(), results):
                return comparison
    return None


def _recordings(results: Path) -> dict[str, tuple[Recording, ...]]:
    stamps = tuple((str(p), p.stat().st_mtime_ns) for p in sorted(results.glob("*/run.json")))
    return _read(results, load_settings().profile, stamps) if stamps and not parts.own_corpus() else {}


@lru_cache(maxsize=2)
def _read(results: Path, profile: str, stamps: tuple[tuple[str, int], ...]) -> dict[str, tuple[Recording, ...]]:
    """All recordings by the question's id, newest first; `stamps` make this read again when a file changes."""
    found: dict[str, tuple[Recording, ...]] = {}
    for run in list_runs(results)[0]:
        if run.profile != profile or not set(KEYS) <= set(run.variants):
            continue
        try:
            records = read_samples(results / run.name, run)
        except UserError:
            continue
        rows: dict[str, dict[str, EvalRecord]] = {}
        for record in records:
            rows.setdefault(record.id, {})[record.variant] = record
        for id_, by_variant in rows.items():
            if set(KEYS) <= by_variant.keys():
                found[id_] = (*found.get(id_, ()), _recording(results, run, by_variant))
    return found


def _recording(results: Path, run: EvalRun, rows: dict[str, EvalRecord]) -> Recording:
    path = results / run.name / "samples.jsonl"
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else f"{run.name}/{path.name}"
    day = datetime.fromisoformat(run.created_utc).strftime("%-d %B %Y")
    return Recording(Source(run.name, day, name), run.sampling, run.passages,
                     {key: _answer(rows[key]) for key in KEYS})


def _answer(record: EvalRecord) -> Answer:
    done = record.done
    return Answer(record.variant, record.text, record.passages, "failed" if record.error or not done else "done",
                  prompt_tokens=done.prompt_tokens if done else 0, done=done, error=record.error)
