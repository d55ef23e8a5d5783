"""What a recipe asks of the machine, and what it gets: GPU or CPU, 4-bit or not, which precision."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from space.errors import UserError
from train.config import Recipe

INSTALL = "Run `pip install -r requirements-gpu.txt`."


@dataclass(frozen=True)
class Plan:
    """How a run computes; `precision` is bf16, fp16 or fp32."""

    on_gpu: bool
    load_in_4bit: bool
    precision: str


def check(recipe: Recipe) -> None:
    """Refuse, before anything is downloaded, a recipe that this machine cannot run."""
    import torch

    if recipe.device == "gpu" or torch.cuda.is_available():
        choose(recipe, torch.cuda.is_available(), bf16=True)  # whether bf16 is native is known once Unsloth loads


def choose(recipe: Recipe, on_gpu: bool, bf16: bool) -> Plan:
    """The plan for a machine; `bf16` says whether its hardware computes bfloat16.

    Raises UserError where the recipe wants what the machine, or an installed package, cannot give.
    """
    if recipe.device == "gpu" and not on_gpu:
        raise UserError(f"The recipe {recipe.name} needs a CUDA GPU, and this machine shows none.",
                        "Run it in train/colab.ipynb, or train train/recipes/smollm2-135m.toml here.")
    if on_gpu and (recipe.load_in_4bit or "8bit" in recipe.optimizer) and not _installed("bitsandbytes"):
        raise UserError("4-bit weights and 8-bit optimizers on a GPU need bitsandbytes.", INSTALL)
    if recipe.precision == "bf16" and not bf16:
        raise UserError("This machine does not compute bf16 natively: it would be many times slower.",
                        'Set precision = "auto" in the recipe.')
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if bf16 else "fp16" if on_gpu else "fp32"
    return Plan(on_gpu, on_gpu and recipe.load_in_4bit, precision)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def peak_memory_mb() -> int:
    """The most memory this process has held so far: of the GPU where there is one, else of the machine."""
    import resource
    import sys

    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)
