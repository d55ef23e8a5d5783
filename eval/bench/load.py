"""Many visitors at once, on this machine alone:

    python -m eval.bench load --users 32 --minutes 1          an engine of fixed speed: queue, limits and door
    python -m eval.bench load --users 8 --minutes 5 --real    the models of PROFILE
    python -m eval.bench load --users 32 --minutes 30         the soak

Starts the app in a process of its own on a loopback port, sends it users who ask, leave, never listen, read
slowly and send rubbish, and holds what was seen to marks. Ends with 1 where a mark does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from eval.bench.load_users import Crowd, Seen
from space.errors import UserError
from space.files import write_whole
from space.settings import ROOT

DEADLINE_S = 20
"""Time limit of a question under load, so that a run shows what happens beyond it."""
QUESTIONS = ("What is MLA?", "How many experts does DeepSeek-V3 route each token to?", "What is GRPO?")
"""What is asked of the real models: few, so that answers can be compared between users."""
MARK_REFUSAL_S, MARK_FREE_S, MARK_OVER_S, MARK_MB = 1.0, 1.0, 1.0, 1.0


@dataclass(frozen=True)
class Sample:
    """The server's memory (MB), threads and open files, after so many answers and CPU-seconds."""

    at_s: float
    answers: int
    cpu_s: float
    rss_mb: float
    threads: int
    files: int


@dataclass(frozen=True)
class Mark:
    """A promise, what was measured, and whether it holds (None: too little was measured to say)."""

    promise: str
    measured: str
    holds: bool | None


@contextmanager
def served(word_s: float | None, log: Path) -> Iterator[tuple[str, int]]:
    """The app in its own process: its address and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "eval.bench.load_server", str(port), str(log)]
    environment = {**os.environ, "TRUST_FORWARDED": "1", "HOST": "127.0.0.1",
                   **({} if word_s is None else {"DEADLINE_S": str(DEADLINE_S)})}
    process = subprocess.Popen([*command, *([] if word_s is None else [str(word_s)])], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise UserError("The app ended while it started.", "See what it said above.")
            try:
                if httpx.get(f"{url}/config", timeout=5, trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def look(pid: int, begun: float, answers: int) -> Sample:
    """What the server's process uses now (Linux)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    cpu_s = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return Sample(time.monotonic() - begun, answers, cpu_s, int(status["VmRSS"].split()[0]) / 1024,
                  int(status["Threads"]), files)


async def press(crowd: Crowd, pid: int, seconds: float, every_s: float) -> list[Sample]:
    """Let the crowd visit and look at the server meanwhile."""
    begun, samples = time.monotonic(), []
    visits = asyncio.create_task(crowd.run(seconds))
    while not visits.done():
        await asyncio.wait((visits,), timeout=every_s)
        samples.append(look(pid, begun, crowd.seen.answered))
    await visits
    return samples


def slots_free_s(seen: Seen, log: Path) -> list[float]:
    """From a user's leaving until the engine let the question go, where it had taken it up."""
    free = {row["number"]: row["at"] for line in log.read_text().splitlines()
            if (row := json.loads(line))["what"] == "let go"}
    return [max(free[number] - left, 0.0) for number, left in seen.left.items() if number in free]


