"""Whose turn it is to compute: several with a part of the cores each, or one with all of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Cores:
    """Turns in the order in which they were asked for; those that take a part go on side by side."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._waiting: deque[object] = deque()
        self._running = 0
        self._whole = False

    @contextmanager
    def turn(self, whole: bool) -> Iterator[None]:
        """Wait for the turn, and keep it for the block; nobody else has one meanwhile if it is `whole`."""
        ticket = object()
        with self._wake:
            self._waiting.append(ticket)
            self._wake.wait_for(lambda: self._waiting[0] is ticket and not self._whole
                                and not (whole and self._running))
            self._waiting.popleft()
            self._running, self._whole = self._running + 1, whole
            self._wake.notify_all()
        try:
            yield
        finally:
            with self._wake:
                self._running, self._whole = self._running - 1, False
                self._wake.notify_all()
