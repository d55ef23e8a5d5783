"""Models of two to four layers with random weights, so that whole runs take seconds on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from space import prompts
from train.accuracy import Choice
from train.rows import Row

VOCABULARY = 2048
"""Tokens of the tiny models: the embedded model's first ones, so that files are read in an instant."""
TEXTS = ["{0} experts are routed.", "The cache holds {0} heads.", "It trains in {0} days."]


def vocabulary(base_gguf: Path, out: Path, count: int = VOCABULARY) -> Path:
    """A GGUF without tensors that holds the first `count` tokens of the embedded model's tokenizer. Its
    merges stand in the order of the tokens they make, so the rest of it is a whole tokenizer."""
    from gguf import GGUFReader, GGUFWriter

    fields = {f.name: f.contents() for f in GGUFReader(base_gguf).fields.values() if f.name.startswith("tokenizer.")}
    tokens = fields["tokenizer.ggml.tokens"][:count]
    known = set(tokens)
    merges = [m for m in fields["tokenizer.ggml.merges"] if m.replace(" ", "") in known]
    writer = GGUFWriter(out, "llama")
    writer.add_tokenizer_model(fields["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(fields["tokenizer.ggml.pre"])
    writer.add_token_list(tokens)
    writer.add_token_types(fields["tokenizer.ggml.token_type"][:count])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(fields["tokenizer.ggml.bos_token_id"])
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"])
    writer.add_unk_token_id(fields["tokenizer.ggml.unknown_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(fields["tokenizer.chat_template"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def llama(folder: Path, base_gguf: Path, layers: int = 2, width: int = 64, spread: float = 0.02) -> Path:
    """A Llama with the embedded model's tokenizer, as a Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from train.base import load_tokenizer

    tokenizer = load_tokenizer(base_gguf)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=spread,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def qwen(folder: Path, base_gguf: Path, layers: int = 4, width: int = 256, spread: float = 0.1) -> Path:
    """A Qwen2 as its Hugging Face folder: the shape of Qwen2.5, its pre-tokenizer, the vocabulary of
    `base_gguf` (the embedded model's, which has the same three control tokens), random weights. The
    width is a multiple of 256, as q4_k wants it."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

    from train.base import load_tokenizer

    state = json.loads(load_tokenizer(base_gguf).backend_tokenizer.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=state["vocab"],
        merges=[tuple(merge) for merge in state["merges"]],
        unk_token="<|endoftext|>",
        eos_token=prompts.END,
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = load_tokenizer(base_gguf).chat_template
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(state["vocab"]),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=spread,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)  # as the original is published
    tokenizer.save_pretrained(folder)
    return folder


def gguf(folder: Path, base_gguf: Path, out: Path) -> Path:
    """The folder's model as a float16 GGUF with the vocabulary of `base_gguf`, by our own writer."""
    from train import merge

    return merge.merge_gguf(fields(folder, base_gguf, out.with_suffix(".fields")), None, out, folder)


def fields(folder: Path, base_gguf: Path, out: Path) -> Path:
    """A GGUF without tensors: the settings of config.json and the vocabulary of `base_gguf`."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    config = json.loads((folder / "config.json").read_text())
    writer = GGUFWriter(out, config["model_type"])
    for field in GGUFReader(base_gguf).fields.values():
        if field.name.startswith("tokenizer.") and field.name != "tokenizer.ggml.pre":
            kind = field.types[0]
            sub = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
    writer.add_tokenizer_pre("qwen2" if config["model_type"] == "qwen2" else "smollm")
    writer.add_name("Tiny")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(rope.get("rope_theta", config.get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def adapter(folder: Path, base: Path, out: Path, rank: int = 4, size: float = 0.1) -> Path:
    """A random adapter on every linear layer of the folder's model, as GGUF."""
    from train import adapters, merge

    rng = np.random.default_rng(3)
    peft = out.with_suffix(".peft")
    peft.mkdir()
    tensors = {}
    for key, shape, _ in merge.folder_tensors(folder):
        if len(shape) == 2 and "proj" in key:
            name = "base_model.model." + key.removesuffix(".weight")
            tensors[f"{name}.lora_A.weight"] = rng.normal(0, size, (rank, shape[1])).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = rng.normal(0, size, (shape[0], rank)).astype(np.float32)
    from safetensors.numpy import save_file

    save_file(tensors, peft / "adapter_model.safetensors")
    targets = sorted({key.split(".")[-3] for key in tensors})
    about = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": targets}
    (peft / "adapter_config.json").write_text(json.dumps(about))
    return adapters.write_adapter(base, peft, out)


def rows(count: int) -> list[Row]:
    """Rows of two lengths, so that sorting them by length matters."""
    return [
        Row(
            f"r{n}",
            prompts.build(f"What of part {n}?" + " It is a long story." * (n % 2 * 8)),
            TEXTS[n % 3].format(n),
        )
        for n in range(count)
    ]


def choices(count: int) -> list[Choice]:
    """As many of the short rows, each with the answers of all three forms as its options."""
    short = rows(2 * count)[::2]
    return [Choice(tuple(Row(row.example_id, row.prompt, text.format(2 * n)) for text in TEXTS), 2 * n % 3)
            for n, row in enumerate(short)]
