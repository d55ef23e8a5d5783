"""SHA256SUMS of a folder of data, in the form of `sha256sum`: written when the data were made, held to when they are
read. A folder without one, such as a visitor's own corpus, is taken as it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from space.errors import UserError
from space.files import write_whole

NAME = "SHA256SUMS"


def seal(folder: Path, pattern: str) -> None:
    """Write the sums of the folder's files of this pattern."""
    write_whole(folder / NAME, "".join(f"{_sum(path)}  {path.name}\n" for path in sorted(folder.glob(pattern))))


def check(folder: Path, names: Collection[str], fix: str) -> None:
    """Hold these files to the folder's sums, if it has any. Raises UserError, with what to do, for the first
    that differs or is missing, and for one that the sums do not know where they know others of these."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{NAME} of {folder.name}/ cannot be read.", f"Restore it, or run `{fix}`.") from error
    lines = [re.fullmatch(r"([0-9a-f]{64}) [ *]([^/\0]+)", line) for line in text.splitlines()]
    if not all(lines):
        raise UserError(f"{NAME} of {folder.name}/ is damaged.", f"Restore it, or run `{fix}`.")
    known = {line[2]: line[1] for line in lines if line}
    for name in sorted(names):
        if not (folder / name).is_file() or known.get(name) != _sum(folder / name):
            raise UserError(f"{name} is not the file that {NAME} of {folder.name}/ names.",
                            f"Restore it; if it was changed on purpose, run `{fix}`.")


def names(folder: Path) -> set[str]:
    """The files that the folder's sums name; none where there are no sums."""
    path = folder / NAME
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return {line.partition(" ")[2][1:] for line in text.splitlines()}


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
