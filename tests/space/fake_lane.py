"""A lane without a model: what it says next is a function of what its place holds, and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from space.kv_blocks import Block
from space.lane import Stopped

END = 0
LETTERS = "abcdefghijklmnopqrstuvwxyz "


class NoTurning:
    """Keys that carry no position."""

    def turn(self, keys, steps: int):
        return keys


class FakeWeights:
    """One token for each character; token 0 ends an answer."""

    state_bytes_per_token = 100
    rope = NoTurning()

    def tokenize(self, text: str, special: bool) -> list[int]:
        return [ord(c) for c in text]

    def piece(self, token: int) -> bytes:
        return chr(token).encode()

    def is_end(self, token: int) -> bool:
        return token == END


class FakeState:
    def __init__(self, held: list[int]) -> None:
        self.held, self.size, self.length = held, 100 * len(held), len(held)


class FakeLane:
    """The interface of `space.lane.Lane`. A token that came to a wrong place, or a remainder of somebody
    else's text, changes every letter that follows. `reads` (place, from, to), `writes` (places) and
    `order` (what, first place) tell what was asked of it."""

    def __init__(self, places: int = 3, width: int = 2, context_tokens: int = 4096) -> None:
        self.weights = FakeWeights()
        self.places, self.width, self.context_tokens = places, width, context_tokens
        self.threads = 1
        self.reads: list[tuple[int, int, int]] = []
        self.writes: list[tuple[int, ...]] = []
        self.order: list[tuple[str, int]] = []
        self.broken_at: Callable[[Mapping[int, int]], bool] = lambda tokens: False
        self._held: list[list[int]] = [[] for _ in range(places)]
        self._fresh: set[int] = set()

    def prime(self, tokens: Sequence[int]) -> float:
        self._held = [list(tokens) for _ in range(self.places)]
        return 1.0

    def limit_threads(self, limit: int) -> bool:
        self.limit = limit
        return limit >= self.threads

    def read(self, place: int, tokens: Sequence[int], should_stop: Callable[[], bool] | None = None,
             picked: bool = True) -> None:
        if should_stop and should_stop():
            raise Stopped
        start = len(self._held[place])
        self._held[place] += tokens
        self.order.append(("read", place))
        self.reads.append((place, start, start + len(tokens)))
        self._fresh = {place} if picked else set()

    def write(self, tokens: Mapping[int, int]) -> None:
        if self.broken_at(tokens):
            raise RuntimeError("llama_decode returned -3")
        for place, token in tokens.items():
            self._held[place].append(token)
        self.order.append(("write", min(tokens)))
        self.writes.append(tuple(tokens))
        self._fresh = set(tokens)

    def sample(self, place: int, sampler: object) -> int:
        assert place in self._fresh, "a token was picked behind logits that are not there"
        digest = hashlib.sha256(repr(self._held[place]).encode()).digest()
        return END if digest[0] < 4 else ord(LETTERS[digest[1] % len(LETTERS)])

    def cut(self, place: int, length: int) -> None:
        assert length <= len(self._held[place])
        del self._held[place][length:]

    def save(self, place: int) -> FakeState:
        return FakeState(list(self._held[place]))

    def load(self, place: int, state: FakeState) -> None:
        self._held[place] = list(state.held)

    def take(self, place: int, end: int) -> Block:
        assert end <= len(self._held[place])
        held = np.array(self._held[place][:end], np.float16)  # whole numbers up to 2,048 are exact
        return Block(0, held.reshape(1, -1, 1), held.reshape(1, 1, -1))

    def put(self, place: int, block: Block) -> None:
        assert block.start == len(self._held[place])
        self._held[place] += [int(key) for key in block.keys[0, :, 0]]
