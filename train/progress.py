"""A line on the terminal that says how far a run is and when it will end."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

WINDOW = 20
"""The time that remains is told from the last this many steps."""
QUIET_S = 30.0
"""Seconds between two lines where the output is no terminal."""


class Progress:
    """`show` at each step; the estimate leaves evaluations and checkpoints out where it can."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out if out is not None else sys.stderr
        self._clock = clock
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._last = self._shown = clock()

    def show(self, step: int, steps: int, loss: float, tokens_per_s: float | None) -> None:
        """Write the line, in place on a terminal, else every QUIET_S and at the end."""
        now = self._clock()
        self._seconds.append(now - self._last)
        self._last = now
        terminal = self._out.isatty()
        if not terminal and step < steps and now - self._shown < QUIET_S:
            return
        self._shown = now
        speed = f"  {tokens_per_s:,.0f} tokens/s" if tokens_per_s else ""
        filled = round(20 * step / steps) if steps else 20
        line = (f"[{'#' * filled}{'.' * (20 - filled)}] step {step}/{steps}  loss {loss:.3f}{speed}"
                f"  ends in {self.remaining(steps - step)}")
        self._out.write(f"\r{line}\x1b[K" if terminal else line + "\n")
        if terminal and step == steps:
            self._out.write("\n")
        self._out.flush()

    def remaining(self, steps: int) -> str:
        """The time that so many steps will take, in words: by the median, which one evaluation or
        checkpoint among the steps does not move."""
        if not self._seconds:
            return "?"
        seconds = sorted(self._seconds)[len(self._seconds) // 2] * steps
        minutes, hours = seconds / 60, seconds / 3600
        return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
