"""The settings a visitor may change for a question, with the bounds that the server holds to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from space.errors import UserError
from space.schema import Sampling
from space.settings import load_settings

BOUNDS = {"temperature": (0.0, 1.5), "max_tokens": (16, 400), "passages": (1, 5), "seed": (0, 2**31 - 1)}
"""Least and greatest value of each option."""
NAMES = {"temperature": "temperature", "max_tokens": "answer length", "passages": "number of passages",
         "seed": "seed"}


@dataclass(frozen=True)
class Options:
    """`max_tokens` is the longest answer in tokens; `seed` counts only where `temperature` is above 0."""

    temperature: float
    max_tokens: int
    passages: int
    seed: int

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, seed=self.seed, max_tokens=self.max_tokens)


def default_options() -> Options:
    """Greedy, with the length and the number of passages of the settings."""
    settings = load_settings()
    return Options(0.0, min(settings.max_tokens, int(BOUNDS["max_tokens"][1])),
                   min(settings.passages, int(BOUNDS["passages"][1])), Sampling.seed)


def check_options(temperature: object = None, max_tokens: object = None, passages: object = None,
                  seed: object = None) -> Options:
    """Options from values that came from outside; None or "" stands for the default.

    Raises UserError for anything that is not a number inside its bounds.
    """
    default = default_options()
    given = {"temperature": temperature, "max_tokens": max_tokens, "passages": passages, "seed": seed}
    values = {name: _number(name, value) for name, value in given.items() if value is not None and value != ""}
    return replace(default, **values)


def _number(name: str, value: object) -> Any:
    low, high = BOUNDS[name]
    whole = name != "temperature"
    hint = f"Choose {'a whole number' if whole else 'a number'} from {low} to {high}."
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 20:
            raise ValueError
        number = float(value)
        if not math.isfinite(number) or not low <= number <= high or (whole and number != int(number)):
            raise ValueError
    except (ValueError, OverflowError):
        raise UserError(f"The {NAMES[name]} {str(value)[:20]!r} is not possible.", hint) from None
    return int(number) if whole else round(number, 2)
