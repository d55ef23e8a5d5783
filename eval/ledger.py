"""An append-only JSONL file that a run writes row by row and resumes from."""

from __future__ import annotations

import json
from pathlib import Path

from space.json_text import parse_json


def read(path: Path) -> list[dict]:
    """The rows of the file, none where it does not exist yet; its folder is made. A line that a
    crash left unfinished is cut off the file, so that the next `append` begins a new one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return []
    cut_unfinished(path)
    return [parse_json(line) for line in whole_lines(path)]


def cut_unfinished(path: Path) -> None:
    """Cut a file, where it exists, behind its last whole line."""
    data = path.read_bytes() if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def whole_lines(path: Path) -> list[str]:
    """The finished lines of a file. Lines end in \\n alone: a text may hold other separators."""
    data = path.read_bytes() if path.exists() else b""
    return [line.decode("utf-8", "replace") for line in data[:data.rfind(b"\n") + 1].split(b"\n")[:-1]]


def append(path: Path, row: dict) -> None:
    """Write one row behind the others."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
