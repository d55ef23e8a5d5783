"""A PEFT LoRA adapter as a GGUF adapter, with `gguf`, numpy and safetensors alone.

The names and the row order follow llama.cpp's own converter: architecture `llama` keeps the rotary
halves of the q and k projections in pairs, `qwen2` does not.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from space.errors import UserError

_KEY = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight$")


def read_adapter(folder: Path, reader: Any) -> tuple[dict[str, dict[str, Any]], float]:
    """Tensors by GGUF name, {"A": (rank, in), "B": (out, rank)} in float32, and alpha / rank."""
    import numpy as np
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map
    from safetensors.numpy import load_file

    config = json.loads((folder / "adapter_config.json").read_text())
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
        raise UserError("Only plain LoRA adapters can be exported.", "Train without DoRA and saved modules.")

    def value(key: str) -> Any:
        return reader.get_field(key).contents()

    architecture = value("general.architecture")
    heads = {"attn_q": value(f"{architecture}.attention.head_count"),
             "attn_k": value(f"{architecture}.attention.head_count_kv")}
    numbers = {name: number for number, name in MODEL_ARCH_NAMES.items()}
    names = get_tensor_name_map(numbers[architecture], value(f"{architecture}.block_count"))
    pairs: dict[str, dict[str, Any]] = {}
    for key, tensor in load_file(folder / "adapter_model.safetensors").items():
        match = _KEY.match(key)
        name = match and names.get_name(match[1])
        if not match or not name:
            raise UserError(f"The adapter's tensor {key} has no place in a GGUF file.",
                            "Train LoRA on the linear layers only.")
        part = name.rsplit(".", 1)[-1]
        tensor = tensor.astype(np.float32)
        if match[2] == "B" and architecture == "llama" and part in heads:
            tensor = interleave_rotary(tensor, heads[part])
        pairs.setdefault(name + ".weight", {})[match[2]] = tensor
    rank = config["r"]
    return pairs, config["lora_alpha"] / (rank ** 0.5 if config.get("use_rslora") else rank)


def interleave_rotary(rows: Any, heads: int) -> Any:
    """Rows of a q or k projection from Hugging Face's order to GGUF's for architecture `llama`."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


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
