"""The training runs and the adapters that lie in assets, read for the training page.

A run's folder holds `run.json` (what it was and gave), `log.jsonl` (a line for each step and each
evaluation), and may hold `recipe.toml`, `state.json` and `parity.json`. The files of a finished run
are held to its `SHA256SUMS`. Files of older and newer versions
are read alike: what a file does not say is None or absent, and never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space import references, sums
from space.errors import UserError
from space.json_text import parse_json
from space.settings import ASSETS

RUNS = ASSETS / "runs"
ADAPTERS = ASSETS / "adapters"
REDO = "Train one: `python -m train.run train/recipes/smollm2-135m.toml`."


@dataclass(frozen=True)
class Evaluation:
    """The dev loss after a step."""

    epoch: float
    step: int
    loss: float


@dataclass(frozen=True)
class Parity:
    """How the served files agree with what was trained, on `prompts` prompts: answers that are the same in
    transformers and in the float16 GGUF, and shares of answers with the same first token, or wholly the same,
    in the 4-bit file and with the adapter on the 4-bit base. `splits` says of each answer that parts by how
    much transformers prefers its own token, in logits; `troubles` are bounds that are not kept."""

    prompts: int
    same: int | None
    q4_first: float | None
    q4_whole: float | None
    served_first: float | None
    served_whole: float | None
    troubles: tuple[str, ...] = ()
    splits: tuple[float, ...] = ()
    adapter_sha256: str = ""


@dataclass(frozen=True)
class TrainingRun:
    """A run as read. `losses` and `speeds` are (step, value); `tokens_per_s` is that of the whole run without
    its evaluations; `status` is running, stopped or finished."""

    name: str
    card: dict[str, Any]
    recipe: dict[str, Any]
    losses: tuple[tuple[int, float], ...]
    dev: tuple[Evaluation, ...]
    speeds: tuple[tuple[int, float], ...]
    steps: int
    tokens_per_s: float | None = None
    status: str = "finished"
    parity: Parity | None = None

    @property
    def lowest(self) -> Evaluation | None:
        """The evaluation with the lowest dev loss."""
        return min(self.dev, key=lambda e: e.loss, default=None)

    @property
    def kept(self) -> Evaluation | None:
        """The evaluation of the epoch whose adapter was kept, if the run says which."""
        epoch = number(self.card.get("best_epoch"))
        return next((e for e in self.dev if epoch is not None and abs(e.epoch - epoch) < 1e-6), None)


@dataclass(frozen=True)
class AdapterCard:
    """A model card and whether the file beside it has the hash that the card states (None: no file)."""

    name: str
    card: dict[str, Any] = field(default_factory=dict)
    file_mb: float | None = None
    hash_matches: bool | None = None


def run_names(folder: Path = RUNS) -> list[str]:
    """The runs of a folder, by name."""
    return sorted(p.name for p in folder.glob("*") if (p / "run.json").is_file() or (p / "log.jsonl").is_file())


def read_run(name: str, folder: Path = RUNS) -> TrainingRun:
    """A run by its name. Raises UserError where there is none or a file of it cannot be read."""
    if name not in run_names(folder):
        raise UserError(f"There is no training run {name[:80]!r}." if name else "There is no training run yet.", REDO)
    here = folder / name
    sums.check(here, sums.names(here), "make train")
    card, state = read_json(here / "run.json"), read_json(here / "state.json")
    lines = _log(here / "log.jsonl")
    recipe = card.get("recipe") or state.get("recipe") or {}
    return TrainingRun(
        name=name, card=card or state, recipe=recipe if isinstance(recipe, dict) else {},
        losses=_series(lines, "loss") or _pairs(card.get("train_loss")),
        dev=tuple(Evaluation(number(line.get("epoch")) or 0.0, step, loss) for line in lines
                  if (loss := number(line.get("eval_loss"))) is not None and (step := _step(line)) is not None),
        speeds=_series(lines, "tokens_per_s"), steps=_steps(card, lines), tokens_per_s=_speed(card, lines),
        status=str(state.get("status") or ("finished" if card else "running")),
        parity=read_parity(here / "parity.json"))


def read_parity(path: Path) -> Parity | None:
    """The parity proof; None where it was not made."""
    found = read_json(path)
    prompts = number(found.get("prompts"))
    if not prompts:
        return None
    q4, served = found.get("q4_k_m"), found.get("adapter_on_4_bit_base")
    q4, served = q4 if isinstance(q4, dict) else {}, served if isinstance(served, dict) else {}
    same = number(found.get("same_answers", found.get("f16_same")))
    troubles, splits = found.get("troubles"), found.get("splits")
    return Parity(
        int(prompts), None if same is None else int(same),
        number(q4.get("first", found.get("q4_first_token_share"))),
        number(q4.get("whole", found.get("q4_full_share"))), number(served.get("first")), number(served.get("whole")),
        tuple(map(str, troubles)) if isinstance(troubles, list) else (),
        tuple(margin for split in (splits if isinstance(splits, list) else []) if isinstance(split, dict)
              if (margin := number(split.get("margin"))) is not None), str(found.get("adapter_sha256") or ""))


def read_adapters(folder: Path = ADAPTERS) -> list[AdapterCard]:
    """Every adapter with a model card, by name."""
    found = []
    for path in sorted(folder.glob("*/model_card.json")):
        card, file = read_json(path), path.with_name("adapter.gguf")
        there = file.is_file()
        found.append(AdapterCard(
            path.parent.name, card, round(file.stat().st_size / 1e6, 1) if there else None,
            references.sha256_of(file) == card.get("adapter_sha256") if there else None))
    return found


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; {} where there is no file. Raises UserError where it is something else."""
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path.parent.name}/{path.name} cannot be read.", "Restore it, or train again.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path.parent.name}/{path.name} is no JSON object.", "Restore it, or train again.")
    return found


