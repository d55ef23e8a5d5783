"""Base model and adapter with transformers: one copy of the weights, all columns in one batch.

PEFT switches the adapter by row of the batch (`adapter_names`, "__base__" for none), so plain and fine-tuned
answers are decoded together. Runs on a GPU in bfloat16, on a CPU in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from space.lora_gguf import read_lora
from space.schema import Sampling

BASE = "__base__"
ADAPTER = "tuned"


@dataclass(frozen=True)
class Row:
    """An answer to make: token ids of its prompt, whether the adapter is on, and how to sample."""

    key: str
    tokens: tuple[int, ...]
    tuned: bool
    sampling: Sampling


@dataclass(frozen=True)
class Step:
    """News of a row: `text` that came, or `finish` (end | length); `tokens` are written so far."""

    key: str
    text: str = ""
    finish: str = ""
    tokens: int = 0


class GpuModel:
    """A Hugging Face folder with an adapter of ours on it; `kind` says in what its weights are held."""

    def __init__(self, base: Path, adapter: Path | None, device: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.device = device
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.kind = "bf16 on GPU" if device == "cuda" else "f32 on CPU"
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(base))
        if prompts.TEMPLATE_MARK not in str(self.tokenizer.chat_template or ""):
            raise UserError(f"{base.name} has no ChatML chat template.",
                            "Use a model of the Qwen2.5 or SmolLM2 family.")
        model: Any = AutoModelForCausalLM.from_pretrained(str(base), dtype=dtype)
        self.architecture, self.layers = str(model.config.model_type), int(model.config.num_hidden_layers)
        self.ends = self._end_tokens(model)
        self.has_adapter = adapter is not None
        self.model: Any = (_with_adapter(model, adapter) if adapter else model).to(device).eval()

    def _end_tokens(self, model: Any) -> set[int]:
        stated = model.generation_config.eos_token_id
        ends = {stated} if isinstance(stated, int) else set(stated or ())
        return ends | {self.tokenizer.convert_tokens_to_ids(prompts.END)}

    def encode(self, pieces: Sequence[prompts.Piece]) -> tuple[int, ...]:
        """Token ids of a prompt; control tokens are live in its scaffold only."""
        def tokenize(text: str, special: bool) -> list[int]:
            return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"])

        return tuple(prompts.encode(pieces, tokenize))

    def generate(self, rows: Sequence[Row]) -> Iterator[Step]:
        """Answer all rows together; one Step with `finish` for each."""
        import torch

        with torch.inference_mode():
            yield from self._decode(rows)

    def _decode(self, rows: Sequence[Row]) -> Iterator[Step]:
        import torch

        longest = max(len(r.tokens) for r in rows)
        padded = [(0,) * (longest - len(r.tokens)) + r.tokens for r in rows]
        mask = torch.tensor([[0] * (longest - len(r.tokens)) + [1] * len(r.tokens) for r in rows], device=self.device)
        ids, positions = torch.tensor(padded, device=self.device), (mask.cumsum(1) - 1).clamp(min=0)
        names = {"adapter_names": [ADAPTER if r.tuned else BASE for r in rows]} if self.has_adapter else {}
        pickers = [_picker(r.sampling) for r in rows]
        written: list[list[int]] = [[] for _ in rows]
        shown, open_, cache = [""] * len(rows), set(range(len(rows))), None
        while open_:
            out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
                             use_cache=True, logits_to_keep=1, **names)
            cache = out.past_key_values
            chosen = [pickers[n](out.logits[n, -1]) if n in open_ else 0 for n in range(len(rows))]
            for n in sorted(open_):
                yield from self._advance(rows[n], chosen[n], written[n], shown, n, open_)
            ids = torch.tensor([[token] for token in chosen], device=self.device)
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
            positions = positions[:, -1:] + 1

    def _advance(self, row: Row, token: int, written: list[int], shown: list[str], n: int,
                 open_: set[int]) -> Iterator[Step]:
        """Take one token of row `n`: what is new of its text, and its end."""
        ended = token in self.ends
        if not ended:
            written.append(token)
        full = ended or len(written) >= row.sampling.max_tokens
        text: str = self.tokenizer.decode(written, skip_special_tokens=True)
        if text != shown[n] and (full or not text.endswith("\ufffd")):  # half a character waits for its rest
            yield Step(row.key, text=text[len(shown[n]):], tokens=len(written))
            shown[n] = text
        if full:
            open_.discard(n)
            yield Step(row.key, finish="end" if ended else "length", tokens=len(written))


def _with_adapter(model: Any, path: Path) -> Any:
    """The model with the GGUF adapter as a PEFT adapter beside its weights."""
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    config = model.config
    lora = read_lora(path, config.num_attention_heads, config.num_key_value_heads)
    if lora.architecture != config.model_type:
        raise UserError(f"The adapter {path.name} was made for another base model.", "Make it anew with `make train`.")
    wanted = LoraConfig(r=lora.rank, lora_alpha=lora.alpha,  # type: ignore[arg-type]
                        target_modules=list(lora.modules), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, wanted, adapter_name=ADAPTER)
    tensors = {name: torch.from_numpy(data) for name, data in lora.tensors.items()}
    found: Any = set_peft_model_state_dict(adapted, tensors, adapter_name=ADAPTER)
    lost = [key for key in found.missing_keys if ".lora_" in key] + list(found.unexpected_keys)
    if lost:
        raise UserError(f"The adapter {path.name} does not fit this base model ({lost[0]}).",
                        "Make it anew with `make train`.")
    return adapted


def _picker(sampling: Sampling) -> Any:
    """A function from logits to a token: the best one, or one of the nucleus (Holtzman et al. 2020)."""
    import torch

    if sampling.temperature <= 0:
        return lambda logits: int(logits.argmax())
    chance = torch.Generator().manual_seed(sampling.seed)

    def pick(logits: Any) -> int:
        values, order = (logits.float().cpu() / sampling.temperature).softmax(-1).sort(descending=True)
        kept = values.cumsum(-1) - values < sampling.top_p
        return int(order[torch.multinomial(values * kept, 1, generator=chance)])

    return pick
