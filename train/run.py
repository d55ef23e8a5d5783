"""One training run: recipe in, adapter with its model card out.

    python -m train.run train/recipes/smollm2-135m.toml [--max-steps N] [--out DIR]

Validates the recipe and the data, dequantises the base GGUF, tunes it, writes the adapter as GGUF
to assets/adapters/<name>/ with its model card, and the log of the run to assets/runs/<name>/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from space import models, questions, retriever
from space.errors import UserError
from space.settings import ASSETS, ROOT
from train import rows
from train.config import Recipe, load_recipe


def run(recipe: Recipe, adapters: Path, runs: Path) -> Path:
    """Do the run; returns the adapter's GGUF file."""
    from train import base, export, tune

    profile = models.PROFILES[recipe.base]
    gguf = models.resolve(profile.base)
    models.check_base(profile, gguf)
    examples = questions.load_examples()
    train, dev = ([e for e in examples if e.split == part] for part in ("train", "dev"))
    if not train or not dev:
        raise UserError("There are no training or dev questions.", "Run `python -m train.data split`.")
    finder = retriever.Retriever(ASSETS / "index", profile.embedder) if recipe.rag_rows else None
    work = ROOT / "work" / recipe.name
    folder = base.dequantize(gguf, ROOT / "work" / f"{gguf.stem}-float32")
    train_rows = rows.training_rows(train, recipe, finder)
    dev_rows = rows.dev_rows(dev, recipe, finder)
    out = runs / recipe.name
    out.mkdir(parents=True, exist_ok=True)
    data = data_identity(len(train_rows), len(dev_rows))
    log = out / "log.jsonl"
    log.write_text("")

    def report(line: dict) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    outcome = tune.tune(recipe, folder, train_rows, dev_rows, work, report)
    target = adapters / recipe.name
    target.mkdir(parents=True, exist_ok=True)
    adapter = export.write_adapter(gguf, outcome.adapter, target / "adapter.gguf")
    card = {
        "schema": 1, "name": recipe.name, "base": profile.label, "base_file": gguf.name,
        "base_sha256": models.sha256_of(gguf), "method": "LoRA on all linear layers (Unsloth, SFT, loss on answers)",
        "recipe": asdict(recipe), "data": data,
        "steps": outcome.steps, "minutes": outcome.minutes, "best_epoch": outcome.best_epoch,
        "train_loss": outcome.train_loss, "dev_loss": outcome.eval_loss,
        "trainable_parameters": outcome.trainable_parameters, "dtype": outcome.dtype,
        "hardware": tune.hardware(), "packages": tune.packages(),
        "adapter_sha256": models.sha256_of(adapter), "adapter_mb": round(adapter.stat().st_size / 1e6, 1),
    }
    tune.write_json(target / "model_card.json", card)
    tune.write_json(out / "run.json", card)
    return adapter


def data_identity(train_rows: int, dev_rows: int) -> dict[str, object]:
    """Hashes and counts of what a run was trained on."""
    digest = hashlib.sha256(questions.QUESTIONS.read_bytes()).hexdigest()
    return {"questions_sha256": digest, "train_rows": train_rows, "dev_rows": dev_rows}


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
    return 0


if __name__ == "__main__":
    sys.exit(main())
