"""Keys and values that a model computed for a stretch of tokens, taken out of llama.cpp and put back elsewhere.

llama.cpp hands out what a sequence holds as one string of bytes (`llama_state_seq_get_data`). Here it is read as
arrays, so that a stretch can be kept, moved to another position and put behind other tokens. Keys carry their
position as a rotation (RoPE; Su et al. 2021): moved by d tokens they are turned by d more steps. Values carry none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

_HEAD = struct.Struct("<IiI")  # magic, sequence, streams
_COUNT = struct.Struct("<I")
_CELL = [("position", "<i4"), ("sequences", "<u4"), ("sequence", "<i4")]
_F16 = 1  # GGML_TYPE_F16


@dataclass(frozen=True)
class Rope:
    """How a model turns its keys: `heads` of `width` numbers each, by the powers of `base`; `halves` where number i
    is turned with number i + width/2 (Qwen2), else with its neighbour (llama)."""

    heads: int
    width: int
    base: float
    halves: bool

    def turn(self, keys: Any, steps: int) -> Any:
        """Keys of shape (layers, tokens, heads * width), float16, moved by `steps` positions."""
        import numpy as np

        if not steps:
            return keys
        angle = steps * self.base ** (-np.arange(0, self.width, 2, dtype=np.float64) / self.width)
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        split = keys.astype(np.float32).reshape(*keys.shape[:2], self.heads, self.width)
        first, second = ((split[..., :self.width // 2], split[..., self.width // 2:]) if self.halves
                         else (split[..., 0::2], split[..., 1::2]))
        turned = np.empty_like(split)
        one, two = first * cos - second * sin, first * sin + second * cos
        if self.halves:
            turned[..., :self.width // 2], turned[..., self.width // 2:] = one, two
        else:
            turned[..., 0::2], turned[..., 1::2] = one, two
        return turned.reshape(keys.shape).astype(np.float16)


@dataclass(frozen=True)
class Block:
    """Keys, shape (layers, tokens, width), and values, shape (layers, width, tokens), float16, of the tokens at the
    positions from `start` on."""

    start: int
    keys: Any
    values: Any

    @property
    def end(self) -> int:
        return self.start + self.keys.shape[1]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.keys.nbytes + self.values.nbytes

    def part(self, start: int, end: int) -> Block:
        """The tokens at the positions from `start` to before `end`."""
        if not self.start <= start <= end <= self.end:
            raise ValueError(f"positions {start} to {end} are not all among {self.start} to {self.end}")
        a, b = start - self.start, end - self.start
        return Block(start, self.keys[:, a:b], self.values[:, :, a:b])

    def moved(self, start: int, rope: Rope) -> Block:
        """The same tokens at the positions from `start` on, as far as they do not depend on what stood before them."""
        return Block(start, rope.turn(self.keys, start - self.start), self.values)

    def then(self, other: Block) -> Block:
        """This stretch with `other` right behind it."""
        import numpy as np

        if other.start != self.end:
            raise ValueError(f"a block at position {other.start} cannot stand behind one that ends at {self.end}")
        return Block(self.start, np.concatenate([self.keys, other.keys], axis=1),
                     np.concatenate([self.values, other.values], axis=2))


def from_state(data: bytes | memoryview) -> Block:
    """What `llama_state_seq_get_data` wrote of a sequence whose memory is float16 without flash attention.

    Raises ValueError for anything else.
    """
    import numpy as np

    read = _Reader(data)
    _, _, streams = read.struct(_HEAD)
    counts = (read.struct(_COUNT)[0] for _ in range(streams))  # a sequence lies in one stream, the others are empty
    cells = next((count for count in counts if count), 0)
    meta = read.array(np.dtype(_CELL), cells)
    positions = meta["position"]
    if not cells or (meta["sequences"] != 1).any() or (np.diff(positions) != 1).any():
        raise ValueError("not one sequence of tokens one behind another")
    transposed, layers = read.struct(struct.Struct("<II"))
    if transposed != 1:
        raise ValueError("values are not stored by columns")
    keys, values = [], []
    for _ in range(layers):
        kind, row = read.struct(struct.Struct("<iQ"))
        _expect_f16(kind)
        keys.append(read.array(np.dtype("<f2"), cells * row // 2).reshape(cells, row // 2))
    for _ in range(layers):
        kind, _size, width = read.struct(struct.Struct("<iII"))
        _expect_f16(kind)
        values.append(read.array(np.dtype("<f2"), cells * width).reshape(width, cells))
    return Block(int(positions[0]), np.stack(keys), np.stack(values))


def to_state(block: Block, like: bytes | memoryview) -> bytes:
    """The bytes for `llama_state_seq_set_data`; `like` is any state of the same context (its first twelve bytes say
    how it is laid out)."""
    import numpy as np

    layers, cells, key_width = block.keys.shape
    _, _, streams = _HEAD.unpack(bytes(like[:_HEAD.size]))
    meta = np.zeros(cells, _CELL)
    meta["position"], meta["sequences"] = np.arange(block.start, block.end), 1
    parts = [bytes(like[:_HEAD.size]), _COUNT.pack(cells), meta.tobytes(), struct.pack("<II", 1, layers)]
    for layer in block.keys:
        parts += [struct.pack("<iQ", _F16, key_width * 2), layer.tobytes()]
    for layer in block.values:
        parts += [struct.pack("<iII", _F16, 2, layer.shape[0]), layer.tobytes()]
    parts.append(_COUNT.pack(0) * (streams - 1))
    return b"".join(parts)


def _expect_f16(kind: int) -> None:
    if kind != _F16:
        raise ValueError("the memory is not float16")


class _Reader:
    def __init__(self, data: bytes | memoryview) -> None:
        self._data, self._at = memoryview(data), 0

    def struct(self, form: struct.Struct) -> tuple[Any, ...]:
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found

    def array(self, kind: Any, count: int) -> Any:
        import numpy as np

        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += kind.itemsize * count
        return found
