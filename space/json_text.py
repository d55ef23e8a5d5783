"""JSON from outside: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parse_json(text: str | bytes, finite: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError also for nesting without end, and with `finite` for NaN and
    infinities."""
    try:
        return json.loads(text, parse_constant=_refuse_constant if finite else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
