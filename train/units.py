"""Synthesis in small units: what is to be done, and the file that remembers what was done.

A unit is a few neighbouring passages of one document and the number of questions asked of them. Its
rows go to the raw file together with a closing line; only a closed unit counts, so a run that was
killed anywhere goes on with the first unit that has no closing line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from space.chat_client import Usage
from space.corpus import Document, passages
from space.errors import UserError
from space.schema import Evidence, Example, Passage

UNIT_PASSAGES = 6
"""Passages a unit has at most: enough neighbours for multi-hop questions, little to lose."""
MIN_QUESTIONS = 3
"""Reading a unit's passages costs more than a question; a unit is not begun for fewer than this."""
MAX_PER_PASSAGE = 4


@dataclass(frozen=True)
class Unit:
    """`key` names it for ever; its rows are numbered `first`, `first` + 1, … within the document."""

    key: str
    document: str
    passages: tuple[Passage, ...]
    questions: int
    first: int

    def row_id(self, n: int) -> str:
        return f"{self.document}-s{self.first + n:02d}"


@dataclass(frozen=True)
class Written:
    """A question as its generator wrote it, ready as a row, and how it was asked for."""

    row: Example
    made_by: str


class UnitFailed(Exception):
    """A unit could not be done; the sentence says why. It is left for the next run."""


def plan(documents: Sequence[Document], size: int) -> list[Unit]:
    """Units that ask for `size` questions in all, spread evenly over the corpus; the same corpus and
    size give the same plan. Where the corpus is too small, as many as it has room for."""
    blocks = [(d.id, block) for d in documents for block in _blocks(passages(d))]
    room = sum(len(block) for _, block in blocks) * MAX_PER_PASSAGE
    size = min(size, room)
    count = max(1, min(len(blocks), size // MIN_QUESTIONS))
    if size / max(len(blocks), 1) < MIN_QUESTIONS:
        blocks = [blocks[i * len(blocks) // count] for i in range(count)]
    total = sum(len(block) for _, block in blocks)
    units: list[Unit] = []
    seen = asked = 0
    for document, block in blocks:
        seen += len(block)
        share = round(size * seen / total) - asked
        mine = [u for u in units if u.document == document]
        units.append(Unit(f"{document}/{block[0].id.rpartition('#')[2]}", document, tuple(block), share,
                          first=1 + sum(u.questions for u in mine)))
        asked += share
    return [u for u in units if u.questions]


def _blocks(found: Sequence[Passage]) -> Iterator[Sequence[Passage]]:
    """Neighbours together, in balanced blocks of at most UNIT_PASSAGES."""
    count = -(-len(found) // UNIT_PASSAGES)
    for i in range(count):
        yield found[i * len(found) // count:(i + 1) * len(found) // count]


@dataclass
class Ledger:
    """The raw file: a line of settings, then for each unit its rows and a closing line.

    `done` maps closed units to their rows, `spent` sums what all units took, failed ones too.
    """

    path: Path
    settings: dict[str, Any]
    done: dict[str, list[Example]] = field(default_factory=dict)
    spent: Usage = field(default_factory=Usage)

    def open(self) -> None:
        """Read what is there and cut off what was not closed. Raises UserError where the file was
        begun with other settings."""
        if not self.path.exists() or not self._read():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(_line({"settings": self.settings}), encoding="utf-8")

    def close_unit(self, unit: Unit, written: Sequence[Written], usage: Usage) -> None:
        """Append a finished unit in one write."""
        lines = [_line({**row_fields(w.row), "unit": unit.key, "made_by": w.made_by}) for w in written]
        self._append("".join(lines) + _line({"closed": unit.key, "rows": len(written), **asdict(usage)}))
        self.done[unit.key] = [w.row for w in written]
        self.spent += usage

    def fail_unit(self, unit: Unit, reason: str, usage: Usage) -> None:
        """Note that a unit failed and what it cost; it stays open."""
        self._append(_line({"failed": unit.key, "reason": reason, **asdict(usage)}))
        self.spent += usage

    def _append(self, text: str) -> None:
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> bool:
        """Fill `done` and `spent`; False where not even the settings were written whole."""
        data = self.path.read_bytes()
        position = whole = 0
        pending: list[Example] = []
        for raw in data.splitlines(keepends=True):
            if not raw.endswith(b"\n"):
                break
            line = self._parse(raw)
            if not position and "settings" not in line:
                raise UserError(f"{self.path.name} was not written by this command.", "Choose another --out.")
            position += len(raw)
            if "question" in line:
                pending = [*pending, _row(line)]
                continue
            if "settings" in line:
                self._compare(line["settings"])
            else:
                self.spent += Usage(*(line[k] for k in asdict(Usage())))
            if "closed" in line:
                self.done[line["closed"]] = pending
            pending, whole = [], position
        if whole != len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        return whole > 0

    def _parse(self, raw: bytes) -> dict[str, Any]:
        try:
            line = json.loads(raw)
            if isinstance(line, dict):
                return line
        except ValueError:
            pass
        raise UserError(f"{self.path.name} is damaged in the middle.", "Move it away and start again.")

    def _compare(self, found: dict[str, Any]) -> None:
        for key, value in self.settings.items():
            if found.get(key) != value:
                raise UserError(f"{self.path.name} was begun with another {key} ({found.get(key)}, not {value}).",
                                "Use the same command as then, or another --out.")


def row_fields(row: Example) -> dict[str, Any]:
    """The row as the product's question files hold it."""
    fields = asdict(row)
    del fields["paraphrase_of"]
    return fields


def _row(line: dict[str, Any]) -> Example:
    return Example(line["id"], line["question"], line["reference"],
                   tuple(Evidence(**e) for e in line["evidence"]), tuple(line["key_facts"]),
                   line["kind"], line["split"])


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
