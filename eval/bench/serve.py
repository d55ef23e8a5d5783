"""How fast the engine serves, against naive llama-cpp-python, llama.cpp's own server and the bare arithmetic:

    python -m eval.bench serve --model FILE [--adapter FILE] [--users 1,2,4,8] [--rounds 5]

Every round asks all systems the same questions, in an order that turns from round to round, on one machine;
what is printed are ratios of paired rounds with 95 % intervals, and the medians they come from. Leave the
machine alone meanwhile. Without --model the embedded model and its adapter are measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from eval.bench.serve_work import Load, Round
from space import models, references
from space.errors import UserError
from space.files import write_whole
from space.schema import CHAT_VARIANTS
from space.settings import load_settings

SYSTEMS = ("naive", "server", "ours", "prepared", "bare", "bare_prepared")
MEASURES: dict[str, Callable[[Round], float]] = {
    "until all answers are there, s": lambda r: r.all_s,
    **{f"first text of {v.key}, s": lambda r, key=v.key: r.first_s(key) for v in CHAT_VARIANTS},  # type: ignore[misc]
    "first text of tuned_rag ÷ of plain": lambda r: r.first_s("tuned_rag") / (r.first_s("plain") or math.inf),
    "answer tokens per CPU-second": lambda r: r.tokens_per_cpu_s,
    "memory, MB": lambda r: r.memory_mb,
    "latest first text, fair shares": lambda r: r.fairness,
}
T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t, two-sided 95 %, for 1 to 10 degrees of freedom."""


class Process:
    """A system in its own process."""

    def __init__(self, name: str, model: Path, adapter: Path | None, threads: int, context_tokens: int) -> None:
        self.name = name
        self._child = subprocess.Popen(
            [sys.executable, "-m", "eval.bench.serve_systems", name, str(model), str(adapter or ""), str(threads),
             str(context_tokens)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._read()

    def _read(self) -> str:
        assert self._child.stdout and self._child.stderr
        line = self._child.stdout.readline()
        if not line:
            said = self._child.stderr.read().strip().splitlines()
            raise UserError(f"The system {self.name!r} ended: {said[-1] if said else 'it said nothing'}",
                            f"Leave it out with --systems, or run `python -m eval.bench.serve_systems {self.name}`.")
        return line

    def round(self, load: Load) -> Round:
        assert self._child.stdin
        self._child.stdin.write(json.dumps(asdict(load)) + "\n")
        self._child.stdin.flush()
        return Round.of_json(json.loads(self._read()))

    def close(self) -> None:
        self._child.kill()
        self._child.wait()


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of paired ratios, with a 95 % t-interval on the logarithm (equal ends where there is one
    pair only: then there is no interval)."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(middle), math.exp(middle), math.exp(middle)
    t = T95[len(logs) - 2] if len(logs) - 2 < len(T95) else 2.0
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def table(rounds: dict[str, list[Round]], mine: str = "ours") -> list[str]:
    """Markdown lines: a measure a row; medians of each system, ratios of `mine` to each other one."""
    others = [name for name in rounds if name != mine]
    lines = ["| measure | " + " | ".join(f"{n} (median)" for n in rounds)
             + "".join(f" | {mine} ÷ {n}" for n in others if mine in rounds) + " |"]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for name, measure in MEASURES.items():
        values = {system: [measure(r) for r in found] for system, found in rounds.items()}
        cells = [f"{statistics.median(found):.3g}" for found in values.values()]
        for other in others if mine in rounds else ():
            if min(*values[mine], *values[other]) <= 0:  # no text came at all
                cells.append("-")
                continue
            middle, low, high = ratio(values[mine], values[other])
            cells.append(f"{middle:.3f} [{low:.3f}, {high:.3f}]" if low < high else f"{middle:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def tables(rounds: dict[str, list[Round]]) -> list[str]:
    """A table of questions that are new to our engine, and one where it read the passages ahead of time."""
    lines = []
    for mine, left_out in (("ours", ("prepared", "bare_prepared")), ("prepared", ("ours", "bare"))):
        if mine in rounds:
            lines += [*table({n: r for n, r in rounds.items() if n not in left_out}, mine), ""]
    return lines or table(rounds)


def measure(systems: Sequence[Process], loads: Sequence[Load]) -> dict[str, list[Round]]:
    """Every load through every system; whoever came first in one round comes last in the next."""
    rounds: dict[str, list[Round]] = {system.name: [] for system in systems}
    for number, load in enumerate(loads):
        shift = number % len(systems)
        for system in [*systems[shift:], *systems[:shift]]:
            done = system.round(load)
            rounds[system.name].append(done)
            print(f"  {load.users} users, round {number + 1}, {system.name}: {done.all_s:.1f} s", file=sys.stderr)
    return rounds


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores for this process, load average {busy} at the start"


def files(model: Path | None, adapter: Path | None) -> tuple[Path, Path | None]:
    """Model and adapter to measure: those that were named, or the embedded model with its own."""
    profile = models.PROFILES["embedded"]
    return (model or references.resolve(profile.base),
            adapter or (None if model else references.resolve(profile.adapter)))


def label(model: Path, adapter: Path | None) -> str:
    return f"{model.name}{' + ' + adapter.name if adapter else ''}"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def main(arguments: list[str] | None = None) -> int:
    settings = load_settings()
    parser = argparse.ArgumentParser(prog="python -m eval.bench serve", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--users", default="1", help="how many at once; several loads: 1,2,4,8")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answer-tokens", type=int, default=150)
    parser.add_argument("--passage-tokens", type=int, default=450)
    parser.add_argument("--alone", action="store_true", help="one answer after another: first texts without company")
    parser.add_argument("--threads", type=int, default=settings.thread_count)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--out", type=Path, help="also write every round to this JSON file")
    args = parser.parse_args(arguments)
    model, adapter = files(args.model, args.adapter)
    names = args.systems.split(",")
    if unknown := set(names) - set(SYSTEMS):
        raise UserError(f"There is no system {', '.join(sorted(unknown))}.", f"Choose from {', '.join(SYSTEMS)}.")
    if "server" in names and not find_spec("xllamacpp"):
        raise UserError("xllamacpp, which carries llama.cpp's server, is not installed.",
                        "Run `pip install --no-deps -r eval/bench/requirements.txt`, or leave it out with --systems.")
    report = {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(),
              "versions": [_version("llama-cpp-python"), _version("xllamacpp")], "model": model.name,
              "adapter": adapter.name if adapter else "", "threads": args.threads, "loads": []}
    print(f"{report['made_at']}, {report['machine']}; {', '.join(report['versions'])}; "
          f"{label(model, adapter)}, {args.threads} threads, {args.answer_tokens} tokens an answer")
    systems = [Process(name, model, adapter, args.threads, settings.context_tokens) for name in names]
    try:
        measure(systems, [Load(1, 1_000_000, 8, args.passage_tokens)])  # files are read, buffers are made
        for users in map(int, args.users.split(",")):
            rounds = measure(systems, [Load(users, 1000 * users + number, args.answer_tokens, args.passage_tokens,
                                            args.alone) for number in range(args.rounds)])  # no prompt comes twice
            report["loads"].append({"users": users, "rounds": {n: [r.as_json() for r in found]
                                                               for n, found in rounds.items()}})
            if args.out:
                write_whole(args.out, json.dumps(report, allow_nan=False, indent=1))
            print(f"\n### {users} user{'s' if users > 1 else ''}, {args.rounds} rounds\n")
            print("\n".join(tables(rounds)), flush=True)
    finally:
        for system in systems:
            system.close()
    return 0
