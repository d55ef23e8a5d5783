"""How much one visitor, one address and everyone together may have under way, and the refusal beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from space.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Questions at the models of a session (one running, one waiting), of an address (several people
    can sit behind one) and of everyone; events of Gradio beyond these, of a session and, twice as many,
    of an address and of everyone; other events of an address, such as searches, that wait or run; event calls of an
    address a second; open streams."""

    per_session: int = 2
    per_address: int = 4
    everyone: int = 12
    spare: int = 2
    others_per_address: int = 24
    calls_per_s: float = 10.0
    calls_at_once: float = 40.0
    streams_per_address: int = 40
    streams: int = 400

    @property
    def events(self) -> int:
        """Events of everyone that may ask and are let in; Gradio runs them all at once, so that none waits where
        neither its deadline nor a listener who left is seen."""
        return self.everyone + 2 * self.spare


class Busy(UserError):
    """A refusal that passes: try again after `retry_s` seconds."""

    def __init__(self, message: str, retry_s: float) -> None:
        self.retry_s = max(1, round(retry_s))
        unit = f"{self.retry_s} second{'' if self.retry_s == 1 else 's'}"
        super().__init__(message, f"Please try again in about {unit}.")
