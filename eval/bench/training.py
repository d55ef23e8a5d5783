"""How fast we train on this machine against the plain TRL + PEFT script with the same settings.

    python -m eval.bench.training [--recipe FILE] [--steps 25] [--batch 2] [--precision auto] [--out FILE.json]

Both run at once, each in its own process, and take steps in turn: one works while the other waits, so that
what else the machine does falls on both. A step counts from the moment its process may go on until its
loss is known, in seconds and in CPU seconds (the latter do not grow on a busy machine); the first three
steps warm up and are left out. Tokens are those of the rows, without padding. At the end both measure the
loss on the same dev rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from space import models, prompts, references
from space.errors import UserError
from space.settings import ASSETS, ROOT
from train.config import Recipe, load_recipe
from train.files import write_json
from train.rows import Row

SIDES = ("ours", "plain")
WARM_UP = 3
MARK = "@@"
"""Lines of a side's output that are meant for the parent begin so; libraries print there too."""


class Turn:
    """A side's part of taking turns: reports a step, then waits to be let on."""

    def __init__(self) -> None:
        self._released = (time.monotonic(), time.process_time())

    def report(self, line: dict[str, Any]) -> None:
        """Report a line of the trainer; one with `loss` ends this side's turn."""
        wall, cpu = time.monotonic() - self._released[0], time.process_time() - self._released[1]
        known = {key: line[key] for key in ("step", "loss", "eval_loss", "num_tokens") if key in line}
        print(MARK + json.dumps({**known, "wall_s": wall, "cpu_s": cpu}), flush=True)
        if "loss" in line:
            sys.stdin.readline()
            self._released = (time.monotonic(), time.process_time())


def side(name: str, folder: Path) -> None:
    """One of the two processes; what it works on lies in `folder`."""
    from train import device

    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    recipe, base = Recipe(**task["recipe"]), Path(task["base"])
    rows, dev = ([Row(i, tuple(prompts.Piece(*p) for p in pieces), a) for i, pieces, a in task[part]]
                 for part in ("rows", "dev"))
    turn, out = Turn(), folder / name
    if name == "ours":
        from train import tune

        tune.tune(recipe, base, rows, dev, out, turn.report)
    else:
        from eval.bench import plain_trl

        plain_trl.tune(recipe, base, rows, dev, out, turn.report)
    print(MARK + json.dumps({"memory_mb": device.peak_memory_mb()}), flush=True)


class Side:
    """The parent's handle of a side."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.lines = name, list[dict[str, Any]]()
        self._errors = (folder / f"{name}.err").open("w+")
        self._process = subprocess.Popen([sys.executable, "-m", "eval.bench.training", "--side", name, str(folder)],
                                         cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=self._errors, text=True)

    def until(self, key: str) -> None:
        """Read what the side reports up to a line with `key`."""
        assert self._process.stdout
        for text in self._process.stdout:
            if text.startswith(MARK):
                self.lines.append(json.loads(text[len(MARK):]))
                if key in self.lines[-1]:
                    return
        self._errors.seek(0)
        raise UserError(f"The side {self.name} ended early.", (self._errors.read().split("\n")[-2:] or [""])[0][-300:])

    def go(self) -> None:
        """Let it take its next step."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._errors.close()


def race(folder: Path, steps: int) -> dict[str, list[dict[str, Any]]]:
    """All reported lines of both sides, which took `steps` steps in turn."""
    sides = []
    try:
        for name in SIDES:  # one after the other: each gets the whole machine while it loads
            sides.append(Side(name, folder))
            sides[-1].until("loss")
        for step in range(2, steps + 1):
            for one in sides if step % 2 else sides[::-1]:
                one.go()
                one.until("loss")
        for one in sides:
            one.go()
            one.until("memory_mb")
    finally:
        for one in sides:
            one.close()
    return {one.name: one.lines for one in sides}


def summary(lines: Sequence[dict[str, Any]], tokens: Sequence[int]) -> dict[str, Any]:
    """Speeds behind the warm-up, and losses. `tokens` are those of each step."""
    steps = [line for line in lines if "loss" in line][WARM_UP:]
    count = sum(tokens[WARM_UP:])
    wall, cpu = (sum(line[key] for line in steps) for key in ("wall_s", "cpu_s"))
    return {"tokens": count, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "tokens_per_s": round(count / wall, 1),
            "tokens_per_cpu_s": round(count / cpu, 1), "loss": [round(x["loss"], 4) for x in lines if "loss" in x],
            "dev_loss": round(next(x["eval_loss"] for x in lines if "eval_loss" in x), 4),
            "memory_mb": next(x["memory_mb"] for x in lines if "memory_mb" in x)}


