"""A training run of a tiny model, in a process of its own that can be killed or torn by a failure:

python -m tests.train.tiny_tune FOLDER '{"learning_rate": 0.001}' [--kill-at STEP] [--largest-file BYTES]

The base lies in FOLDER/base; the log goes to FOLDER/log.jsonl, the losses of the run to FOLDER/outcome.json.
"""

import argparse
import json
import os
import resource
import sys
from pathlib import Path

from space.errors import UserError
from tests.train import tiny
from train import checkpoints, tune
from train.config import Recipe
from train.files import StepLog, write_json

RECIPE = {
    "rank": 4,
    "alpha": 4,
    "learning_rate": 1e-3,
    "epochs": 2.0,
    "batch_size": 2,
    "gradient_accumulation": 2,
    "optimizer": "adamw_torch",
    "precision": "fp32",
    "dropout": 0.1,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("values", type=json.loads)
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--largest-file", type=int, default=0)
    options = parser.parse_args()
    recipe = Recipe(name="tiny", base="embedded", **{**RECIPE, **options.values})
    work = options.folder / "work"
    log = StepLog(options.folder / "log.jsonl")
    last = checkpoints.last_whole(work / "checkpoints")
    if os.environ.get("RANK", "0") == "0":
        log.begin(checkpoints.step_of(last) if last else 0)

    def report(line):
        log.append(line)
        if "loss" in line and line["step"] == options.kill_at:
            os.kill(os.getpid(), 9)
        if "loss" in line and line["step"] == 9 and options.largest_file:  # from here on a larger file is refused
            resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file, resource.RLIM_INFINITY))

    try:
        outcome = tune.tune(recipe, options.folder / "base", tiny.rows(40), tiny.rows(6), work, report, save_steps=4,
                            choices=tiny.choices(6) if recipe.metric == "accuracy" else ())
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if outcome.first:
        write_json(
            options.folder / "outcome.json",
            {
                "steps": outcome.steps,
                "losses": outcome.train_loss,
                "dev": outcome.eval_loss,
                "best": outcome.best_epoch,
                "accuracy": outcome.accuracy,
                "processes": outcome.processes,
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
