"""Whether a dataclass read from outside holds what its annotations say."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


def check_shape(value: Value) -> Value:
    """The dataclass itself, where every field, and what is inside it, is of its annotated type; a whole
    number passes for a float. Raises TypeError naming the field. NaN and infinities are no numbers."""
    for name, hint in _hints(type(value)):  # type: ignore[arg-type]
        if not _fits(getattr(value, name), hint):
            raise TypeError(f"{name} is not {getattr(hint, '__name__', hint)}")
    return value


@cache
def _hints(kind: type) -> list[tuple[str, Any]]:
    hints = get_type_hints(kind)
    return [(f.name, hints[f.name]) for f in fields(kind)]


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(part, inner[0]) for part in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if hint is NoneType or hint is None:
        return value is None
    if hint in (int, float):
        number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
        return number or hint is float and isinstance(value, float) and math.isfinite(value)
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, hint):
            return False
        return all(_fits(getattr(value, name), part) for name, part in _hints(hint))
    return isinstance(value, hint)
