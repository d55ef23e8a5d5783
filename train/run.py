"""One training run: recipe in, adapter with its model card out.

    python -m train.run train/recipes/smollm2-135m.toml [--max-steps N] [--fresh] [--out DIR]
    torchrun --nproc_per_node N -m train.run train/recipes/qwen2.5-3b-qlora.toml

Validates the recipe, the machine and the data, dequantises the base GGUF (or fetches the recipe's
`weights`), tunes it, writes the adapter as GGUF to assets/adapters/<name>/ with its model card, and the
record of the run to assets/runs/<name>/. Stopped at any moment, the same command goes on from the last
whole checkpoint (every 50 steps and at the end of each epoch); a changed recipe or changed data begin anew.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from space import models, questions, references, retriever
from space.errors import UserError
from space.revision import git_state
from space.settings import ASSETS, ROOT
from train import arc_rows, checkpoints, rows, runs
from train.accuracy import Choice
from train.config import Recipe, load_recipe
from train.files import write_json
from train.rows import Finder


def run(recipe: Recipe, adapters: Path, runs_folder: Path, fresh: bool = False) -> Path | None:
    """Do the run, from where an earlier start of it was stopped unless `fresh`; returns the adapter's
    GGUF file, or None in all but the first of several processes."""
    from train import base, device, tune

    device.check(recipe)
    profile = models.PROFILES[recipe.base]
    gguf = references.resolve(profile.base)
    models.check_base(profile, gguf)
    finder = retriever.Retriever(ASSETS / "index", profile.embedder) if recipe.rag_rows else None
    material = gather(recipe, finder)
    base_sha256 = references.sha256_of(gguf)
    key = runs.key_of(recipe, (material.train, material.dev), recipe.weights or base_sha256)
    work = ROOT / "work" / recipe.name / key
    folder = (references.resolve(recipe.weights) if recipe.weights
              else base.dequantize(gguf, ROOT / "work" / f"{gguf.stem}-float32"))
    facts = {
        "name": recipe.name, "base": profile.label, "base_file": gguf.name, "base_sha256": base_sha256,
        "method": "LoRA on all linear layers (Unsloth, SFT, loss on answers)", "recipe": asdict(recipe),
        "data": material.identity, "hardware": tune.hardware(), "packages": tune.packages()}
    first = os.environ.get("RANK", "0") == "0"
    if not first:
        tune.tune(recipe, folder, material.train, material.dev, work, lambda line: None, choices=material.choices)
        return None
    release = runs.lock(work / "lock")
    try:
        record = runs.RunFolder(runs_folder / recipe.name, key, ROOT / "work" / recipe.name / "earlier")
        adapter = adapters / recipe.name / "adapter.gguf"
        if fresh:
            shutil.rmtree(work / "checkpoints", ignore_errors=True)
        elif adapter.exists() and references.sha256_of(adapter) == record.finished().get("adapter_sha256"):
            print("this run is finished, and its adapter is there; --fresh trains it anew", file=sys.stderr)
            return adapter
        return _train(recipe, folder, gguf, material, work, facts, record, adapters / recipe.name)
    finally:
        release()


def _train(recipe: Recipe, folder: Path, gguf: Path, material: Material, work: Path, facts: dict[str, Any],
           record: runs.RunFolder, target: Path) -> Path:
    """The part of the run that is recorded in its folder: training, export, cards."""
    from train import adapters, tune

    revision, dirty = git_state("assets/runs", "assets/adapters")
    facts |= {"git_revision": revision, "git_dirty": dirty}
    last = checkpoints.last_whole(work / "checkpoints")
    step = checkpoints.step_of(last) if last else 0
    if step:
        print(f"going on from the checkpoint of step {step}", file=sys.stderr)
    record.start(recipe, facts, step)
    try:
        outcome = tune.tune(recipe, folder, material.train, material.dev, work, record.report,
                            choices=material.choices)
        minutes = round(record.elapsed_s / 60, 1)
        target.mkdir(parents=True, exist_ok=True)
        adapter = adapters.write_adapter(gguf, outcome.adapter, target / "adapter.gguf")
        card = {
            "schema": 1, **facts, "steps": outcome.steps, "minutes": minutes, "best_epoch": outcome.best_epoch,
            "train_loss": outcome.train_loss, "dev_loss": outcome.eval_loss, "dev_accuracy": outcome.accuracy,
            **record.speed(),
            "trainable_parameters": outcome.trainable_parameters, "dtype": outcome.dtype,
            "load_in_4bit": outcome.load_in_4bit, "optimizer": outcome.optimizer, "processes": outcome.processes,
            "adapter_sha256": references.sha256_of(adapter), "adapter_mb": round(adapter.stat().st_size / 1e6, 1)}
        write_json(target / "model_card.json", card)
        record.finish(card)
    except UserError as error:
        record.stop(error.message)
        raise
    return adapter


@dataclass(frozen=True)
class Material:
    """The rows of a run, and the hashes and counts that name them."""

    train: list[rows.Row]
    dev: list[rows.Row]
    identity: dict[str, object]
    choices: list[Choice] = field(default_factory=list)  # what the metric accuracy counts


def gather(recipe: Recipe, finder: Finder | None) -> Material:
    """The rows that the recipe's `data` names. Our own questions keep their split by sections."""
    train, dev, choices = [], [], []
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
        choices = arc_rows.choices(cut["dev"]) if recipe.metric == "accuracy" else []
    return Material(train, dev, identity | {"train_rows": len(train), "dev_rows": len(dev)}, choices)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--max-steps", type=int, default=0, help="stop early, for a trial under work/trial")
    parser.add_argument("--out", type=Path, help="where adapters/ and runs/ are written (default: assets)")
    parser.add_argument("--fresh", action="store_true", help="from the start, whatever checkpoints there are")
    options = parser.parse_args(argv)
    out = options.out or (ROOT / "work" / "trial" if options.max_steps else ASSETS)
    try:
        recipe = load_recipe(options.recipe)
        if options.max_steps:
            recipe = replace(recipe, max_steps=options.max_steps)
        adapter = run(recipe, out / "adapters", out / "runs", options.fresh)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if adapter is None:
        return 0
    print(f"adapter -> {adapter}")
    if recipe.metric == "accuracy":
        print("Kept by accuracy on dev; measure the exported adapter with `python -m eval.arc --split test`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
