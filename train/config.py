"""Recipes: one TOML file is one training run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from space.errors import UserError
from space.models import PROFILES


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one run, named as in TRL and PEFT. `rag_rows` is how many rows with
    passages each training question gets beside its plain row, `rag_passages` how many passages
    such a row carries at most."""

    name: str
    base: str
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
    rag_rows: int = 0
    rag_passages: int = 3
    keep_best: bool = True
    note: str = ""


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
            values[key] = float(value)
        elif type(value) is not hints[key]:
            wanted = hints[key].__name__ if not get_args(hints[key]) else str(hints[key])
            raise UserError(f"{key} in {path.name} is {value!r}, not of type {wanted}.", "Correct it.")
    for key in ("name", "base"):
        if key not in values:
            raise UserError(f"{path.name} lacks {key!r}.", "Add it.")
    recipe = Recipe(**values)
    _check(recipe, path.name)
    return recipe


def _check(recipe: Recipe, name: str) -> None:
    rules = [
        (recipe.base in PROFILES, f"base must be one of {', '.join(PROFILES)}"),
        (1 <= recipe.rank <= 256, "rank must be from 1 to 256"),
        (recipe.alpha > 0, "alpha must be positive"),
        (0 <= recipe.dropout < 1, "dropout must be from 0 to below 1"),
        (0 < recipe.learning_rate <= 0.1, "learning_rate must be above 0 and at most 0.1"),
        (recipe.epochs > 0 or recipe.max_steps > 0, "epochs or max_steps must be positive"),
        (recipe.batch_size > 0 and recipe.gradient_accumulation > 0,
         "batch_size and gradient_accumulation must be positive"),
        (recipe.scheduler in ("cosine", "linear", "constant"), "scheduler must be cosine, linear or constant"),
        (64 <= recipe.max_length <= 32768, "max_length must be from 64 to 32768"),
        (0 <= recipe.rag_rows <= 8 and 1 <= recipe.rag_passages <= 8,
         "rag_rows must be from 0 to 8 and rag_passages from 1 to 8"),
        (not (recipe.rag_rows and recipe.max_length < 512),
         "rows with passages need a max_length of 512 or more"),
    ]
    for holds, sentence in rules:
        if not holds:
            raise UserError(f"In {name}: {sentence}.", "Correct the recipe.")
