"""Export a trained adapter in the forms that other programs read.

    python -m train.export NAME [--peft] [--merged] [--f16] [--q4_k_m] [--adapters DIR] [--out DIR]

NAME is a folder of assets/adapters with adapter.gguf and model_card.json. Without a choice all four are made:
    --peft     DIR/peft/                 the adapter as a PEFT folder, for vLLM and its like
    --merged   DIR/merged/               base + adapter as a Hugging Face folder, float16
    --f16      DIR/<name>-f16.gguf       the same as one GGUF, float16
    --q4_k_m   DIR/<name>-q4_k_m.gguf    the same quantised by llama.cpp, from the float16 file and an importance
                                         matrix of 64 training questions with their answers (train/importance.py)
DIR is work/export/<name> unless --out names another. A file that is there and was made from this very
adapter is kept.

Compare plain and tuned at the same quantisation only: the adapter on the 4-bit base, as the app does, or
both merged and quantised alike (`--q4_k_m` here, and the official q4_k_m as plain).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space import models, references
from space.errors import UserError
from space.settings import ASSETS, ROOT
from train import importance
from train.files import write_json
from train.rows import Row

FORMS = ("peft", "merged", "f16", "q4_k_m")


@dataclass(frozen=True)
class Source:
    """A trained adapter with what it was trained on. `weights` is the Hugging Face folder; `original` says
    that the recipe trained on that, and not on the dequantised `base`. q4_k_m is rounded with care for the columns
    that matter to the rows which `calibration` gives."""

    name: str
    label: str
    adapter: Path
    base: Path
    weights: Path
    original: bool
    calibration: Callable[[], Sequence[Row]] = importance.train_rows


def load_source(name: str, adapters: Path = ASSETS / "adapters") -> Source:
    """The adapter's files and its base, downloaded or dequantised where they are not there yet.

    Raises UserError where there is no such adapter, or it is not the one of its card.
    """
    from train import base

    folder = adapters / name
    try:
        card = json.loads((folder / "model_card.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = ", ".join(sorted(p.parent.name for p in adapters.glob("*/model_card.json"))) or "none"
        raise UserError(f"There is no trained adapter {name} in {adapters}.", f"There are: {there}.") from None
    adapter = folder / "adapter.gguf"
    if not adapter.exists() or references.sha256_of(adapter) != card["adapter_sha256"]:
        raise UserError(f"{adapter} is not the file that its model_card.json describes.", "Train it again.")
    profile, weights = models.PROFILES[card["recipe"]["base"]], card["recipe"]["weights"]
    gguf = references.resolve(profile.base)
    folder_of_weights = (references.resolve(weights) if weights
                         else base.dequantize(gguf, ROOT / "work" / f"{gguf.stem}-float32"))
    return Source(name, profile.label, adapter, gguf, folder_of_weights, bool(weights))


def make(source: Source, form: str, out: Path, say: Callable[[str], None] = lambda line: None) -> Path:
    """Make one of FORMS under `out`, or keep what was made from the same files; returns its path."""
    from train import adapters, merge

    path = out / {"peft": "peft", "merged": "merged", "f16": f"{source.name}-f16.gguf",
                  "q4_k_m": f"{source.name}-q4_k_m.gguf"}[form]
    rows = source.calibration() if form == "q4_k_m" else []
    stamp: dict[str, Any] = {"adapter": references.sha256_of(source.adapter), "base": references.sha256_of(source.base)}
    if rows:
        stamp["importance"] = importance.identity(rows)
    note = note_of(path)
    if path.exists() and note.exists() and json.loads(note.read_text()) == stamp:
        return path
    out.mkdir(parents=True, exist_ok=True)
    if form == "q4_k_m":
        merged, exact = make(source, "merged", out, say), make(source, "f16", out, say)
        _quantize(exact, merged, source.base, rows, path)
    elif form == "f16":
        merge.merge_gguf(source.base, source.adapter, path, source.weights if source.original else None,
                         f"{source.label} {source.name}")
    elif form == "merged":
        merge.merge_folder(source.base, source.adapter, source.weights, path)
    else:
        part = path.with_name("peft.part")
        shutil.rmtree(part, ignore_errors=True)
        pairs, scale = adapters.read_gguf_adapter(source.adapter)
        adapters.write_peft(source.base, pairs, scale, merge.linear_modules(source.weights), part,
                            source.weights.name if source.original else source.label)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part, path)
    write_json(note, stamp)
    size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.iterdir()))
    say(f"{size / 1e6:9,.1f} MB  {path}")
    return path


def _quantize(exact: Path, merged: Path, base: Path, rows: Sequence[Row], path: Path) -> None:
    """q4_k_m in two passes: the first shows which tensors fall back to q5_0."""
    from train import llama, rounding

    threads = len(os.sched_getaffinity(0))
    llama.quantize(exact, path, threads)
    if not rows:
        return
    fallen = rounding.fallen_back(path)
    moments = importance.measure(merged, base, rows, fallen)
    adjusted = path.with_name(f"{path.name}.adjusted.part")
    try:
        rounding.adjust(exact, {name: moments.pop(name) for name in fallen if name in moments}, adjusted)
        llama.quantize(adjusted, path, threads, moments)
    finally:
        adjusted.unlink(missing_ok=True)


def note_of(path: Path) -> Path:
    """The file that says what an exported file was made from."""
    return path.with_name(f"{path.name}.made-from.json")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    for form in FORMS:
        parser.add_argument(f"--{form}", dest="forms", action="append_const", const=form)
    parser.add_argument("--adapters", type=Path, default=ASSETS / "adapters")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    try:
        source = load_source(options.name, options.adapters)
        for form in options.forms or FORMS:
            make(source, form, options.out or ROOT / "work" / "export" / options.name, print)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"A file could not be written ({error.strerror}). Name another folder in --out.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
