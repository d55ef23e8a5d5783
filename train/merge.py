"""An adapter added into its base: as a GGUF in float16, and as a Hugging Face folder in float16.

The sum is made in float32 and rounded once, from the same numbers for both forms, so that they hold
the same weights. The base is the GGUF that is served, dequantised, or the original's Hugging Face folder
where the recipe trained on that (never a 4-bit copy of it). Tensors are read and written one by one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from space.errors import UserError
from train.adapters import Shape, interleave_rotary, part_rotary, read_gguf_adapter, shape_of
from train.files import write_json

_OWN = ("general.architecture", "general.file_type", "general.quantization_version")
"""Fields that the writer sets by itself."""
SHARD_BYTES = 2 << 30


@dataclass(frozen=True)
class Tensor:
    """A tensor by name; `load` gives it in float32."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], Any]


def merge_gguf(base: Path, adapter: Path | None, out: Path, weights: Path | None = None, name: str = "") -> Path:
    """Write base + adapter as a GGUF: matrices float16, vectors float32. Vocabulary, template and settings
    come from `base`; its tensors too, or those of the Hugging Face folder `weights`."""
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

    reader = GGUFReader(base)
    shape = shape_of(reader)
    pairs, scale = read_gguf_adapter(adapter) if adapter else ({}, 0.0)
    tensors = list(_from_folder(weights, shape) if weights else _from_gguf(reader))
    _check(pairs, tensors, reader)
    part = out.with_name(out.name + ".part")
    writer = GGUFWriter(str(part), shape.architecture)
    _copy_fields(reader, writer, name)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    for tensor in tensors:
        flat = len(tensor.shape) == 1
        kind = np.float32 if flat else np.float16
        size = int(np.prod(tensor.shape)) * (4 if flat else 2)
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(kind), size,
                               raw_dtype=GGMLQuantizationType.F32 if flat else GGMLQuantizationType.F16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        values = _added(tensor.load(), pairs.get(tensor.name), scale)
        writer.write_tensor_data(np.ascontiguousarray(values.astype(np.float32 if values.ndim == 1 else np.float16)))
    writer.close()
    os.replace(part, out)
    return out


def merge_folder(base: Path, adapter: Path, folder: Path, out: Path) -> Path:
    """Write the Hugging Face folder `folder` + adapter as a folder, matrices and vectors float16. `base`
    is the GGUF whose names the adapter uses."""
    import numpy as np
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    shape = shape_of(GGUFReader(base))
    pairs, scale = read_gguf_adapter(adapter)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file() and path.suffix in (".json", ".jinja", ".txt", ".model") and "index" not in path.name:
            shutil.copy(path, part / path.name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(part / "config.json", {k: v for k, v in config.items() if k != "torch_dtype"} | {"dtype": "float16"})
    left, shard, place, size = dict(pairs), {}, {}, 0
    number = 1
    for key, _, load in folder_tensors(folder):
        pair = left.pop(shape.name(key), None)
        if pair and (heads := shape.heads_of(shape.name(key))):
            pair = {"A": pair["A"], "B": part_rotary(pair["B"], heads)}
        shard[key] = np.ascontiguousarray(_added(load(), pair, scale).astype(np.float16))
        place[key] = f"model-{number:05d}.safetensors"
        size += shard[key].nbytes
        if sum(t.nbytes for t in shard.values()) >= SHARD_BYTES:
            save_file(shard, part / place[key], metadata={"format": "pt"})
            shard, number = {}, number + 1
    if shard:
        save_file(shard, part / f"model-{number:05d}.safetensors", metadata={"format": "pt"})
    if left:
        raise UserError("The adapter and the base model do not belong together.", "Name the base it was trained on.")
    write_json(part / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": place})
    shutil.rmtree(out, ignore_errors=True)
    os.replace(part, out)
    return out


def linear_modules(folder: Path) -> list[str]:
    """The names of the matrices in a Hugging Face folder, without `.weight`."""
    return [key.removesuffix(".weight") for key, size, _ in folder_tensors(folder) if len(size) == 2]


def _added(values: Any, pair: dict[str, Any] | None, scale: float) -> Any:
    return values + scale * (pair["B"] @ pair["A"]) if pair else values


def _from_gguf(reader: Any) -> Iterator[Tensor]:
    for tensor in reader.tensors:
        size = tuple(int(n) for n in reversed(tensor.shape))
        yield Tensor(tensor.name, size, partial(_dequantized, tensor, size))


def _dequantized(tensor: Any, size: tuple[int, ...]) -> Any:
    from gguf import dequantize

    return dequantize(tensor.data, tensor.tensor_type).reshape(size)


def _from_folder(folder: Path, shape: Shape) -> Iterator[Tensor]:
    tied = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("tie_word_embeddings", False)
    for key, size, load in folder_tensors(folder):
        if tied and key == "lm_head.weight":
            continue
        name = shape.name(key)
        if not name:
            raise UserError(f"The tensor {key} has no place in a GGUF of the architecture {shape.architecture}.",
                            "Check that weights and base of the recipe are the same model.")
        heads = shape.heads_of(name)
        yield Tensor(name, size, partial(_interleaved, load, heads) if heads else load)


def _interleaved(load: Callable[[], Any], heads: int) -> Any:
    return interleave_rotary(load(), heads)


def folder_tensors(folder: Path) -> Iterator[tuple[str, tuple[int, ...], Callable[[], Any]]]:
    """(name, shape, what loads it in float32) of all tensors, in the order of the files."""
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no safetensors files.", "Name the folder of a Hugging Face model.")
    for path in files:
        with safe_open(path, framework="pt") as file:  # torch, because numpy knows no bfloat16
            for key in file.keys():  # noqa: SIM118  (not a dict)
                yield key, tuple(file.get_slice(key).get_shape()), partial(_load, path, key)


def _load(path: Path, key: str) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(key).float().numpy()


def _check(pairs: dict[str, dict[str, Any]], tensors: list[Tensor], reader: Any) -> None:
    """Refuse an adapter of another model, and weights of another size than the base says."""
    sizes = {tensor.name: tensor.shape for tensor in tensors}
    for name, pair in pairs.items():
        if sizes.get(name) != (pair["B"].shape[0], pair["A"].shape[1]):
            raise UserError(f"The adapter does not fit the base: {name} has another size or is not there.",
                            "Name the base it was trained on.")
    for tensor in reader.tensors:
        size = tuple(int(n) for n in reversed(tensor.shape))
        if tensor.name in sizes and sizes[tensor.name] != size:
            raise UserError(f"The weights are not those of the base: {tensor.name} is {sizes[tensor.name]}, "
                            f"not {size}.", "Check that weights and base of the recipe are the same model.")


def _copy_fields(reader: Any, writer: Any, name: str) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in _OWN or (name and field.name == "general.name"):
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind,
                             sub_type=field.types[-1] if kind == GGUFValueType.ARRAY else None)
    if name:
        writer.add_name(name)
