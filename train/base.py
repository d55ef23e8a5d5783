"""The base model and its tokenizer for training, out of the very GGUF that is served."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from space.errors import UserError


def dequantize(gguf: Path, out: Path) -> Path:
    """Write the GGUF's weights, dequantised to float32, as a Hugging Face folder; returns it. The folder
    appears whole, so that a killed process leaves none that later starts would trust."""
    if (out / "config.json").exists() and (out / "tokenizer.json").exists():
        return out
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name,
                                                 dtype=torch.float32,
                                                 quantization_config=GgufConfig(dequantize=True))
    tokenizer = load_tokenizer(gguf)
    for config in (model.config, model.generation_config):
        config.bos_token_id = tokenizer.bos_token_id
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    try:
        os.replace(part, out)
    except OSError:  # another process of this run was faster, or an unfinished folder is in the way
        if not (out / "tokenizer.json").exists():
            shutil.rmtree(out)
            os.replace(part, out)
        else:
            shutil.rmtree(part)
    return out


@cache
def load_tokenizer(gguf: Path) -> Any:
    """The tokenizer built from the GGUF's own metadata.

    transformers' GGUF loader splits digits otherwise than llama.cpp does for this family, and
    reads another end token; built from the metadata both agree with llama.cpp. Padding is not the
    end token, so that a collator cannot mask the end token out.
    """
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    reader = GGUFReader(gguf)

    def value(key: str) -> Any:
        field = reader.get_field(f"tokenizer.{key}")
        return field.contents() if field else None

    if value("ggml.model") != "gpt2" or value("ggml.pre") != "smollm":
        raise UserError(f"{gguf.name} has a tokenizer that is not known here ({value('ggml.pre')}).",
                        "Train this model from its Hugging Face folder instead.")
    tokens, kinds = value("ggml.tokens"), value("ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in value("ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)
                                  for token, kind in zip(tokens, kinds, strict=True) if kind == 3])
    unknown = tokens[value("ggml.unknown_token_id")]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=tokens[value("ggml.bos_token_id")],
        eos_token=tokens[value("ggml.eos_token_id")], unk_token=unknown, pad_token=unknown,
        clean_up_tokenization_spaces=False)
    fast.chat_template = value("chat_template")
    return fast


def tokenize_with(tokenizer: Any) -> Any:
    """A `prompts.Tokenize` over a Hugging Face tokenizer: control tokens are live only on request."""
    def tokenize(text: str, special: bool) -> list[int]:
        return tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]

    return tokenize
