"""Users of a load test: over raw HTTP they ask, wait, leave at odd moments, never listen, and send rubbish; some
are programs that ask through gradio_client (load_programs.py)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from itertools import count
from typing import Any

import httpx

from eval.bench.load_programs import Program, Reply
from eval.bench.load_server import NUMBER

API = "/gradio_api"
ASKS, LEAVES, DEAF, FORGES, SLOW = "asks", "leaves", "never listens", "forges", "reads slowly"
MANNERS = (ASKS,) * 14 + (LEAVES,) * 3 + (DEAF, FORGES, SLOW)
"""Of twenty visits: fourteen ask and wait, three leave in the middle, one each of the rest."""
PROGRAM_EVERY, PROGRAMS = 4, 8
"""Every fourth user is a program, up to eight: each costs this side several threads."""
RAMP_S = 5.0
"""Users come one after another, over at most so long."""
LONGEST_PAUSE_S = 3.0
"""A refused user tries again after what the refusal says, but not later than this: the load is to be kept up."""


@dataclass
class Seen:
    """What the users saw; times in seconds, `left` and `asked_at` in the system's monotonic time by question."""

    asked_at: dict[str, float] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    answers_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    crossed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    texts: dict[str, set[str]] = field(default_factory=dict)
    stall_s: float = 0.0
    """The longest that this side itself stood still: as much of any time above may be its own."""

    @property
    def answered(self) -> int:
        """Questions answered whole, to people and programs."""
        return self.outcomes["answered"] + self.outcomes["a program answered"]


