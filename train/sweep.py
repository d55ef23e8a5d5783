"""Choose a learning rate on dev loss: short runs of one recipe at several rates.

    python -m train.sweep train/recipes/smollm2-135m.toml [--rates 3e-4,7e-4,1.5e-3] [--steps 50]

Each rate is a run of its own under work/sweep/<recipe>/, with the recipe's schedule squeezed into so many
steps; one that was stopped goes on, one that is finished is not done again. Prints the dev loss of each and
writes all of them to work/sweep/<recipe>/sweep.json. The rate is not written into the recipe: fifty steps say
which rates diverge or crawl, not which epoch answers best (docs/experiments.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.settings import ROOT
from train import run
from train.config import Recipe, check, load_recipe
from train.files import write_json

Train = Callable[[Recipe, Path, Path], object]
"""(recipe, folder of adapters, folder of runs): does one run."""


def parse_rates(text: str) -> list[float]:
    """`3e-4,7e-4` -> [0.0003, 0.0007], at least two different ones."""
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is no list of learning rates.", "Write --rates 3e-4,7e-4,1.5e-3.") from None
    if len(set(rates)) < 2 or len(set(rates)) < len(rates):
        raise UserError("A sweep needs two or more different rates.", "Write --rates 3e-4,7e-4,1.5e-3.")
    return rates


def recipes(recipe: Recipe, rates: Sequence[float], steps: int) -> list[Recipe]:
    """The recipe at each rate, for `steps` steps. Raises UserError for a rate or a number that no recipe may have."""
    made = [replace(recipe, name=f"{recipe.name}-{rate:g}", learning_rate=rate, max_steps=steps, keep_best=False)
            for rate in rates]
    for one in made:
        check(one, one.name)
    return made


def sweep(made: Sequence[Recipe], out: Path, train: Train) -> list[dict[str, Any]]:
    """Do the runs, and return one row for each: rate, steps, train loss over the last fifth, dev loss."""
    rows = []
    for one in made:
        train(one, out / "adapters", out / "runs")
        record = json.loads((out / "runs" / one.name / "run.json").read_text(encoding="utf-8"))
        losses = [loss for _, loss in record["train_loss"]]
        last = losses[-max(len(losses) // 5, 1):]
        rows.append({"learning_rate": one.learning_rate, "steps": record["steps"],
                     "train_loss": round(sum(last) / len(last), 4), "dev_loss": round(record["dev_loss"][-1][1], 4)})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; the lowest dev loss is marked."""
    best = min(row["dev_loss"] for row in rows)
    lines = ["| learning rate | steps | train loss, last fifth | dev loss |", "|---|---|---|---|"]
    lines += [f"| {row['learning_rate']:g} | {row['steps']} | {row['train_loss']} | "
              + (f"**{row['dev_loss']}**" if row["dev_loss"] == best else str(row["dev_loss"])) + " |" for row in rows]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--rates", default="3e-4,7e-4,1.5e-3")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, help="folder of the runs (default: work/sweep/<recipe>)")
    options = parser.parse_args(argv)
    if options.steps < 1:
        parser.error("--steps must be at least 1")
    try:
        recipe = load_recipe(options.recipe)
        out = options.out or ROOT / "work" / "sweep" / recipe.name
        rows = sweep(recipes(recipe, parse_rates(options.rates), options.steps), out, run.run)
        write_json(out / "sweep.json", rows)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
