"""One training run: recipe in, adapter with its model card out.

    python -m train.run train/recipes/smollm2-135m.toml [--max-steps N] [--out DIR]

Validates the recipe, the machine and the data, dequantises the base GGUF (or fetches the recipe's
`weights`), tunes it, writes the adapter as GGUF to assets/adapters/<name>/ with its model card, and the
log of the run to assets/runs/<name>/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from space import models, questions, retriever
from space.errors import UserError
from space.settings import ASSETS, ROOT
from train import arc_rows, rows
from train.config import Recipe, load_recipe
from train.rows import Finder


def run(recipe: Recipe, adapters: Path, runs: Path) -> Path:
    """Do the run; returns the adapter's GGUF file."""
    from train import base, device, export, tune

    device.check(recipe)
    profile = models.PROFILES[recipe.base]
    gguf = models.resolve(profile.base)
    models.check_base(profile, gguf)
    finder = retriever.Retriever(ASSETS / "index", profile.embedder) if recipe.rag_rows else None
    material = gather(recipe, finder)
    work = ROOT / "work" / recipe.name
    folder = (models.resolve(recipe.weights) if recipe.weights
              else base.dequantize(gguf, ROOT / "work" / f"{gguf.stem}-float32"))
    out = runs / recipe.name
    out.mkdir(parents=True, exist_ok=True)
    log = out / "log.jsonl"
    log.write_text("")

    def report(line: dict) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    outcome = tune.tune(recipe, folder, material.train, material.dev, work, report)
    target = adapters / recipe.name
    target.mkdir(parents=True, exist_ok=True)
    adapter = export.write_adapter(gguf, outcome.adapter, target / "adapter.gguf")
    card = {
        "schema": 1, "name": recipe.name, "base": profile.label, "base_file": gguf.name,
        "base_sha256": models.sha256_of(gguf), "method": "LoRA on all linear layers (Unsloth, SFT, loss on answers)",
        "recipe": asdict(recipe), "data": material.identity,
        "steps": outcome.steps, "minutes": outcome.minutes, "best_epoch": outcome.best_epoch,
        "train_loss": outcome.train_loss, "dev_loss": outcome.eval_loss,
        "trainable_parameters": outcome.trainable_parameters, "dtype": outcome.dtype,
        "load_in_4bit": outcome.load_in_4bit,
        "hardware": tune.hardware(), "packages": tune.packages(),
        "adapter_sha256": models.sha256_of(adapter), "adapter_mb": round(adapter.stat().st_size / 1e6, 1),
    }
    tune.write_json(target / "model_card.json", card)
    tune.write_json(out / "run.json", card)
    return adapter


@dataclass(frozen=True)
class Material:
    """The rows of a run, and the hashes and counts that name them."""

    train: list[rows.Row]
    dev: list[rows.Row]
    identity: dict[str, object]


def gather(recipe: Recipe, finder: Finder | None) -> Material:
    """The rows that the recipe's `data` names. Our own questions keep their split by sections."""
    train, dev = [], []
    identity: dict[str, object] = {"questions_sha256": ""}
    if recipe.uses_papers:
        examples = questions.load_examples()
        own, chosen_by = ([e for e in examples if e.split == part] for part in ("train", "dev"))
        if not own or not chosen_by:
            raise UserError("There are no training or dev questions.", "Run `python -m train.data split`.")
        train += rows.training_rows(own, recipe, finder)
        dev += rows.dev_rows(chosen_by, recipe, finder)
        identity["questions_sha256"] = hashlib.sha256(questions.QUESTIONS.read_bytes()).hexdigest()
    if recipe.uses_arc:
        cut = arc_rows.training_cut(recipe.seed, recipe.arc_rows)
        train += arc_rows.rows(cut["train"])
        dev += arc_rows.rows(cut["dev"])
        identity["arc"] = arc_rows.identity(cut)
    return Material(train, dev, identity | {"train_rows": len(train), "dev_rows": len(dev)})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--max-steps", type=int, default=0, help="stop early, for a trial")
    parser.add_argument("--out", type=Path, default=ASSETS, help="where adapters/ and runs/ are written")
    options = parser.parse_args(argv)
    try:
        recipe = load_recipe(options.recipe)
        if options.max_steps:
            recipe = replace(recipe, max_steps=options.max_steps)
        adapter = run(recipe, options.out / "adapters", options.out / "runs")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"adapter -> {adapter}")
    if recipe.metric == "accuracy":
        print("This recipe is judged by accuracy: measure it with `python -m eval.arc --split test`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
