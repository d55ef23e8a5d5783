"""Memory: whether a model fits into this machine's, asked before it is loaded, as a machine that swaps answers nobody;
and how freed memory is used again."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

from space.errors import UserError

MARGIN_MB = 250
"""What contexts, adapter and buffers take beside the weights (measured with a 3B model, 4,096 tokens, rank 16)."""


ARENAS = 2
_M_ARENA_MAX = -8  # of glibc's malloc.h


def few_arenas() -> None:
    """Have all threads share ARENAS arenas of glibc's allocator, for a process that serves for weeks: by default there
    are eight for each core, and what a thread frees in one is of no use to those of the others. Elsewhere nothing."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def check_room(path: Path, root: Path = Path("/")) -> None:
    """Raises UserError with both numbers where the weights of `path` and their buffers need more memory
    than is there. `root` is where /proc and /sys lie."""
    available_mb = room_mb(root)
    needed_mb = path.stat().st_size / 1e6 + MARGIN_MB
    if available_mb is not None and needed_mb > available_mb:
        raise UserError(f"{path.name} needs about {needed_mb:,.0f} MB of memory; {available_mb:,.0f} MB are free.",
                        "Use a larger machine, a smaller quantisation, or PROFILE=embedded.")


def room_mb(root: Path = Path("/")) -> float | None:
    """Free memory in MB: what the kernel calls available, within the limit of the container; None where
    neither is known. Pages of files that the container holds count as free, as they can be dropped."""
    found = []
    meminfo = _lines(root / "proc/meminfo")
    if "MemAvailable:" in meminfo:
        found.append(meminfo["MemAvailable:"] * 1024)
    for limit, used, stat, cached in (
            ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat", "file"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes",
             "sys/fs/cgroup/memory/memory.stat", "total_cache")):
        most, now = _number(root / limit), _number(root / used)
        if most is not None and now is not None and most < 1 << 60:
            found.append(most - now + _lines(root / stat).get(cached, 0))
    return min(found) / 1e6 if found else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _lines(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number on each line."""
    found = {}
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1])
    except OSError:
        pass
    return found
