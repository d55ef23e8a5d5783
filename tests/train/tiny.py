"""Models of two to four layers with random weights, so that whole runs take seconds on a CPU."""

from __future__ import annotations

from pathlib import Path

from space import prompts
from train.rows import Row

TEXTS = ["{0} experts are routed.", "The cache holds {0} heads.", "It trains in {0} days."]


def llama(folder: Path, base_gguf: Path, layers: int = 2, width: int = 64) -> Path:
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
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
