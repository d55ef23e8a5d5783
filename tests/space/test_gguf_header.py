import struct

import pytest

from space.errors import UserError
from space.gguf_header import read_header


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(pairs=(), tensors=(), version=3, magic=b"GGUF"):
    data = magic + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, value in pairs:
        data += text(key) + struct.pack("<I", kind) + value
    for name, shape, kind in tensors:
        data += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        data += struct.pack("<IQ", kind, 0)
    return data


GOOD = [
    ("general.architecture", 8, text("llama")),
    ("llama.block_count", 4, struct.pack("<I", 30)),
    ("words", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc")),
    ("numbers", 9, struct.pack("<IQ", 4, 3) + bytes(12)),
    ("general.name", 8, text("A model")),
]


def test_reads_scalars_and_skips_arrays(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(GOOD, [("a", (256, 4), 12), ("b", (8,), 0)]))
    header = read_header(path)
    assert (header.architecture, header.layers, header.name, header.tensors) == ("llama", 30, "A model", 2)
    assert header.quantization == "Q4_K" and not header.is_adapter


def test_the_files_own_label_wins(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([*GOOD, ("general.file_type", 4, struct.pack("<I", 15))], [("a", (8,), 14)]))
    assert read_header(path).quantization == "Q4_K_M"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGU",
        b"<!DOCTYPE html><html>404</html>",
        gguf(GOOD)[:40],
        gguf(GOOD, magic=b"GGML"),
        gguf(version=9),
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**50),
        gguf([("x", 99, b"")]),
        gguf([("x", 9, struct.pack("<IQ", 9, 1))]),
        gguf(tensors=[("t", (1,) * 9, 0)]),
    ],
)
def test_damaged_files_are_a_sentence(tmp_path, data):
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(UserError, match="bad.gguf is not a readable GGUF"):
        read_header(path)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="missing"):
        read_header(tmp_path / "none.gguf")
