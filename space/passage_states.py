"""Passages read ahead of time: their keys and values, kept on disk and put into prompts instead of being read again.

The state of a passage is what the model computed for it right behind the system prompt. A prompt that begins with
that passage takes it as it is, bit for bit what reading would give; so does one that begins with the same passages in
the same order, where these were read together (the example questions). Behind other passages it is an approximation:
it was computed without seeing them, so some of its first tokens are read in their place (EPIC, Hu et al. 2024) and the
rest is moved there. `Mode` says which of both is done (docs/decisions/007-passages-read-ahead.md).
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from space.errors import UserError
from space.files import write_whole
from space.kv_blocks import Block

log = logging.getLogger(__name__)

VERSION = 1
"""Part of every key: raise it when what a state holds changes."""


@dataclass(frozen=True)
class Mode:
    """`first`: the first passage of a prompt is taken from its state; `others`: those behind it too, apart from their
    first `recomputed` tokens."""

    first: bool = True
    others: bool = False
    recomputed: int = 0

    @staticmethod
    def parse(text: str) -> Mode:
        """`off`, `first`, or `all:N` with N tokens of each further passage read in their place. Raises UserError."""
        if text in ("off", "first"):
            return Mode(first=text == "first")
        kind, _, number = text.partition(":")
        if kind == "all" and number.isdigit() and int(number) <= 64:
            return Mode(others=True, recomputed=int(number))
        raise UserError(f"PASSAGE_STATES={text!r} is none of the ways to use passages that were read ahead.",
                        "Set it to off, first, or all:N with N from 0 to 64.")


OFF = Mode(first=False)


class PassageStates:
    """A folder of states, at most `budget` bytes of them, the least recently used dropped first. `identity` names
    everything that a state depends on beside its tokens: model, adapter and library."""

    def __init__(self, folder: Path, budget: int, identity: str) -> None:
        self._folder, self._budget = folder, budget
        self._identity = f"{VERSION} {identity}".encode()

    def holds(self, tokens: Sequence[int]) -> bool:
        """Whether there is a state of exactly these tokens."""
        return self._path(tokens).exists()

    def load(self, tokens: Sequence[int]) -> Block | None:
        """The state of these tokens, None where there is none; a damaged file is dropped."""
        import numpy as np

        path = self._path(tokens)
        try:
            data = path.read_bytes()
            if hashlib.sha256(data[32:]).digest() != data[:32]:
                raise ValueError("its checksum is another")
            body = io.BytesIO(data[32:])
            block = Block(0, np.load(body, allow_pickle=False), np.load(body, allow_pickle=False))
            if block.end != len(tokens):
                raise ValueError("it is of another length")
            os.utime(path)
        except OSError:
            return None
        except (ValueError, EOFError) as error:
            log.warning("The passage state %s is dropped: %s. It is read anew.", path.name, error)
            path.unlink(missing_ok=True)
            return None
        return block

    def save(self, tokens: Sequence[int], block: Block) -> None:
        """Keep a state; where the disk is full or may not be written it is not kept."""
        import numpy as np

        if block.size > self._budget:
            return
        body = io.BytesIO()
        np.save(body, block.keys, allow_pickle=False)
        np.save(body, block.values, allow_pickle=False)
        data = body.getvalue()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(tokens), hashlib.sha256(data).digest() + data)
            self._bound()
        except OSError as error:
            log.warning("A passage state could not be kept: %s", error.strerror)

    def _bound(self) -> None:
        files = sorted((p.stat().st_mtime_ns, p.stat().st_size, p) for p in self._folder.glob("*.kv"))
        over = sum(size for _, size, _ in files) - self._budget
        for _, size, path in files:
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size

    def _path(self, tokens: Sequence[int]) -> Path:
        digest = hashlib.sha256(self._identity + b" " + ",".join(map(str, tokens)).encode()).hexdigest()
        return self._folder / f"{digest}.kv"


@dataclass(frozen=True)
class Stretch:
    """A part of a prompt that a state can stand for: its tokens from `start` to before `end`. The state is that of
    `tokens`, of which the last `end - start` are meant."""

    start: int
    end: int
    tokens: tuple[int, ...]


def all_passages(prompt: Sequence[int], before_question: int, grain: int) -> Stretch:
    """The prompt from its start over all passages to where the question begins: exact for the same passages in the
    same order, whatever is asked."""
    end = before_question // grain * grain
    return Stretch(0, end, tuple(prompt[:end]))


def stretches(prompt: Sequence[int], passages: Sequence[tuple[int, int]], mode: Mode, grain: int) -> list[Stretch]:
    """Which parts of `prompt` come from states, given the ranges of its passages; states end at multiples of
    `grain` tokens, as prompts are cut."""
    if not passages or not mode.first:
        return []
    lead = tuple(prompt[:passages[0][0]])
    found = []
    for number, (start, end) in enumerate(passages if mode.others else passages[:1]):
        tokens = lead + tuple(prompt[start:end])
        tokens = tokens[:len(tokens) // grain * grain]
        first = 0 if number == 0 else start + mode.recomputed
        last = start + len(tokens) - len(lead)
        if last - first >= grain:
            found.append(Stretch(first, last, tokens))
    return found
