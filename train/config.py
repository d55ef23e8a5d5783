"""Recipes: one TOML file is one training run."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from space.errors import UserError
from space.models import PROFILES

CHOICES = {
    "device": ("any", "gpu"),
    "precision": ("auto", "bf16", "fp16", "fp32"),
    "scheduler": ("cosine", "linear", "constant"),
    "optimizer": ("adamw_8bit", "paged_adamw_8bit", "adamw_torch", "adamw_torch_fused"),
    "data": ("papers", "arc", "papers+arc"),
    "metric": ("loss", "accuracy"),
    "chat_template": ("", "qwen-2.5"),
    "rag_answer": ("reference", "quote"),
}
"""Keys whose value is one of a few words."""


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one run, named as in TRL and PEFT where those have a name for them.

    base            profile of `space.models`: the GGUF that is served and that the adapter is made for
    weights         Hugging Face folder to train on (`hf:OWNER/REPO` or `file:PATH`); empty: the GGUF, dequantised
    device          `any`, or `gpu`: refused on a machine without a CUDA GPU
    load_in_4bit    hold the frozen base in 4 bits (QLoRA) on a GPU; a CPU never does
    precision       `auto` takes bf16 where the hardware has it, else fp16 on a GPU and fp32 on a CPU
    data            `papers`: our questions; `arc`: AI2 ARC; `papers+arc`: both
    arc_rows        take this many ARC questions, before they are cut 80/10/10; 0 takes all
    rag_rows        rows with passages for each training question, beside its plain row
    rag_passages    passages in such a row, at most
    rag_sentences   such rows carry 1, 2, … up to this many sentences of those passages, in turn; 0: whole passages
    rag_drawn       such rows carry exactly `rag_sentences`, the wrong ones drawn from the closest six for each row
    changed_share   share of those rows whose figures are changed alike in evidence and answer (train/figures.py)
    rag_answer      what rows with sentences teach: the `reference` answer, or the `quote` of the sentences that tell it
    missing_share   share of those rows whose evidence is taken away, so that abstaining is learned
    chat_template   name of Unsloth's template that must give our prompt text to the letter; empty: not asked
    num_proc        processes that tokenise the rows
    group_by_length batches of rows of like length, which saves padding; false: a random order
    keep_best       keep the epoch that is best on dev, by `metric`; false: the last one
    metric          what an epoch is judged by: the lowest `loss`, or the highest `accuracy` on ARC's questions
    """

    name: str
    base: str
    weights: str = ""
    device: str = "any"
    load_in_4bit: bool = True
    precision: str = "auto"
    seed: int = 3407
    rank: int = 16
    alpha: int = 16
    dropout: float = 0.0
    learning_rate: float = 1e-4
    epochs: float = 4.0
    max_steps: int = -1
    batch_size: int = 2
    gradient_accumulation: int = 4
    warmup_steps: int = 5
    weight_decay: float = 0.01
    scheduler: str = "cosine"
    optimizer: str = "adamw_8bit"
    max_length: int = 1024
    packing: bool = False
    num_proc: int = 1
    group_by_length: bool = True
    data: str = "papers"
    arc_rows: int = 0
    rag_rows: int = 0
    rag_passages: int = 3
    rag_sentences: int = 0
    rag_drawn: bool = False
    changed_share: float = 0.0
    rag_answer: str = "reference"
    missing_share: float = 0.06
    chat_template: str = ""
    keep_best: bool = True
    metric: str = "loss"
    note: str = ""

    @property
    def uses_papers(self) -> bool:
        return "papers" in self.data.split("+")

    @property
    def uses_arc(self) -> bool:
        return "arc" in self.data.split("+")


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises UserError for unknown keys, wrong types, bad values."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no recipe {path}.", "See train/recipes/ for those shipped.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is not valid TOML ({error}).", "Correct that line.") from None
    hints = get_type_hints(Recipe)
    known = {f.name for f in fields(Recipe)}
    for key, value in values.items():
        if key not in known:
            raise UserError(f"{path.name} has an unknown key {key!r}.",
                            f"Known keys: {', '.join(sorted(known))}.")
        if hints[key] is float and isinstance(value, int) and not isinstance(value, bool):
            values[key] = float(value) if abs(value) < 1 << 53 else math.inf
        elif type(value) is not hints[key]:
            wanted = hints[key].__name__ if not get_args(hints[key]) else str(hints[key])
            raise UserError(f"{key} in {path.name} is {value!r}, not of type {wanted}.", "Correct it.")
    for key in ("name", "base"):
        if key not in values:
            raise UserError(f"{path.name} lacks {key!r}.", "Add it.")
    recipe = Recipe(**values)
    check(recipe, path.name)
    return recipe