def number(value: Any) -> float | None:
    """The value as a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; one that a running process has not finished is left out."""
    data = path.read_bytes() if path.is_file() else b""
    lines = []
    for text in data[:data.rfind(b"\n") + 1].splitlines():
        try:
            line = parse_json(text)
        except ValueError as error:
            raise UserError(f"The log of {path.parent.name} cannot be read.", "Restore it, or train again.") from error
        if isinstance(line, dict):
            lines.append(line)
    return lines


def _step(line: Mapping[str, Any]) -> int | None:
    step = number(line.get("step"))
    return None if step is None else int(step)


def _series(lines: list[dict[str, Any]], key: str) -> tuple[tuple[int, float], ...]:
    return tuple((step, value) for line in lines
                 if (value := number(line.get(key))) is not None and (step := _step(line)) is not None)


def _pairs(found: Any) -> tuple[tuple[int, float], ...]:
    pairs = found if isinstance(found, list) else []
    return tuple((int(step), value) for pair in pairs if isinstance(pair, list) and len(pair) == 2
                 if (step := number(pair[0])) is not None and (value := number(pair[1])) is not None)


def _steps(card: Mapping[str, Any], lines: list[dict[str, Any]]) -> int:
    planned = [number(line.get("steps")) or 0 for line in lines[-1:]]
    return int(number(card.get("steps")) or (planned[0] if planned else 0))


def _speed(card: Mapping[str, Any], lines: list[dict[str, Any]]) -> float | None:
    """The run's own figure, else all tokens by the time that was not spent on evaluations."""
    if (stated := number(card.get("tokens_per_s"))) is not None:
        return stated
    tokens = max((number(line.get("num_tokens")) or 0 for line in lines), default=0)
    seconds = sum(number(line.get("train_runtime")) or 0 for line in lines)
    seconds -= sum(number(line.get("eval_runtime")) or 0 for line in lines)
    return tokens / seconds if tokens and seconds > 0 else None
