"""A comparison as a link, and a link as what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from space.comparison import Comparison
from space.errors import UserError
from space.follow_up import TURNS
from space.links import page_link
from space.options import NAMES, check_options
from space.questions import clean_question

TAB = "compare"
_BETWEEN = "\n"
"""Stands between the earlier questions of a follow-up; a question is one line."""


@dataclass(frozen=True)
class Asked:
    """What a link asks: a question, the ones it follows up on, and the options by position (None: the default)."""

    question: str
    earlier: tuple[str, ...]
    options: tuple[Any, ...]


def parameters(comparison: Comparison) -> dict[str, str]:
    """What brings a comparison back: its question, settings and seed."""
    values = {name: f"{value:g}" if isinstance(value, float) else str(value)
              for name, value in asdict(comparison.options).items()}
    return {"tab": TAB, "q": comparison.question, "after": _BETWEEN.join(comparison.earlier), **values}


def link(comparison: Comparison, headers: Mapping[str, str]) -> str:
    """The address that opens the comparison again, for the Space or for this machine."""
    return page_link(parameters(comparison), headers)


def read(query: Mapping[str, str]) -> Asked | None:
    """What the parameters of a link ask for; None without a question or where they are another tab's. A setting
    that is not possible is left at its default."""
    question = str(query.get("q", "")).strip()
    if query.get("tab", TAB) != TAB or not question:
        return None
    earlier = []
    for turn in str(query.get("after", "")).split(_BETWEEN)[:TURNS]:
        with suppress(UserError):
            earlier.append(clean_question(turn))
    return Asked(question, tuple(earlier), tuple(_option(name, query.get(name)) for name in NAMES))


def _option(name: str, value: str | None) -> Any:
    if not value:
        return None
    try:
        return getattr(check_options(**{name: value}), name)
    except UserError:
        return None
