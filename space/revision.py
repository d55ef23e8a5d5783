"""Which revision of this repository made a result."""

from __future__ import annotations

import subprocess
from pathlib import Path

from space.settings import ROOT


def git_state(*left_out: str) -> tuple[str, bool | None]:
    """The git revision of this repository and whether files differ from it, those under the paths
    `left_out` aside; ("", None) where there is no git or no repository of our own."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return "", None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", ".",
                                                  *(f":(exclude){path}" for path in left_out)))
    except (OSError, subprocess.SubprocessError):
        return "", None
