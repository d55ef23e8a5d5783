"""Write a GGUF with Qwen2.5-3B-Instruct's shapes and q4_k_m's tensor types, and an adapter, of random weights:

    python -m eval.bench twin OUT.gguf OUT-adapter.gguf [--layers 36] [--rank 16]

Speed and memory of llama.cpp depend on shapes and types, not on values: these two stand in for the real
1.9 GB model where speed is measured and the Hub cannot be reached. They answer noise, in words of plain letters, so
that every token is text at once. The tokenizer is the embedded model's, filled up to Qwen's number of tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from space import models, references

WIDTH, HEADS, KV_HEADS, HEAD, FFN, VOCAB = 2048, 16, 2, 128, 11008, 151936
Q4_K_BYTES, Q6_K_BYTES = 144, 210
"""Bytes of a block of 256 weights."""
TEMPLATE = ("{% for m in messages %}<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
SHAPES = {  # rows (out), columns (in)
    "attn_q": (HEADS * HEAD, WIDTH), "attn_k": (KV_HEADS * HEAD, WIDTH), "attn_v": (KV_HEADS * HEAD, WIDTH),
    "attn_output": (WIDTH, HEADS * HEAD), "ffn_gate": (FFN, WIDTH), "ffn_up": (FFN, WIDTH), "ffn_down": (WIDTH, FFN)}


def write_model(path: Path, layers: int) -> None:
    """The model; a layer is about 42 MB."""
    import numpy as np
    from gguf import GGUFWriter

    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "qwen2")
    spoken = [text.isascii() and text.isalpha() for text in _copy_tokenizer(writer)]
    writer.add_name("Qwen2.5-3B speed twin (random weights)")
    writer.add_block_count(layers)
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(15)
    writer.add_chat_template(TEMPLATE)
    for name, data, kind in _tensors(rng, layers, spoken):
        writer.add_tensor(name, data, raw_dtype=kind)
    _finish(writer)


def _tensors(rng: Any, layers: int, spoken: list[bool]) -> Iterator[tuple[str, Any, Any]]:
    """Names, data and types, with the higher precision where q4_k_m has it. Tokens that are not `spoken` are a tenth
    as long as the others, so that they never have the highest logit."""
    import numpy as np
    from gguf import GGMLQuantizationType as Kind

    def quantized(rows: int, columns: int, kind: Any) -> tuple[Any, Any]:
        size = Q4_K_BYTES if kind == Kind.Q4_K else Q6_K_BYTES
        blocks = rng.integers(0, 256, (rows * columns // 256, size), dtype=np.uint8)
        if kind == Kind.Q4_K:  # scales so small that nothing overflows
            blocks[:, :4] = np.frombuffer(np.array([2e-4, 1e-3], np.float16).tobytes(), np.uint8)
        else:
            blocks[:, 208:] = np.frombuffer(np.array([1e-5], np.float16).tobytes(), np.uint8)
        return blocks.reshape(rows, -1), kind

    table, kind = quantized(VOCAB, WIDTH, Kind.Q6_K)
    scales = table.reshape(VOCAB, -1, Q6_K_BYTES)[:, :, 208:]
    scales[~np.array(spoken)] = np.frombuffer(np.array([1e-6], np.float16).tobytes(), np.uint8)
    yield "token_embd.weight", table, kind
    yield "output_norm.weight", np.ones(WIDTH, np.float32), Kind.F32
    for layer in range(layers):
        more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
        for part, (rows, columns) in SHAPES.items():
            high = more and part in ("attn_v", "ffn_down")
            yield f"blk.{layer}.{part}.weight", *quantized(rows, columns, Kind.Q6_K if high else Kind.Q4_K)
            if part in ("attn_q", "attn_k", "attn_v"):
                yield f"blk.{layer}.{part}.bias", np.zeros(rows, np.float32), Kind.F32
        for part in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{part}.weight", np.ones(WIDTH, np.float32), Kind.F32


def _copy_tokenizer(writer: Any) -> list[str]:
    """Give the writer the embedded model's tokenizer, filled up to VOCAB tokens; returns their texts."""
    from gguf import GGUFReader, GGUFValueType

    texts: list[str] = []
    for key, field in GGUFReader(references.resolve(models.PROFILES["embedded"].base)).fields.items():
        if not key.startswith("tokenizer.") or key == "tokenizer.chat_template":
            continue
        value = field.contents()
        if field.types[0] != GGUFValueType.ARRAY:
            writer.add_key_value(key, value, field.types[0])
            continue
        if key.endswith(".tokens"):
            value = texts = value + [f"[PAD{n}]" for n in range(len(value), VOCAB)]
        if key.endswith(".token_type"):
            value = value + [5] * (VOCAB - len(value))  # unused
        writer.add_array(key, value)
    return texts


def write_adapter(path: Path, layers: int, rank: int) -> None:
    """A LoRA of float16 matrices on all linear layers."""
    import numpy as np
    from gguf import GGUFWriter

    rng = np.random.default_rng(1)
    writer = GGUFWriter(path, "qwen2")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for layer in range(layers):
        for part, (rows, columns) in SHAPES.items():
            for side, shape in (("a", (rank, columns)), ("b", (rows, rank))):
                writer.add_tensor(f"blk.{layer}.{part}.weight.lora_{side}",
                                  rng.normal(0, 1e-4, shape).astype(np.float16))
    _finish(writer)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.bench twin", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--layers", type=int, default=36)
    parser.add_argument("--rank", type=int, default=16)
    args = parser.parse_args(arguments)
    write_model(args.model, args.layers)
    write_adapter(args.adapter, args.layers, args.rank)
    print(f"{args.model}: {args.model.stat().st_size / 1e6:.0f} MB, {args.adapter.name}: "
          f"{args.adapter.stat().st_size / 1e6:.0f} MB")
    return 0
