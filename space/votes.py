"""Votes of the blind test: kept in a local file, shared through a Hub dataset where one is configured, and counted.

With HF_TOKEN (write access) and VOTES_DATASET (`name/dataset`) set, huggingface_hub's CommitScheduler commits the
file every few minutes and the votes of earlier starts are fetched. A vote holds the day, the columns and the files
that answered, and the id of the question where it is a shipped one. It holds nothing about the person, and no
question that somebody typed.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from space.comparison import Comparison
from space.errors import UserError
from space.json_text import parse_json
from space.schema import CHAT_VARIANTS
from space.settings import load_settings

log = logging.getLogger(__name__)
TIE = "tie"
SCHEMA = 1
EVERY_MINUTES = 5.0
IN_REPOSITORY = "votes"
_Z = 1.959964  # 95 %


@dataclass(frozen=True)
class Vote:
    """`choice` is a variant's key or "tie"; `models` names, by variant, the hashes of the files that answered
    (first 12 digits, the adapter's behind a plus sign); `question` is the id of a shipped question, else ""."""

    day: str
    choice: str
    order: tuple[str, ...]
    models: dict[str, str]
    question: str = ""
    recorded: bool = False
    schema: int = SCHEMA


@dataclass(frozen=True)
class Share:
    """How often a choice was made: `count` of `total` votes, with Wilson's 95 % interval of the share."""

    choice: str
    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.total


def record(comparison: Comparison, choice: str) -> None:
    """Keep a vote. Raises UserError where it cannot be written."""
    models = {key: _files(comparison, key) for key in comparison.order}
    vote = Vote(datetime.now(UTC).date().isoformat(), choice, comparison.order, models,
                comparison.example.id if comparison.example else "", comparison.source is not None)
    line = json.dumps(asdict(vote), allow_nan=False) + "\n"
    try:
        store = _store(load_settings().votes)
        with store.lock, store.file.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        log.warning("a vote was not kept: %s", error)
        raise UserError("Your vote could not be kept.", "The folder of the votes cannot be written.") from error


def _files(comparison: Comparison, key: str) -> str:
    done = comparison.columns[key].answer.done
    if not done:
        return ""
    adapter = done.identity.adapter_sha256[:12]
    return done.identity.sha256[:12] + (f"+{adapter}" if adapter else "")


def tally(folder: Path | None = None) -> tuple[Share, ...]:
    """The choices with their shares: the variants in the order of the columns, then the ties; () without votes."""
    chosen = [vote.choice for vote in read(folder or load_settings().votes)]
    total = len(chosen)
    if not total:
        return ()
    counts = {key: chosen.count(key) for key in (*(v.key for v in CHAT_VARIANTS), TIE)}
    return tuple(Share(key, count, total, *wilson(count, total)) for key, count in counts.items())


def read(folder: Path) -> Iterator[Vote]:
    """All votes that are readable: the own file's and those fetched from the dataset; a file that is in both
    places is read once."""
    files = {path.name: path for place in (folder / "hub" / IN_REPOSITORY, folder)
             for path in sorted(place.glob("votes-*.jsonl"))}
    for path in files.values():
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        yield from filter(None, map(_vote, lines))


def _vote(line: str) -> Vote | None:
    """A line as a vote; None for one that was cut, changed or written by a newer version."""
    try:
        row = parse_json(line)
        vote = Vote(**row | {"order": tuple(row["order"])})
    except (ValueError, TypeError, KeyError):
        return None
    return vote if vote.schema == SCHEMA and vote.choice in (*vote.order, TIE) else None


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), 95 %; `total` is at least 1."""
    share, square = count / total, _Z * _Z / total
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class _Store:
    """Where this process writes, under a name of its own, as another start may have written before; and the lock
    that keeps a commit from reading half a line."""

    file: Path
    lock: Any


@cache
def _store(folder: Path) -> _Store:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"votes-{uuid.uuid4().hex[:12]}.jsonl"
    scheduler = _scheduler(folder)
    return _Store(file, scheduler.lock if scheduler else threading.Lock())


@cache
def _scheduler(folder: Path) -> Any:
    """What commits the folder now and then; None where no dataset is configured or the Hub does not answer."""
    dataset, token = load_settings().votes_dataset, os.environ.get("HF_TOKEN", "")
    if not dataset or not token:
        return None
    from huggingface_hub import CommitScheduler

    try:
        return CommitScheduler(repo_id=dataset, repo_type="dataset", folder_path=folder, path_in_repo=IN_REPOSITORY,
                               every=EVERY_MINUTES, private=True, token=token, allow_patterns="votes-*.jsonl")
    except Exception as error:
        log.warning("votes stay on this machine, the dataset %s cannot be used: %s", dataset, error)
        return None


def start(folder: Path | None = None) -> None:
    """Open the dataset, if one is configured, and fetch the votes of earlier starts; slow, for a background thread."""
    folder = folder or load_settings().votes
    dataset, token = load_settings().votes_dataset, os.environ.get("HF_TOKEN", "")
    if not dataset or not token:
        return
    from huggingface_hub import snapshot_download

    try:
        _store(folder)
        snapshot_download(dataset, repo_type="dataset", token=token, local_dir=folder / "hub",
                          allow_patterns=f"{IN_REPOSITORY}/votes-*.jsonl")
    except Exception as error:
        log.warning("the votes in %s cannot be fetched, only those since this start are counted: %s", dataset, error)