def plain_tokens(lines: Sequence[dict[str, Any]]) -> list[int]:
    """Tokens of each step, from the running count of the plain side, which leaves padding out."""
    counts = [0, *(int(line["num_tokens"]) for line in lines if "loss" in line)]
    return [after - before for before, after in zip(counts, counts[1:], strict=False)]


def our_tokens(recipe: Recipe, lengths: Sequence[int], steps: int) -> list[int]:
    """Tokens of each step, from the order in which our sampler gives the rows."""
    from train import order

    size = recipe.batch_size * recipe.gradient_accumulation
    places = [place for epoch in range(steps * size // len(lengths) + 1)
              for place in order.epoch_order(lengths, size, recipe.seed, epoch, recipe.group_by_length)]
    return [sum(lengths[place] for place in places[n * size:(n + 1) * size]) for n in range(steps)]


def prepare(recipe: Recipe, folder: Path, count: int, dev: int) -> list[int]:
    """Write the task of both sides; returns the length of each row in tokens."""
    from space import retriever
    from train import base, run, tune

    profile = models.PROFILES[recipe.base]
    gguf = references.resolve(profile.base)
    material = run.gather(recipe, retriever.Retriever(ASSETS / "index", profile.embedder) if recipe.rag_rows else None)
    rows, dev_rows = material.train[:count], material.dev[:dev]
    weights = base.dequantize(gguf, ROOT / "work" / f"{gguf.stem}-float32")

    def plain(part: Sequence[Row]) -> list[Any]:
        return [(r.example_id, [(p.text, p.control) for p in r.prompt], r.answer) for r in part]

    write_json(folder / "task.json", {"recipe": asdict(recipe), "base": str(weights), "rows": plain(rows),
                                      "dev": plain(dev_rows)})
    return [len(row["input_ids"]) for row in tune.encode_rows(rows, base.load_tokenizer(gguf), recipe.max_length)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "train" / "recipes" / "smollm2-135m.toml")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--batch", type=int, default=2, help="rows of a step")
    parser.add_argument("--rows", type=int, default=400, help="training rows to draw from")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    parser.add_argument("--side", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.side:
        side(options.side[0], Path(options.side[1]))
        return 0
    if options.steps <= WARM_UP:
        parser.error(f"--steps must be above {WARM_UP}: the first ones warm up")
    try:
        record = measure(load_recipe(options.recipe), options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if options.out:
        write_json(options.out, record)
    print("| side | tokens/s | tokens per CPU second | peak memory | dev loss |\n|---|---|---|---|---|")
    for name in SIDES:
        of = record[name]
        print(f"| {name} | {of['tokens_per_s']} | {of['tokens_per_cpu_s']} | {of['memory_mb']} MB | {of['dev_loss']} |")
    print(f"ours / plain: {record['ratio']} in tokens/s, {record['cpu_ratio']} in tokens per CPU second")
    return 0


def measure(recipe: Recipe, options: argparse.Namespace) -> dict[str, Any]:
    """The race and its record."""
    from train import tune

    precision = options.precision
    if precision == "auto":
        precision = "bf16" if _computes_bf16() else "fp32"
    recipe = replace(recipe, max_steps=options.steps, batch_size=options.batch, gradient_accumulation=1,
                     precision=precision, optimizer="adamw_torch_fused", keep_best=False)
    with tempfile.TemporaryDirectory() as place:
        lengths = prepare(recipe, Path(place), options.rows, dev=12)
        lines = race(Path(place), options.steps)
    sides = {"ours": summary(lines["ours"], our_tokens(recipe, lengths, options.steps)),
             "plain": summary(lines["plain"], plain_tokens(lines["plain"]))}
    ratios = {name: round(sides["ours"][key] / sides["plain"][key], 2)
              for name, key in (("ratio", "tokens_per_s"), ("cpu_ratio", "tokens_per_cpu_s"))}
    return {"schema": 1, "recipe": asdict(recipe), "steps": options.steps, "hardware": tune.hardware(),
            "packages": tune.packages(), **sides, **ratios}


def _computes_bf16() -> bool:
    """Whether this CPU has instructions for bfloat16; without, it is twenty times slower."""
    flags = Path("/proc/cpuinfo")
    return flags.exists() and ("avx512_bf16" in flags.read_text() or "amx_bf16" in flags.read_text())


if __name__ == "__main__":
    sys.exit(main())
