"""Checkpoints that are whole or do not count.

The trainer writes a checkpoint file by file, so a process that is killed leaves a part of one. A seal,
written last, lists the files with their sizes: a folder without its seal, or whose files differ from
it, is not a checkpoint.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from space.json_text import parse_json
from train.files import write_json

SEAL = "sealed.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def seal(checkpoint: Path) -> None:
    """Declare the folder whole as it is now."""
    files = {p.relative_to(checkpoint).as_posix(): p.stat().st_size
             for p in sorted(checkpoint.rglob("*")) if p.is_file() and p.name != SEAL}
    write_json(checkpoint / SEAL, {"files": files})


def is_whole(checkpoint: Path) -> bool:
    """Whether the folder holds every file of its seal in full."""
    try:
        files = parse_json((checkpoint / SEAL).read_text(encoding="utf-8"))["files"]
        return all((checkpoint / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def step_of(checkpoint: Path) -> int:
    """The optimizer step that the folder's name states; -1 for a folder that is no checkpoint."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def last_whole(folder: Path) -> Path | None:
    """The whole checkpoint with the highest step."""
    found = [p for p in folder.glob("checkpoint-*") if step_of(p) >= 0 and is_whole(p)]
    return max(found, key=step_of, default=None)


def remove_broken(folder: Path) -> list[Path]:
    """Remove what a killed or failed run left half written; returns those folders."""
    broken = [p for p in folder.glob("checkpoint-*") if not is_whole(p)]
    for path in broken:
        shutil.rmtree(path)
    return broken