class Crowd:
    """`users` at once against one app, until told to end. Each has an address of its own, as behind a
    proxy (the server trusts X-Forwarded-For). With `questions` they ask these, else numbered ones."""

    def __init__(self, url: str, users: int, questions: tuple[str, ...] = (), seed: int = 3407) -> None:
        self.url, self.users, self.questions, self.seed = url, users, questions, seed
        self.seen = Seen()
        self._numbers = count(1)
        self._ask: tuple[int, list[Any]] = (0, [])

    async def run(self, seconds: float) -> None:
        """Visit for so many seconds; a visit that has begun is seen through."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits, trust_env=False) as client:
            self._ask = ask_function((await client.get("/config")).json())
            ends = time.monotonic() + seconds
            programs = range(PROGRAM_EVERY - 1, self.users, PROGRAM_EVERY)[:PROGRAMS]
            watch = asyncio.create_task(self._watch_itself())
            with ThreadPoolExecutor(len(programs) or 1) as threads:
                await asyncio.gather(*(self._program(threads, n, ends) if n in programs else self._user(client, n, ends)
                                       for n in range(self.users)))
            watch.cancel()

    async def _watch_itself(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.02)
            self.seen.stall_s = max(self.seen.stall_s, time.monotonic() - begun - 0.02)

    async def _come(self, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0, min(RAMP_S, self.users / 8)))

    async def _program(self, threads: ThreadPoolExecutor, n: int, ends: float) -> None:
        """A user of gradio_client, whose calls block a thread."""
        loop, chance = asyncio.get_running_loop(), random.Random(self.seed + n)
        await self._come(chance)
        program = await loop.run_in_executor(threads, Program, self.url, headers_of(n))
        while time.monotonic() < ends:
            stay_s = chance.uniform(0.05, 1.5) if chance.choice(MANNERS) == LEAVES else None
            number, question = self._question(chance)
            begun = self.seen.asked_at[number] = time.monotonic()
            try:
                reply = await loop.run_in_executor(threads, program.ask, question, stay_s)
            except Exception as error:  # whatever the client raises is a finding
                self.seen.problems.append(f"{number}, a program: {type(error).__name__} {error}")
                reply = Reply("failed", retry_s=1.0)
            self._count(reply, number, question, time.monotonic() - begun)
            await asyncio.sleep(min(reply.retry_s, LONGEST_PAUSE_S))
        await loop.run_in_executor(threads, program.close)

    def _count(self, reply: Reply, number: str, question: str, took_s: float) -> None:
        """Hold a program's reply to the same marks as everybody's."""
        self.seen.outcomes[f"a program {reply.end}"] += 1
        if reply.end == "refused":
            self.seen.refusals_s.append(took_s)
        elif reply.end == "left":
            self.seen.left[number] = reply.left_at
        elif reply.end in ("answered", "late"):
            self.seen.answers_s.append(took_s)
        if reply.end == "answered":
            self._compare(number, f"a program: {question}", reply.text, reply.answers)

    def _question(self, chance: random.Random) -> tuple[str, str]:
        """The next number, and a question that carries it or one of those given."""
        number = f"q{next(self._numbers):06}"
        return number, chance.choice(self.questions) if self.questions else f"What is {number} about?"

    async def _user(self, client: httpx.AsyncClient, n: int, ends: float) -> None:
        chance = random.Random(self.seed + n)
        await self._come(chance)
        headers = headers_of(n)
        while time.monotonic() < ends:
            manner = chance.choice(MANNERS)
            pause_s = 0.0
            try:
                pause_s = await self._visit(client, headers, manner, chance)
            except (httpx.HTTPError, OSError) as error:
                self.seen.problems.append(f"{manner}: {type(error).__name__} {error}")
            await asyncio.sleep(min(pause_s, LONGEST_PAUSE_S))

    async def _visit(self, client: httpx.AsyncClient, headers: dict[str, str], manner: str,
                     chance: random.Random) -> float:
        """One visit; the pause that the app asked for, in seconds."""
        number, question = self._question(chance)
        if manner in (LEAVES, SLOW) and number not in question:
            question = f"{question} ({number})"  # so that the server can say when it let this one go
        index, others = self._ask
        session = f"{number}s{chance.randrange(10**6)}"
        row: dict[str, Any] = {"data": [question, *others], "fn_index": index, "session_hash": session}
        if manner == FORGES:
            row = chance.choice([row | {"data": ["x" * 70_000]}, row | {"data": [{"a": 1}]}, row | {"fn_index": 999}])
        begun = self.seen.asked_at[number] = time.monotonic()
        joined = await client.post(f"{API}/queue/join", json=row, headers=headers)
        if joined.status_code != 200:
            self.seen.refusals_s.append(time.monotonic() - begun)
            self.seen.outcomes[f"refused ({joined.status_code})"] += 1
            return float(joined.headers.get("retry-after", 0))
        if manner == DEAF:
            self.seen.outcomes[manner] += 1
            return 0.5
        return await self._listen(client, headers, session, number, question, manner, chance)

    async def _listen(self, client: httpx.AsyncClient, headers: dict[str, str], session: str, number: str,
                      question: str, manner: str, chance: random.Random) -> float:
        begun, first_s, said = self.seen.asked_at[number], 0.0, []
        stay = chance.randrange(1, 8) if manner in (LEAVES, SLOW) else 0
        async with client.stream("GET", f"{API}/queue/data", params={"session_hash": session},
                                 headers=headers) as stream:
            if stream.status_code != 200:
                self.seen.refusals_s.append(time.monotonic() - begun)
                self.seen.outcomes[f"refused ({stream.status_code})"] += 1
                return 1.0
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_generating":
                    first_s = first_s or time.monotonic() - begun
                said.append(line)
                if stay and len(said) >= stay:
                    if manner == SLOW:
                        await asyncio.sleep(2.0)
                    self.seen.left[number] = time.monotonic()
                    break
        if stay:
            self.seen.outcomes[manner] += 1
            return 0.2
        return self._judge(number, question, "\n".join(said), time.monotonic() - begun, first_s)

    def _judge(self, number: str, question: str, said: str, took_s: float, first_s: float) -> float:
        busy = re.search(r"Please try again in about (\d+) second", said)
        if busy:
            self.seen.refusals_s.append(took_s)
            self.seen.outcomes["refused on the page"] += 1
            return float(busy[1])
        if not re.search(r'"process_completed".*"success": ?true', said):
            self.seen.problems.append(f"{number}: no whole answer in {said[-300:]!r}")
            return 0.5
        self.seen.answers_s.append(took_s)
        if re.search(r"The time limit of \d+ s was over", said):
            self.seen.outcomes["time was over"] += 1
            return 1.0
        self.seen.outcomes["answered"] += 1
        self.seen.first_s.append(first_s)
        self._compare(number, question, said, _answers(said))
        return 0.0

    def _compare(self, number: str, question: str, said: str, answers: str) -> None:
        """Note what belongs to another's question: a number that was not asked for, or another text."""
        if self.questions and answers:  # "": the last update changed none of the answers, so it does not carry them
            self.seen.texts.setdefault(question, set()).add(answers)
        elif not self.questions and (found := set(NUMBER.findall(said))) != {number}:
            self.seen.crossed.append(f"{number} got {sorted(found)}")


def headers_of(n: int) -> dict[str, str]:
    """An address for each user, as behind a proxy."""
    return {"X-Forwarded-For": f"9.{n // 65536}.{n // 256 % 256}.{n % 256}"}


def ask_function(config: dict[str, Any]) -> tuple[int, list[Any]]:
    """Index of the event behind the Ask button (the first that streams and takes the question's box), and what
    the page sends beside the question: what its other inputs hold at first."""
    parts = {c["id"]: c["props"] for c in config["components"]}
    for function in config["dependencies"]:
        inputs = [parts[i] for i in function["inputs"]]
        if inputs and inputs[0].get("elem_id") == "question" and function["types"]["generator"]:
            return function["id"], [props.get("value") for props in inputs[1:]]
    raise LookupError("no event asks the question")


def _answers(said: str) -> str:
    """The answers' text in the last whole update, without what differs from run to run."""
    cards = re.findall(r'class=\\"answer-text[^>]*>(.*?)</', said.rsplit('"process_completed"', 1)[-1])
    return unescape(" | ".join(cards))
