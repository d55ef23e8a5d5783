"""Files that are there whole or not at all, and the log of a run that goes on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from space.files import write_whole


def write_json(path: Path, value: Any) -> None:
    """Write JSON, replacing the file whole; NaN is an error."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


class StepLog:
    """log.jsonl: one JSON object a line, each with its `step`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, step: int) -> dict[str, Any]:
        """Keep the whole lines up to `step`, and drop those that a resumed run will write again.
        Returns the last line kept ({} where there is none)."""
        kept = [line for line in self.read() if line["step"] <= step]
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        return kept[-1] if kept else {}

    def read(self) -> list[dict[str, Any]]:
        """The whole lines; one that a killed process left unfinished is left out."""
        data = self.path.read_bytes() if self.path.exists() else b""
        return [json.loads(line) for line in data[:data.rfind(b"\n") + 1].splitlines()]

    def append(self, line: dict[str, Any]) -> None:
        """Write one line behind the others; NaN is an error."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
