"""How many visitors a day the app bears, by simulation from the times that a run measured.

    python -m eval.bench.queueing [--run NAME] [--users 10 1000 100000] [--write docs/scale-out.md]

A question is three answers, made side by side. When the last of them was there is read from the run; the simulation
draws questions from that, lets visitors come by a Poisson process at the rate of the busiest hour, and serves them
in order of arrival with a number of workers and a bounded line (a full one refuses). Printed are Markdown
tables: what one worker bears, and how few workers keep most visitors from waiting long. The assumptions about
visitors and the prices stand in `Assumptions` and `PRICES` and in the tables' captions; nothing else is assumed.
--write puts the tables between the two marks of a document.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles

from eval.marked import exchanged
from space import eval_view
from space.errors import UserError
from space.files import write_whole
from space.results import EvalRecord, EvalRun, list_runs, read_samples
from space.schema import CHAT_VARIANTS
from space.settings import load_settings

BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"
WORKER = "cpu-upgrade"
PRICES = {WORKER: 0.03, "T4 small": 0.40, "L4": 0.80}
"""US dollars an hour, https://huggingface.co/docs/hub/spaces-gpus, read 27 November 2026."""


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted of visitors: questions each asks in a day, the share of a day's questions that
    falls into its busiest hour, the wait in line that is still borne by `share` of them, the share that may be
    refused, and the places in line."""

    questions: float = 3.0
    busiest: float = 0.12
    wait_s: float = 10.0
    share: float = 0.95
    refused: float = 0.01
    places: int = 12

    def rate(self, users: int) -> float:
        """Questions a second in the busiest hour."""
        return users * self.questions * self.busiest / 3600


@dataclass(frozen=True)
class Outcome:
    """What came of a simulated busiest hour: shares of the time that workers were busy and of questions that
    were refused; mean and 95th percentile of the wait in line, in seconds, of those that were not."""

    busy: float
    refused: float
    wait_s: float
    wait_95_s: float


def service_times(records: Sequence[EvalRecord]) -> list[float]:
    """Seconds until all answers of each question were there. A run asks a fourth variant at the same time, so in
    the app it takes somewhat less."""
    keys = {v.key for v in CHAT_VARIANTS}
    took: dict[str, dict[str, float]] = defaultdict(dict)
    for r in records:
        if r.variant in keys and r.done:
            writing = r.done.answer_tokens / r.done.decode_tps if r.done.decode_tps else 0.0
            took[r.id][r.variant] = r.done.queued_s + r.done.first_token_s + writing
    return [max(found.values()) for found in took.values() if found.keys() == keys]


def simulate(times: Sequence[float], rate: float, workers: int, places: int, questions: int = 20_000,
             seed: int = 1) -> Outcome:
    """Serve arrivals at `rate` a second, in order, by `workers`; at most `places` wait. As many as are counted
    come before them uncounted, as an empty line flatters."""
    chance = random.Random(seed)
    free = [0.0] * workers  # when each worker is free
    starts: list[float] = []  # starts of those that wait or will
    waits: list[float] = []
    now, begun, worked, refused = 0.0, 0.0, 0.0, 0
    for n in range(2 * questions):
        now += chance.expovariate(rate)
        if n == questions:
            begun, worked, refused, waits = now, 0.0, 0, []
        while starts and starts[0] <= now:
            heapq.heappop(starts)
        if free[0] > now and len(starts) >= places:
            refused += 1
            continue
        start, took = max(now, heapq.heappop(free)), chance.choice(times)
        heapq.heappush(free, start + took)
        if start > now:
            heapq.heappush(starts, start)
        worked += took
        waits.append(start - now)
    busy = min(1.0, worked / (workers * (now - begun)))
    return Outcome(busy, refused / questions, mean(waits), quantiles(waits, n=20)[-1])


def workers_needed(times: Sequence[float], rate: float, wanted: Assumptions) -> tuple[int, Outcome]:
    """The fewest workers with which `share` of the questions begin within `wait_s` and no more than `refused` are
    refused, and what comes of it. More workers never make anyone wait longer, so the number is found by halving,
    from the number that all the accepted work keeps busy. Each worker brings a place in line."""
    def fits(workers: int) -> Outcome | None:
        found = simulate(times, rate, workers, wanted.places + workers)
        return found if found.wait_95_s <= wanted.wait_s and found.refused <= wanted.refused else None

    load = rate * mean(times)
    low, high = max(0, math.ceil(load * (1 - wanted.refused)) - 1), max(1, math.ceil(load))
    while (found := fits(high)) is None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        better = fits(middle)
        low, high, found = (low, middle, better) if better else (middle, high, found)
    return high, found


def report(run: EvalRun, times: Sequence[float], users: Sequence[int], wanted: Assumptions) -> str:
    """The tables as Markdown."""
    lines = [
        f"Measured: {len(times)} questions of the run `{run.name}` ({eval_view.day(run.created_utc)}, {run.machine}, "
        f"profile {run.profile}); all three answers took {mean(times):.1f} s on average, 95 % stayed under "
        f"{quantiles(times, n=20)[-1]:.1f} s.", "",
        f"Assumed: {wanted.questions:g} questions a visitor, {wanted.busiest:.0%} of a day's in its busiest hour, "
        f"random arrivals, {wanted.places} places in line.", "",
        "| users a day | questions in the busiest hour | worker busy | refused | mean wait | 95 % wait under |",
        "|---:|---:|---:|---:|---:|---:|"]
    for n in users:
        out = simulate(times, wanted.rate(n), 1, wanted.places)
        lines.append(f"| {n:,} | {wanted.rate(n) * 3600:,.0f} | {out.busy:.0%} | {out.refused:.1%} | "
                     f"{out.wait_s:.1f} s | {out.wait_95_s:.1f} s |")
    lines += [
        "", f"Workers so that {wanted.share:.0%} begin within {wanted.wait_s:g} s and at most "
        f"{wanted.refused:.0%} are refused, with {wanted.places} places in line and one more for each worker; and "
        f"dollars per 1,000 questions if the number of the busiest hour runs all day, each on a {WORKER} of its own:",
        "",
        "| users a day | workers like the measured one | busy in the busiest hour | $ per 1,000 questions |",
        "|---:|---:|---:|---:|"]
    for n in users:
        workers, out = workers_needed(times, wanted.rate(n), wanted)
        cost = workers * PRICES[WORKER] * 24 / (n * wanted.questions) * 1000
        lines.append(f"| {n:,} | {workers:,} | {out.busy:.0%} | {cost:,.2f} |")
    return "\n".join([*lines, "", *_break_even(times)])


def _break_even(times: Sequence[float]) -> list[str]:
    """What a GPU must achieve to be cheaper than the workers it replaces; no speed of a GPU is assumed."""
    hourly = 3600 / mean(times)
    lines = [f"One worker that is always busy answers {hourly:,.0f} questions an hour. A GPU pays where it answers "
             "more than this:", "", "| GPU | price an hour | questions an hour to break even |", "|---|---:|---:|"]
    return lines + [f"| {name} | ${price:.2f} | {price / PRICES[WORKER] * hourly:,.0f} |"
                    for name, price in PRICES.items() if name != WORKER]


def measured(results: Path, name: str = "") -> tuple[EvalRun, list[float]]:
    """The run (the newest held-out one by default) and its service times. Raises UserError without one."""
    runs = list_runs(results)[0]
    wanted = name or eval_view.first_run(runs)
    run = next((r for r in runs if r.name == wanted), None)
    if run is None:
        raise UserError(f"There is no run {wanted or 'to read times from'}.", f"Make one: `{eval_view.MAKE}`.")
    times = service_times(read_samples(results / run.name, run))
    if len(times) < 2:
        raise UserError(f"The run {run.name} has no questions that all three columns answered.", "Name another.")
    return run, times


def write(path: Path, tables: str) -> None:
    """Put the tables between the marks of a document. Raises UserError where it lacks them."""
    try:
        document = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).", "Name a document with --write.") from None
    write_whole(path, exchanged(document, BEGIN, END, f"{BEGIN}\n\n{tables}\n\n{END}", str(path), "the tables"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="", metavar="NAME", help="run to read times from; default: newest held-out")
    parser.add_argument("--users", nargs="+", type=int, default=[10, 1000, 100_000], help="visitors a day")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document to put the tables into")
    options = parser.parse_args(argv)
    try:
        if min(options.users) < 1:
            raise UserError("A number of visitors is at least 1.", "Correct --users.")
        run, times = measured(load_settings().results, options.run)
        tables = report(run, times, options.users, Assumptions())
        print(tables)
        if options.write:
            write(options.write, tables)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
