"""The last long try at the Hub that failed, good for a few seconds: one question asks for the same file once a column,
and huggingface_hub takes about half a minute to give an unreachable Hub up."""

from __future__ import annotations

import time

from space.errors import UserError

LONG_S = 5.0
"""A try that failed sooner may be repeated at once."""
TROUBLE_S = 3.0


class Trouble:
    """What failed last, and when."""

    def __init__(self) -> None:
        self._last: tuple[str, float, UserError] | None = None

    def check(self, reference: str) -> float:
        """When a try begins that begins now. Raises the error where this very reference failed a moment ago."""
        now = time.monotonic()
        if self._last and self._last[0] == reference and now - self._last[1] < TROUBLE_S:
            raise self._last[2]
        return now

    def keep(self, reference: str, began: float, error: UserError) -> UserError:
        """Remember the error of a long try, and hand it back to be raised."""
        now = time.monotonic()
        if now - began >= LONG_S:
            self._last = (reference, now, error)
        return error


LAST = Trouble()
"""Of this process."""
