"""One run, one folder: what was asked, what it was made from, and its log while it goes on.

assets/runs/<name>/
    recipe.toml   the recipe as used
    state.json    key, data, packages, revision, hardware, and whether the run is running, stopped or finished
    log.jsonl     one line for every step (train loss, learning rate, tokens/s, memory) and evaluation
    run.json      the whole of it, when the run has ended
    SHA256SUMS    of these files, when the run has ended: what is shown of it is held to them

The key is a hash of the recipe, the rows and the base. A start with the same key goes on from the last
whole checkpoint; another key is another run, and the files of the earlier one are put aside.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from space import prompts, sums
from space.errors import UserError
from train.config import Recipe
from train.files import StepLog, write_json
from train.progress import Progress
from train.rows import Row

LATER = ("rag_drawn", "changed_share")
"""Recipe keys that are younger than the first shipped run: left out of the key where they say what was always done,
so that runs from before them are still found, finished or half-way."""
FILES = ("recipe.toml", "state.json", "log.jsonl", "run.json", "parity.json", sums.NAME)


def key_of(recipe: Recipe, rows: Sequence[Sequence[Row]], base_sha256: str) -> str:
    """Sixteen hex digits that another recipe, other rows or another base would change. The note and the
    number of tokenising processes do not count: they change no number of the run."""
    usual = {f.name: f.default for f in fields(Recipe)}
    values = {k: v for k, v in asdict(recipe).items()
              if k not in ("note", "num_proc") and not (k in LATER and v == usual[k])}
    text = json.dumps([values, rows_hash(rows), base_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rows_hash(rows: Sequence[Sequence[Row]]) -> str:
    """SHA-256 of the very texts that are trained on and measured on."""
    texts = [[(row.example_id, prompts.text(row.prompt), row.answer) for row in part] for part in rows]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def recipe_toml(recipe: Recipe) -> str:
    """The recipe with every value that was used, those left at their defaults too."""
    def write(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)

    return "".join(f"{key} = {write(value)}\n" for key, value in asdict(recipe).items())


class RunFolder:
    """The folder of a run that goes on. Times and steps continue over stops."""

    def __init__(self, folder: Path, key: str, aside: Path) -> None:
        self.folder, self.key, self._aside = folder, key, aside
        self.log = StepLog(folder / "log.jsonl")
        self._progress = Progress()
        self._state: dict[str, Any] = {}
        self._before_s, self._started = 0.0, time.monotonic()

    def start(self, recipe: Recipe, facts: dict[str, Any], step: int) -> None:
        """Begin, or go on behind `step`, the step of the last whole checkpoint (0: from the start)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._read_state().get("key") != self.key:
            self._put_aside()
        (self.folder / sums.NAME).unlink(missing_ok=True)
        last = self.log.begin(step)
        self._before_s, self._started = last.get("elapsed_s", 0.0), time.monotonic()
        starts = [*self._read_state().get("starts", []), {"utc": _utc(), "from_step": step}]
        self._state = {"schema": 1, "key": self.key, "status": "running", **facts, "starts": starts}
        _replace_text(self.folder / "recipe.toml", recipe_toml(recipe))
        write_json(self.folder / "state.json", self._state)

    def finished(self) -> dict[str, Any]:
        """The record of a run of this key that has ended well; {} where there is none."""
        state = self._read_state()
        if state.get("key") != self.key or state.get("status") != "finished":
            return {}
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    def report(self, line: dict[str, Any]) -> None:
        """Put a line of the trainer into the log, and on the terminal."""
        self.log.append({**line, "elapsed_s": round(self.elapsed_s, 1)})
        if "loss" in line:
            self._progress.show(line["step"], line["steps"], line["loss"], line.get("tokens_per_s"))

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, those before earlier stops too, as far as their steps were kept."""
        return self._before_s + time.monotonic() - self._started

    def stop(self, sentence: str) -> None:
        """Note why the run ended early; where even that cannot be written, the sentence is shown anyway."""
        try:
            write_json(self.folder / "state.json", {**self._state, "status": "stopped", "reason": sentence})
        except OSError:
            (self.folder / "state.json.part").unlink(missing_ok=True)

    def finish(self, record: dict[str, Any]) -> None:
        """Write run.json and say that the run is finished."""
        write_json(self.folder / "run.json", record)
        write_json(self.folder / "state.json", {**self._state, "status": "finished"})
        seal(self.folder)

    def speed(self) -> dict[str, float]:
        """Tokens a second over all steps, and the peak memory, from the log."""
        steps = [line for line in self.log.read() if line.get("tokens_per_s")]
        if not steps:
            return {}
        return {"tokens_per_s": round(sorted(line["tokens_per_s"] for line in steps)[len(steps) // 2], 1),
                "memory_mb": max(line["memory_mb"] for line in steps)}

    def _read_state(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _put_aside(self) -> None:
        found = [self.folder / name for name in FILES if (self.folder / name).exists()]
        if found:
            target = self._aside / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            target.mkdir(parents=True, exist_ok=True)
            for path in found:
                shutil.move(path, target / path.name)


def seal(folder: Path) -> None:
    """Write the sums of a finished run's files."""
    sums.seal(folder, "*.*")


def lock(path: Path) -> Callable[[], None]:
    """Hold the file against a second start of the same run; returns what lets it go. It is let go of by
    itself when the process dies. Raises UserError where another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows has none; a second start is then not noticed
        return lambda: None
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError("This run is going on in another process.",
                        "Wait for it, or stop that process first.") from None
    return file.close


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _replace_text(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
