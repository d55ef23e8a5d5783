"""What a token costs on this machine, by how it is computed: the figures behind the engine's turns and workers.

    python -m eval.bench lanes [--model FILE] [--adapter FILE] [--rounds 3]

Three tables, medians over rounds: writing by threads, alone and side by side; reading a prompt in pieces, by threads;
and reading a question behind little and behind much. Tokens are random ones of the vocabulary. Leave the machine
alone meanwhile. Without --model the embedded model and its adapter are measured.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eval.bench.serve import files, label, machine
from space.lane import Lane
from space.settings import load_settings
from space.weights import Weights

CONTEXT, SCAFFOLD, PROMPT, QUESTION = 1024, 20, 512, 24
"""Tokens: of a context, of what all prompts begin with, of a prompt to read, and of a question behind it."""
PIECES = (16, 32, 64, 128, 256, 512)

Run = Callable[[], None]


def timed(run: Run) -> tuple[float, float]:
    """Seconds, and CPU-seconds of the whole process."""
    began, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - began, time.process_time() - cpu


class Bench:
    """Lanes of one kind, as many as there are threads."""

    def __init__(self, weights: Weights, adapter: Path | None, threads: int, rounds: int, written: int) -> None:
        self.threads, self.rounds, self.written = threads, rounds, written
        rng = random.Random(1)
        self.tokens = [rng.randrange(100, weights.vocab_size) for _ in range(CONTEXT)]
        self.lanes = [Lane(weights, CONTEXT, threads, adapter) for _ in range(threads)]
        for lane in self.lanes:
            lane.read(0, self.tokens[:SCAFFOLD])

    def write(self, lanes: Sequence[Lane], threads: int) -> float:
        """Milliseconds a token, of each lane, while all of `lanes` write."""
        def write(lane: Lane) -> None:
            for token in self.tokens[:self.written]:
                lane.write({0: token})

        def run() -> None:
            with ThreadPoolExecutor(len(lanes)) as pool:
                list(pool.map(write, lanes))

        found = []
        for _ in range(self.rounds):
            for lane in lanes:
                lane.cut(0, SCAFFOLD)
                lane.limit_threads(threads)
            found.append(timed(run)[0])
        return statistics.median(found) / self.written * 1000

    def read(self, piece: int, threads: int) -> tuple[float, float]:
        """Milliseconds and CPU-milliseconds a token of a prompt that is read in pieces."""
        lane, prompt = self.lanes[0], self.tokens[SCAFFOLD:SCAFFOLD + PROMPT]
        lane.limit_threads(threads)

        def run() -> None:
            for start in range(0, len(prompt), piece):
                lane.read(0, prompt[start:start + piece], picked=start + piece >= len(prompt))

        found = []
        for _ in range(self.rounds):
            lane.cut(0, SCAFFOLD)
            found.append(timed(run))
        seconds, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        return seconds / len(prompt) * 1000, cpu / len(prompt) * 1000

    def read_behind(self, held: int) -> float:
        """Milliseconds until a token can be picked behind a question, where the place holds `held` tokens."""
        lane = self.lanes[0]
        lane.limit_threads(self.threads)
        lane.cut(0, 0)
        lane.read(0, self.tokens[:held])
        found = []
        for _ in range(self.rounds * 3):
            lane.cut(0, held)
            found.append(timed(lambda: lane.read(0, self.tokens[-QUESTION:]))[0])
        return statistics.median(found) * 1000


def tables(plain: Bench, tuned: Bench | None) -> Iterator[str]:
    """Markdown lines."""
    kinds = {"plain": plain} | ({"with the adapter": tuned} if tuned else {})
    threads = plain.threads
    yield f"| writing, ms a token | {threads} threads | 1 thread | {threads} answers side by side, 1 thread each |"
    yield "|---|---|---|---|"
    for name, bench in kinds.items():
        one, all_lanes = bench.lanes[:1], bench.lanes
        yield (f"| {name} | {bench.write(one, threads):.1f} | {bench.write(one, 1):.1f} | "
               f"{bench.write(all_lanes, 1):.1f} |")
    yield ""
    yield f"| reading {PROMPT} tokens in pieces, ms (CPU-ms) a token | " + " | ".join(map(str, PIECES)) + " |"
    yield "|---" * (len(PIECES) + 1) + "|"
    for name, bench in kinds.items():
        for count in (threads, 1):
            cells = (bench.read(piece, count) for piece in PIECES)
            yield (f"| {name}, {count} threads | " + " | ".join(f"{ms:.1f} ({cpu:.1f})" for ms, cpu in cells) + " |")
    yield ""
    behind = (SCAFFOLD, PROMPT)
    yield f"| a question of {QUESTION} tokens, ms until its answer begins | " + " | ".join(
        f"behind {held} tokens" for held in behind) + " |"
    yield "|---|---|---|"
    for name, bench in kinds.items():
        yield f"| {name} | " + " | ".join(f"{bench.read_behind(held):.0f}" for held in behind) + " |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m eval.bench lanes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=50, help="how many are written in a round")
    parser.add_argument("--threads", type=int, default=load_settings().thread_count)
    args = parser.parse_args(arguments)
    model, adapter = files(args.model, args.adapter)
    print(f"{machine()}; {label(model, adapter)}\n")
    weights = Weights(model)
    plain = Bench(weights, None, args.threads, args.rounds, args.tokens)
    tuned = Bench(weights, adapter, args.threads, args.rounds, args.tokens) if adapter else None
    for line in tables(plain, tuned):
        print(line, flush=True)
    return 0
