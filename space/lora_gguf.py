"""The adapter of the GGUF columns, read for transformers: the same file, so the same hash on screen.

llama.cpp names layers otherwise than transformers, and keeps the rotary halves of the q and k projections of
architecture `llama` in pairs (convert_hf_to_gguf.py, LlamaModel.permute); here they are parted again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import UserError

MODULES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
           "ffn_down": "mlp.down_proj"}
_NAME = re.compile(r"blk\.(\d+)\.(\w+)\.weight\.lora_([ab])")


@dataclass(frozen=True)
class Lora:
    """`tensors` maps PEFT's names to float32 arrays; A is (rank, in), B is (out, rank)."""

    architecture: str
    rank: int
    alpha: float
    modules: tuple[str, ...]
    tensors: dict[str, Any]


def read_lora(path: Path, heads: int, kv_heads: int) -> Lora:
    """The adapter for a base with so many attention heads. Raises UserError where the file is no LoRA adapter
    or adapts something else than the linear layers."""
    import numpy as np
    from gguf import GGUFReader

    reader = GGUFReader(path)
    alpha, architecture = (reader.get_field(key) for key in ("adapter.lora.alpha", "general.architecture"))
    if alpha is None or architecture is None:
        raise UserError(f"{path.name} is not a LoRA adapter.", "Name the adapter.gguf that `make train` writes.")
    kind = str(architecture.contents())
    tensors, modules, rank = {}, set(), 0
    for tensor in reader.tensors:
        match = _NAME.fullmatch(tensor.name)
        if not match or match[2] not in MODULES:
            raise UserError(f"The adapter's tensor {tensor.name} has no place in the model.",
                            "Train LoRA on the linear layers only.")
        data = np.asarray(tensor.data).astype(np.float32)
        if match[3] == "b" and kind == "llama" and match[2] in ("attn_q", "attn_k"):
            data = part_rotary(data, heads if match[2] == "attn_q" else kv_heads)
        rank = data.shape[0] if match[3] == "a" else rank
        module = MODULES[match[2]]
        modules.add(module.rsplit(".", 1)[-1])
        tensors[f"base_model.model.model.layers.{match[1]}.{module}.lora_{match[3].upper()}.weight"] = data
    return Lora(kind, rank, float(alpha.contents()), tuple(sorted(modules)), tensors)


def part_rotary(rows: Any, heads: int) -> Any:
    """Rows of a q or k projection from llama.cpp's order to transformers'."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)