def growth(samples: Sequence[Sample]) -> float | None:
    """MB per 1,000 answers over the later two thirds of a run (the first warms up); None for under 300 answers."""
    late = samples[len(samples) // 3:]
    if len(late) < 5 or late[-1].answers - late[0].answers < 300:
        return None
    return statistics.linear_regression([s.answers for s in late], [s.rss_mb for s in late]).slope * 1000


def judge(seen: Seen, samples: Sequence[Sample], free_s: Sequence[float], deadline_s: float) -> list[Mark]:
    """Every promise with what was measured."""
    later, slope = samples[len(samples) // 3:] or samples, growth(samples)
    same = all(len(texts) == 1 for texts in seen.texts.values())
    return [
        Mark(f"refusals within {MARK_REFUSAL_S:.0f} s", _spread(seen.refusals_s),
             _at_most(seen.refusals_s, MARK_REFUSAL_S)),
        Mark(f"engine free {MARK_FREE_S:.0f} s after a user left", _spread(free_s), _at_most(free_s, MARK_FREE_S)),
        Mark("no question older than its deadline + 1 s", _spread(seen.answers_s),
             _at_most(seen.answers_s, deadline_s + MARK_OVER_S)),
        Mark("no answer of another's question", f"{len(seen.crossed)} of {seen.answered}",
             not seen.crossed and same if seen.answered else None),
        Mark(f"memory under {MARK_MB:.0f} MB per 1,000 answers",
             "too few answers" if slope is None else f"{slope:+.2f} MB", None if slope is None else slope < MARK_MB),
        Mark("threads and open files flat",
             f"{later[0].threads} to {later[-1].threads} threads, {later[0].files} to {later[-1].files} files",
             later[-1].threads <= max(s.threads for s in samples[:-1] or samples) + 2
             and later[-1].files <= max(s.files for s in samples[:-1] or samples) + 2),
        Mark("every visit ends as it should", f"{len(seen.problems)} did not", not seen.problems),
    ]


def _at_most(times: Sequence[float], limit: float) -> bool | None:
    return max(times) <= limit if times else None


def _spread(times: Sequence[float]) -> str:
    if not times:
        return "none"
    ordered = sorted(times)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return f"{len(times)}: median {statistics.median(ordered):.2f}, p95 {p95:.2f}, longest {ordered[-1]:.2f} s"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m eval.bench load", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--word-ms", type=float, default=3.0, help="the fixed speed: milliseconds a word (default 3)")
    parser.add_argument("--real", action="store_true", help="answer with the models of PROFILE")
    parser.add_argument("--out", type=Path, help="write everything that was measured to this JSON file")
    options = parser.parse_args(arguments)
    if not 1 <= options.users <= 512 or not 0 < options.minutes <= 600:
        raise UserError("--users goes from 1 to 512, --minutes up to 600.", "Choose smaller numbers.")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "engine.jsonl"
        log.touch()
        with served(None if options.real else options.word_ms / 1000, log) as (url, pid):
            crowd = Crowd(url, options.users, QUESTIONS if options.real else ())
            seconds = options.minutes * 60
            samples = asyncio.run(press(crowd, pid, seconds, max(seconds / 120, 1.0)))
            deadline_s = float(os.environ.get("DEADLINE_S", 300)) if options.real else DEADLINE_S
            marks = judge(crowd.seen, samples, slots_free_s(crowd.seen, log), deadline_s)
    return report(options, crowd.seen, samples, marks)


def report(options: argparse.Namespace, seen: Seen, samples: Sequence[Sample], marks: Sequence[Mark]) -> int:
    """Print what was seen; 1 where a mark does not hold."""
    outcomes = ", ".join(f"{what} {n}" for what, n in seen.outcomes.most_common())
    print(f"{options.users} users, {options.minutes:g} minutes: {outcomes}")
    print(f"answers: {_spread(seen.answers_s)}; server busy {samples[-1].cpu_s - samples[0].cpu_s:.1f} CPU-seconds "
          f"of {samples[-1].at_s - samples[0].at_s:.0f}, 1-minute load of the machine {os.getloadavg()[0]:.0f}")
    print(f"first words: {_spread(seen.first_s)}; memory {samples[0].rss_mb:.0f} to {samples[-1].rss_mb:.0f} MB; "
          f"the users' own side stood still for {seen.stall_s:.2f} s at most")
    for mark in marks:
        print(f"{ {True: 'holds', False: 'FAILS', None: 'unknown'}[mark.holds]:8} {mark.promise}: {mark.measured}")
    for problem in [*seen.crossed, *seen.problems][:10]:
        print("  ", problem[:300])
    if options.out:
        row = {"users": options.users, "minutes": options.minutes, "outcomes": seen.outcomes,
               "marks": [vars(m) for m in marks], "samples": [vars(s) for s in samples], "refusals_s": seen.refusals_s,
               "answers_s": seen.answers_s, "first_s": seen.first_s, "stall_s": seen.stall_s, "problems": seen.problems}
        write_whole(options.out, json.dumps(row, allow_nan=False))
    return 1 if any(m.holds is False for m in marks) else 0
