"""Read what a GGUF file says of itself, without loading it.

Follows the GGUF specification, version 2 and 3 (ggml-org/ggml, docs/gguf.md): magic, version,
tensor count, key-value pairs, tensor infos. Arrays are skipped, sizes are bounded.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from space.errors import UserError

MAX_COUNT = 1_000_000
MAX_TEXT = 8 << 20

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q",
            11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
# ggml_type (ggml.h) -> the name people use
_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K",
          11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 16: "IQ2_XXS", 18: "IQ3_XXS",
          20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 30: "BF16"}
# llama_ftype (llama.h), the label of a whole file
_FILE_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
               10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M",
               16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16"}


@dataclass(frozen=True)
class GgufHeader:
    """`quantization` is the file's own label, or the type of most of its weight bytes;
    `scalars` holds every key that is a number, a flag or a string."""

    scalars: dict[str, object]
    tensors: int
    quantization: str

    @property
    def architecture(self) -> str:
        return str(self.scalars.get("general.architecture", ""))

    @property
    def is_adapter(self) -> bool:
        return self.scalars.get("general.type") == "adapter"

    @property
    def layers(self) -> int:
        value = self.scalars.get(f"{self.architecture}.block_count", 0)
        return value if isinstance(value, int) else 0

    @property
    def embedding_length(self) -> int:
        value = self.scalars.get(f"{self.architecture}.embedding_length", 0)
        return value if isinstance(value, int) else 0

    @property
    def name(self) -> str:
        return str(self.scalars.get("general.name", ""))


class _Bad(Exception):
    """The bytes are no GGUF header."""


def read_header(path: Path) -> GgufHeader:
    """The header of a GGUF file. Raises UserError where the file is missing or no GGUF."""
    try:
        with path.open("rb") as file:
            return _parse(file)
    except FileNotFoundError:
        raise UserError(f"The model file {path.name} is missing.",
                        "Run `make setup`, or point the profile at a GGUF file.") from None
    except (_Bad, struct.error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path.name} is not a readable GGUF file ({error}).",
                        "Download or export it again.") from error


def _parse(file: BinaryIO) -> GgufHeader:
    if file.read(4) != b"GGUF":
        raise _Bad("its first four bytes are not 'GGUF'")
    version = _number(file, "<I")
    if version not in (2, 3):
        raise _Bad(f"version {version} is not known here")
    tensors, pairs = _count(file), _count(file)
    scalars: dict[str, object] = {}
    for _ in range(pairs):
        key, value = _text(file), _value(file, _number(file, "<I"))
        if value is not None:
            scalars[key] = value
    sizes: Counter[int] = Counter()
    for _ in range(tensors):
        _text(file)
        dimensions = _number(file, "<I")
        if dimensions > 8:
            raise _Bad(f"a tensor with {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= _number(file, "<Q")
        sizes[_number(file, "<I")] += elements
        _number(file, "<Q")
    return GgufHeader(scalars, tensors, _quantization(scalars, sizes))


def _quantization(scalars: dict[str, object], sizes: Counter[int]) -> str:
    label = scalars.get("general.file_type")
    if isinstance(label, int) and label in _FILE_TYPES:
        return _FILE_TYPES[label]
    most = sizes.most_common(1)
    return _TYPES.get(most[0][0], f"type {most[0][0]}") if most else "empty"


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _Bad("it ends in the middle of its header")
    return data


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(form, _read(file, struct.calcsize(form)))[0]


def _count(file: BinaryIO) -> int:
    value = _number(file, "<Q")
    if value > MAX_COUNT:
        raise _Bad(f"a count of {value}")
    return value


def _text(file: BinaryIO) -> str:
    size = _number(file, "<Q")
    if size > MAX_TEXT:
        raise _Bad(f"a text of {size} bytes")
    return _read(file, size).decode("utf-8", errors="replace")


def _value(file: BinaryIO, kind: int) -> object:
    """The value, or None for an array, which is read over."""
    if kind in _SCALARS:
        return _number(file, _SCALARS[kind])
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        raise _Bad(f"a value of type {kind}")
    inner, length = _number(file, "<I"), _count(file)
    if inner in _SCALARS:
        _read(file, struct.calcsize(_SCALARS[inner]) * length)
    elif inner == _STRING:
        for _ in range(length):
            _text(file)
    else:
        raise _Bad(f"an array of type {inner}")
    return None
