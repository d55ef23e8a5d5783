"""The systems that `eval.bench serve` compares. Each runs in a process of its own, so that its CPU time and
its memory are its own: `python -m eval.bench.serve_systems NAME MODEL ADAPTER THREADS CONTEXT_TOKENS` reads a
load a line from standard input and writes a round a line to standard output."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from eval.bench.serve_work import Ask, Load, Round, Told, asks
from space import models, prompts
from space.schema import CHAT_VARIANTS, VARIANTS, AnswerDone, AnswerFailed, Sampling, TextDelta

Part = TypeVar("Part")


class System(Protocol):
    """Answers all that is asked; the questions come at one moment."""

    def answer(self, wanted: list[Ask], tokens: int) -> list[Told]: ...


def side_by_side(parts: Sequence[Part], answer: Callable[[Part], list[Told]]) -> list[Told]:
    """All answers of the parts, each part in a thread of its own; what one of them raises is raised."""
    with ThreadPoolExecutor(len(parts)) as pool:
        return [one for told in pool.map(answer, parts) for one in told]


class Naive:
    """One `Llama` for each variant, `create_chat_completion`, one answer after another."""

    def __init__(self, model: Path, adapter: Path | None, threads: int, context_tokens: int) -> None:
        from llama_cpp import Llama, llama_vocab_is_eog

        def load(tuned: bool) -> Any:
            return Llama(str(model), n_ctx=context_tokens, n_threads=threads, n_threads_batch=threads,
                         lora_path=str(adapter) if tuned and adapter else None, verbose=False)

        self._by_variant = {variant.key: load(variant.tuned) for variant in CHAT_VARIANTS}
        vocab = self._by_variant["plain"]._model.vocab
        self._no_end = {token: -1e9 for token in range(self._by_variant["plain"].n_vocab())
                        if llama_vocab_is_eog(vocab, token)}

    def answer(self, wanted: list[Ask], tokens: int) -> list[Told]:
        told, began = [], time.monotonic()
        for ask in wanted:
            llama, first, written = self._by_variant[ask.variant], 0.0, 0
            for chunk in llama.create_chat_completion(ask.messages, temperature=0.0, max_tokens=tokens,
                                                      logit_bias=self._no_end, stream=True):
                if chunk["choices"][0]["delta"].get("content"):
                    first = first or time.monotonic() - began
                    written += 1
            prompt = llama.n_tokens - tokens + 1  # the last token is picked and not read
            told.append(Told(ask.user, ask.variant, first, time.monotonic() - began, prompt, tokens))
        return told


class Server:
    """llama.cpp's own server, embedded by xllamacpp, over HTTP with streaming, adapter chosen per request."""

    def __init__(self, model: Path, adapter: Path | None, threads: int, context_tokens: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel = 4
        params.n_ctx = context_tokens * params.n_parallel
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.warmup = False
        if adapter:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
            params.lora_init_without_apply = True
        self._server, self._adapter = xllamacpp.Server(params), adapter
        self._url = self._server.listening_address

    def answer(self, wanted: list[Ask], tokens: int) -> list[Told]:
        began = time.monotonic()
        return side_by_side(wanted, lambda ask: [self._one(ask, tokens, began)])

    def _one(self, ask: Ask, tokens: int, began: float) -> Told:
        import httpx

        body: dict[str, Any] = {"messages": ask.messages, "max_tokens": tokens, "temperature": 0.0, "stream": True,
                                "ignore_eos": True, "stream_options": {"include_usage": True}}
        if self._adapter:
            body["lora"] = [{"id": 0, "scale": float(VARIANTS[ask.variant].tuned)}]
        first, usage = 0.0, dict[str, Any]()
        with httpx.stream("POST", f"{self._url}/v1/chat/completions", json=body, timeout=None) as reply:
            reply.raise_for_status()
            for data in _server_sent(reply.iter_lines()):
                usage = data.get("usage") or usage
                if any(choice.get("delta", {}).get("content") for choice in data.get("choices", ())):
                    first = first or time.monotonic() - began
        return Told(ask.user, ask.variant, first, time.monotonic() - began, usage["prompt_tokens"],
                    usage["completion_tokens"], usage.get("prompt_tokens_details", {}).get("cached_tokens", 0))


def _server_sent(lines: Iterator[str]) -> Iterator[dict]:
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


class Ours:
    """The engine of the app, each user in a thread as in the app, for questions that are new to it."""

    mode = "off"

    def __init__(self, model: Path, adapter: Path | None, threads: int, context_tokens: int) -> None:
        from space.engine import Ahead, LocalEngine
        from space.passage_states import Mode

        profile = models.Profile("bench", model.stem, f"file:{model}", models.EMBEDDER,
                                 adapter=f"file:{adapter}" if adapter else "",
                                 tuned="" if adapter else f"file:{model}")
        self._states = tempfile.TemporaryDirectory()
        self._engine = LocalEngine(profile, context_tokens, threads,
                                   Ahead(Mode.parse(self.mode), Path(self._states.name), 2**30))
        for tuned in (False, True):
            self._engine.lane(tuned)[0].weights.is_end = lambda token: False  # type: ignore[method-assign]

    def prepare(self, wanted: list[Ask]) -> None:
        """Have the passages read, where they are read ahead of time."""
        if self.mode != "off":
            self._engine.read_ahead([_request(ask) for ask in wanted if ask.passages])
            time.sleep(0.2)
            while self._engine.reading_ahead:
                time.sleep(0.1)

    def answer(self, wanted: list[Ask], tokens: int) -> list[Told]:
        began = time.monotonic()
        by_user = [[ask for ask in wanted if ask.user == user] for user in sorted({ask.user for ask in wanted})]
        return side_by_side(by_user, lambda own: self._user(own, tokens, began))

    def _user(self, wanted: list[Ask], tokens: int, began: float) -> list[Told]:
        first: dict[str, float] = {}
        told = []
        for event in self._engine.stream([_request(ask, tokens) for ask in wanted]):
            if isinstance(event, TextDelta) and event.text:
                first.setdefault(event.variant, time.monotonic() - began)
            if isinstance(event, AnswerFailed):
                raise RuntimeError(event.message)
            if isinstance(event, AnswerDone):
                now = time.monotonic() - began
                told.append(Told(wanted[0].user, event.variant, first.get(event.variant, now), now,
                                 event.prompt_tokens, event.answer_tokens, event.cached_tokens))
        return told


def _request(ask: Ask, tokens: int = 1) -> Any:
    from space.engine import Request

    return Request(VARIANTS[ask.variant], prompts.build(ask.question, ask.passages), Sampling(max_tokens=tokens),
                   deadline_s=1e6)


class Prepared(Ours):
    """The same, for questions whose passages were read ahead of time, as those of the examples are."""

    mode = "first"


class Bare:
    """The arithmetic alone: what our engine reads and writes, by llama.cpp's calls, in as many threads as our engine
    has workers, the longest answer first, with no events, turns or text. What a system takes beyond this is its own."""

    def __init__(self, model: Path, adapter: Path | None, threads: int, context_tokens: int) -> None:
        from space.lane import Lane
        from space.weights import Weights
        from space.workers import WORKERS

        self._weights = Weights(model)
        hands = min(WORKERS, threads)
        self._hands = [{tuned: Lane(self._weights, context_tokens, threads // hands, adapter if tuned else None)
                        for tuned in (False, True)} for _ in range(hands)]
        self._scaffold = self._weights.tokenize(prompts.build("")[0].text, True)
        for lanes in self._hands:
            for lane in lanes.values():
                lane.prime(self._scaffold)
        self._known: dict[Ask, Any] = {}

    def _prompt(self, ask: Ask) -> list[int]:
        return prompts.encode(prompts.build(ask.question, ask.passages), self._weights.tokenize)

    def answer(self, wanted: list[Ask], tokens: int) -> list[Told]:
        waiting = deque(sorted(wanted, key=lambda ask: -len(self._prompt(ask))))
        began = time.monotonic()
        return side_by_side(self._hands, lambda lanes: self._answer(lanes, waiting, tokens, began))

    def _answer(self, lanes: dict[bool, Any], waiting: deque[Ask], tokens: int, began: float) -> list[Told]:
        from space.sampler import Sampler

        told: list[Told] = []
        while waiting:
            try:
                ask = waiting.popleft()
            except IndexError:  # the other one took it
                break
            lane, sampler = lanes[VARIANTS[ask.variant].tuned], Sampler(Sampling())
            prompt, kept = self._prompt(ask), len(self._scaffold) // 4 * 4
            lane.cut(0, kept)
            if known := self._known.get(ask):
                lane.put(0, known.part(kept, known.end))
                kept = known.end
            lane.read(0, prompt[kept:])
            token = lane.sample(0, sampler)
            first = time.monotonic() - began
            for _ in range(tokens - 1):
                lane.write({0: token})
                token = lane.sample(0, sampler)
            sampler.close()
            told.append(Told(ask.user, ask.variant, first, time.monotonic() - began, len(prompt), tokens, kept))
        return told


class BarePrepared(Bare):
    """The same where the passages were read ahead of time."""

    def prepare(self, wanted: list[Ask]) -> None:
        for ask in wanted:
            if ask.passages:
                lane = self._hands[0][VARIANTS[ask.variant].tuned]
                pieces = prompts.build(ask.question, ask.passages)
                parts = prompts.tokenized(pieces, lane.weights.tokenize)
                end = prompts.tokens_before_question(pieces, parts, lane.weights.piece) // 4 * 4
                lane.cut(0, 0)
                lane.read(0, self._prompt(ask)[:end])
                self._known[ask] = lane.take(0, end)


SYSTEMS: dict[str, Callable[[Path, Path | None, int, int], System]] = {
    "naive": Naive, "server": Server, "ours": Ours, "prepared": Prepared, "bare": Bare,
    "bare_prepared": BarePrepared}


def memory_mb() -> float:
    """What this process holds: its share of shared pages (proportional set size), in MB."""
    with suppress(OSError):
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def serve(name: str, model: str, adapter: str, threads: str, context_tokens: str) -> None:
    """Answer loads from standard input until it ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not come between
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    system = SYSTEMS[name](Path(model), Path(adapter) if adapter else None, int(threads), int(context_tokens))
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        load = Load(**json.loads(line))
        wanted = asks(load)
        if isinstance(system, Ours | BarePrepared):
            system.prepare(wanted)
        before = _cpu_s()
        groups = [[ask] for ask in wanted] if load.alone else [wanted]
        told = [one for group in groups for one in system.answer(group, load.answer_tokens)]
        done = Round(tuple(sorted(told, key=lambda t: (t.user, t.variant))), _cpu_s() - before, memory_mb())
        print(json.dumps(done.as_json(), allow_nan=False), file=out, flush=True)
    os._exit(0)  # a server's threads would keep the process


if __name__ == "__main__":
    serve(*sys.argv[1:])
