"""LoRA adapters in their two forms, PEFT's folder and GGUF, with `gguf`, numpy and safetensors alone.

The names and the row order follow llama.cpp's own converter: architecture `llama` keeps the rotary
halves of the q and k projections in pairs, `qwen2` does not.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import UserError
from train.files import write_json

_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight$")


@dataclass(frozen=True)
class Shape:
    """How a GGUF model names and orders its tensors."""

    architecture: str
    heads: dict[str, int]
    names: Any

    @property
    def interleaved(self) -> dict[str, int]:
        """The projections whose rows are stored in another order than Hugging Face's, with their heads."""
        return self.heads if self.architecture == "llama" else {}

    def name(self, key: str) -> str:
        """GGUF's name of a Hugging Face tensor or module; "" where it has none."""
        return self.names.get_name(key, try_suffixes=(".weight", ".bias")) or ""

    def heads_of(self, name: str) -> int:
        """The heads whose rotary halves GGUF keeps in pairs in this tensor; 0: it keeps the order."""
        return self.interleaved.get(name.removesuffix(".weight").removesuffix(".bias").rsplit(".", 1)[-1], 0)


def shape_of(reader: Any) -> Shape:
    """Read it from the base model's header."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    def value(key: str) -> Any:
        return reader.get_field(key).contents()

    architecture = value("general.architecture")
    heads = {"attn_q": value(f"{architecture}.attention.head_count"),
             "attn_k": value(f"{architecture}.attention.head_count_kv")}
    numbers = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    return Shape(architecture, heads,
                 get_tensor_name_map(numbers[architecture], value(f"{architecture}.block_count")))


def read_adapter(folder: Path, reader: Any) -> tuple[dict[str, dict[str, Any]], float]:
    """Tensors of a PEFT folder by GGUF name, {"A": (rank, in), "B": (out, rank)} in float32 and in GGUF's
    row order, and alpha / rank."""
    import numpy as np
    from safetensors.numpy import load_file

    config = json.loads((folder / "adapter_config.json").read_text())
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
        raise UserError("Only plain LoRA adapters can be exported.", "Train without DoRA and saved modules.")
    shape = shape_of(reader)
    pairs: dict[str, dict[str, Any]] = {}
    for key, tensor in load_file(folder / "adapter_model.safetensors").items():
        match = _KEY.match(key)
        name = match and shape.name(match[1])
        if not match or not name:
            raise UserError(f"The adapter's tensor {key} has no place in a GGUF file.",
                            "Train LoRA on the linear layers only.")
        tensor = tensor.astype(np.float32)
        if match[2] == "B" and (heads := shape.heads_of(name)):
            tensor = interleave_rotary(tensor, heads)
        pairs.setdefault(name + ".weight", {})[match[2]] = tensor
    rank = config["r"]
    return pairs, config["lora_alpha"] / (rank ** 0.5 if config.get("use_rslora") else rank)


def read_gguf_adapter(path: Path) -> tuple[dict[str, dict[str, Any]], float]:
    """The same of a GGUF adapter: tensors in GGUF's row order, and alpha / rank."""
    import numpy as np
    from gguf import GGUFReader

    reader = GGUFReader(path)
    alpha = reader.get_field("adapter.lora.alpha")
    if alpha is None:
        raise UserError(f"{path.name} is not a LoRA adapter in GGUF form.", "Name an adapter.gguf of assets/adapters.")
    pairs: dict[str, dict[str, Any]] = {}
    for tensor in reader.tensors:
        name, _, part = tensor.name.rpartition(".lora_")
        pairs.setdefault(name, {})[part.upper()] = np.asarray(tensor.data).astype(np.float32)
    rank = next(iter(pairs.values()))["A"].shape[0]
    return pairs, alpha.contents() / rank


def interleave_rotary(rows: Any, heads: int) -> Any:
    """Rows of a q or k projection from Hugging Face's order to GGUF's for architecture `llama`."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def part_rotary(rows: Any, heads: int) -> Any:
    """The way back: rows from GGUF's order to Hugging Face's."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def write_adapter(base: Path, folder: Path, out: Path) -> Path:
    """Write the PEFT adapter in `folder`, trained on `base`, as the GGUF adapter `out` (float16)."""
    import numpy as np
    from gguf import GGUFReader, GGUFWriter

    reader = GGUFReader(base)
    pairs, scale = read_adapter(folder, reader)
    rank = next(iter(pairs.values()))["A"].shape[0]
    part = out.with_name(out.name + ".part")
    architecture = reader.get_field("general.architecture")
    assert architecture is not None  # read_adapter has read it
    writer = GGUFWriter(str(part), architecture.contents())
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(scale * rank))
    for name, pair in pairs.items():
        writer.add_tensor(name + ".lora_a", pair["A"].astype(np.float16))
        writer.add_tensor(name + ".lora_b", pair["B"].astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, out)
    return out


def write_peft(base: Path, pairs: dict[str, dict[str, Any]], scale: float, modules: Iterable[str], out: Path,
               base_name: str) -> Path:
    """Write the adapter as a PEFT folder, float32. `modules` are the names of the base's linear layers in
    Hugging Face's spelling; `base_name` is what the folder says it belongs to."""
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    shape = shape_of(GGUFReader(base))
    left, tensors, rank = dict(pairs), {}, 0
    for module in modules:
        pair = left.pop(shape.name(module) + ".weight", None)
        if pair is None:
            continue
        heads, rank = shape.heads_of(shape.name(module)), pair["A"].shape[0]
        up = part_rotary(pair["B"], heads) if heads else pair["B"]
        tensors[f"base_model.model.{module}.lora_A.weight"] = pair["A"].copy()
        tensors[f"base_model.model.{module}.lora_B.weight"] = up.copy()
    if left or not tensors:
        raise UserError("The adapter and the base model do not belong together.", "Name the base it was trained on.")
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json(out / "adapter_config.json", {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name, "r": rank,
        "lora_alpha": scale * rank, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False,
        "inference_mode": True, "target_modules": sorted({key.split(".")[-3] for key in tensors})})
    return out