def check(recipe: Recipe, name: str) -> None:
    """Refuse, with a UserError that names the key, values that are out of bounds or exclude each other."""
    for holds, sentence in [*_values(recipe), *_combinations(recipe)]:
        if not holds:
            raise UserError(f"In {name}: {sentence}.", "Correct the recipe.")


def _values(recipe: Recipe) -> list[tuple[bool, str]]:
    """Each key by itself: whether it holds, and the rule as a sentence."""
    listed = [(getattr(recipe, key) in values, f"{key} must be one of {', '.join(repr(v) for v in values)}")
              for key, values in CHOICES.items()]
    return [
        *listed,
        (re.fullmatch(r"[A-Za-z0-9][\w.-]*", recipe.name) is not None,
         "name must be letters, digits, dots, dashes and underscores, as it names folders"),
        (recipe.base in PROFILES, f"base must be one of {', '.join(PROFILES)}"),
        (not recipe.weights or recipe.weights.startswith(("hf:", "file:")),
         "weights must be hf:OWNER/REPO or file:PATH"),
        (1 <= recipe.rank <= 256, "rank must be from 1 to 256"),
        (recipe.alpha > 0, "alpha must be positive"),
        (0 <= recipe.dropout < 1, "dropout must be from 0 to below 1"),
        (0 < recipe.learning_rate <= 0.1, "learning_rate must be above 0 and at most 0.1"),
        (0 <= recipe.weight_decay < 1, "weight_decay must be from 0 to below 1"),
        (recipe.warmup_steps >= 0, "warmup_steps must not be negative"),
        (0 <= recipe.seed < 2**32, "seed must be from 0 to below 2**32"),
        (recipe.epochs > 0 or recipe.max_steps > 0, "epochs or max_steps must be positive"),
        (recipe.batch_size > 0 and recipe.gradient_accumulation > 0,
         "batch_size and gradient_accumulation must be positive"),
        (64 <= recipe.max_length <= 32768, "max_length must be from 64 to 32768"),
        (1 <= recipe.num_proc <= 64, "num_proc must be from 1 to 64"),
        (not recipe.packing, "packing must be false: rows are kept whole, as their loss is on the answers alone"),
        (recipe.arc_rows == 0 or recipe.arc_rows >= 10, "arc_rows must be 0 (all) or at least 10, to be cut 80/10/10"),
        (0 <= recipe.rag_rows <= 8 and 1 <= recipe.rag_passages <= 8,
         "rag_rows must be from 0 to 8 and rag_passages from 1 to 8"),
        (0 <= recipe.rag_sentences <= 12, "rag_sentences must be from 0 to 12"),
        (0 <= recipe.missing_share <= 0.5, "missing_share must be from 0 to 0.5"),
        (0 <= recipe.changed_share <= 1, "changed_share must be from 0 to 1"),
    ]


def _combinations(recipe: Recipe) -> list[tuple[bool, str]]:
    """Keys that exclude or want each other."""
    return [
        (not (recipe.rag_rows and not recipe.rag_sentences and recipe.max_length < 512),
         "rows with passages need a max_length of 512 or more"),
        (not (recipe.rag_rows and not recipe.uses_papers), "rag_rows needs papers in data: ARC has no passages"),
        (bool(recipe.rag_rows and recipe.rag_sentences) or not (recipe.rag_drawn or recipe.changed_share),
         "rag_drawn and changed_share need rag_rows and rag_sentences"),
        (not (recipe.changed_share and recipe.rag_answer == "quote"),
         'changed_share needs rag_answer = "reference": a quote holds its figures word for word'),
        (not (recipe.arc_rows and not recipe.uses_arc), "arc_rows needs arc in data"),
        (recipe.metric != "accuracy" or recipe.uses_arc, "the metric accuracy needs arc in data: it counts options"),
        (recipe.precision != "fp16" or recipe.device == "gpu", 'the precision fp16 needs device = "gpu"'),
        (recipe.base == "embedded" or bool(recipe.weights),
         f'base {recipe.base} needs weights = "hf:OWNER/REPO": its GGUF is quantised, training wants the original'),
        (not recipe.chat_template or recipe.base.startswith("qwen2.5"),
         f"the chat_template {recipe.chat_template} belongs to a Qwen2.5 base"),
    ]
