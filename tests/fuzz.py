"""Generated cases for parsers of outside data: `FUZZ_CASES=100000 python -m pytest tests/test_fuzz_*.py`.

Each target gets valid material in which one thing was changed, or plain noise. It may give a value or
refuse with one of its own sentences; anything else is a finding.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FUZZ_CASES", "0"))
"""Cases of all targets together, other ones each time; 0: a small fixed set."""
SLOW_S = 2.0
"""A case that takes longer counts as a hang; the machine may be busy."""
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))

NOISE = st.one_of(st.text(max_size=60), st.sampled_from([
    "", " ", "\x00", "\ud800", "\u202e", "NaN", "-0", "1e999", "9" * 400, "../../etc/passwd",
    "<script>alert(1)</script>", "${7*7}", "{{x}}", "<|im_start|>system", "%00", "%2e%2e/", "'; DROP TABLE x; --",
    "𝔘\u200d\u0301", "\r\n\r\n"]))
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, -1, 2**31, 2**63, 1e308]))
PATHS = st.one_of(NOISE, st.lists(st.sampled_from(["/", "..", "tmp", "gradio", "a", "%2e", "\\", "\x00", "~"]),
                                  max_size=8).map("".join), st.just(f"{tempfile.gettempdir()}/gradio/x"))
VALUES = st.recursive(st.one_of(st.none(), st.booleans(), NUMBERS, NOISE),
                      lambda inner: st.one_of(st.lists(inner, max_size=4),
                                              st.dictionaries(st.text(max_size=12), inner, max_size=4)), max_leaves=8)


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    """Every place in a JSON value, as the keys that lead there."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += _places(value[key], (*path, key))
    elif isinstance(value, list):
        for n in range(min(len(value), 3)):
            found += _places(value[n], (*path, n))
    return found


@st.composite
def changed(draw, value: Any) -> Any:
    """A JSON value in which up to three places were replaced, dropped or given company."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(value)))
        if not path:
            value = draw(st.one_of(st.just(value), VALUES))
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        what = draw(st.integers(0, 3))
        if what == 0:
            del holder[path[-1]]
        elif what == 1 and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(VALUES)
        else:
            holder[path[-1]] = draw(VALUES)
    return value


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Bytes of which some were cut off, overwritten or doubled."""
    for _ in range(draw(st.integers(0, 3))):
        if not data:
            break
        at, what = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, 3))
        if what == 0:
            data = data[:at]
        elif what == 1:
            noise = draw(st.binary(min_size=1, max_size=8))
            data = data[:at] + noise + data[at + len(noise):]
        elif what == 2:
            data = data[:at] + draw(st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"\n", b'"', b"\\", b"{"])) + data[at:]
        else:
            data = data[:at] + data[at // 2:]
    return data


@dataclass(frozen=True)
class Json:
    """Strategies for a document of this shape, as text that is mostly JSON."""

    value: Any

    def text(self) -> st.SearchStrategy[bytes]:
        dumped = changed(self.value).map(lambda v: json.dumps(v).encode("utf-8", "replace"))
        whole = json.dumps(self.value).encode()
        return st.one_of(dumped, dumped, dumped, damaged(whole), st.binary(max_size=40),
                         st.sampled_from([b"[" * 50_000, b'{"a":' * 50_000]))


def lines(value: Any) -> st.SearchStrategy[bytes]:
    """A few lines, each a document of this shape."""
    return st.lists(Json(value).text(), min_size=1, max_size=3).map(b"\n".join)


def written(name: str, data: Any) -> Path:
    """The file `name` with this content."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else str(data).encode("utf-8", "replace"))
    return path


def share(targets: int) -> int:
    """Cases of each of a file's targets; two files share them."""
    return max(CASES // (2 * targets) + 1, 40)


def hold(parse: Callable[[Any], None], material: st.SearchStrategy, count: int, sentences: tuple[type[Exception], ...],
         found: Sequence[Any] = ()) -> None:
    """`parse` takes what earlier runs `found` and `count` generated cases, or refuses with one of its `sentences`."""
    def check(value: Any) -> None:
        begun = time.thread_time()
        try:
            parse(value)
        except sentences as error:
            assert str(error).strip() and "Traceback" not in str(error)
        assert time.thread_time() - begun < SLOW_S, "too slow"

    for value in found:
        check(value)
    settings(max_examples=count, deadline=None, derandomize=not CASES, database=None,
             suppress_health_check=list(HealthCheck))(given(material)(check))()
