"""The engine on another machine: any server that speaks OpenAI's chat completions and streams.

vLLM (`--enable-lora`, one model name for each adapter), llama.cpp's llama-server and llama-cpp-python's own
server do. ENGINE_URL names its address up to `/v1`, MODEL_PLAIN and MODEL_TUNED the models behind the
columns, ENGINE_KEY the key where it wants one. All answers are asked for at once: the server batches them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from space import prompts
from space.errors import UserError
from space.job import Request
from space.remote_stream import Broken, Chunk, Refused, chunks
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    AnswerQueued,
    ModelIdentity,
    TextDelta,
)

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.25
"""A stream yields at least this often, and looks as often whether it is to stop."""
TRIES = 3
"""How often an answer is asked for, as long as nothing of it has come."""
CONNECT_S = 10.0
LONGEST_WAIT_S = 20.0
"""A server that asks to come back later than this is not waited for."""
STALL_S = 60.0
"""A server that says nothing for so long, while it reads or while it writes, is given up."""
EXCESS = 2
"""An answer is cut off at so many times its `max_tokens` pieces: a server need not keep to what it was asked."""
FINISHES = {"stop": "end", "length": "length"}


@dataclass(frozen=True)
class Server:
    """Where the models are. Raises UserError where that cannot be."""

    url: str
    plain: str
    tuned: str = ""
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UserError("ENGINE_URL is not the address of a server.",
                            "Set it to http://HOST:PORT/v1 or https://HOST/v1; a key belongs in ENGINE_KEY.")
        if not self.plain:
            raise UserError("ENGINE_URL is set, but no model.",
                            "Set MODEL_PLAIN, and MODEL_TUNED, to names that the server lists under /v1/models.")

    def model(self, tuned: bool) -> str:
        if tuned and not self.tuned:
            raise UserError("No fine-tuned model is named on the server.", "Set MODEL_TUNED to its name there.")
        return self.tuned if tuned else self.plain


def server_named() -> Server | None:
    """The server that the environment names, if it names one."""
    url, plain, tuned, key = (os.environ.get(name, "").strip() for name in
                              ("ENGINE_URL", "MODEL_PLAIN", "MODEL_TUNED", "ENGINE_KEY"))
    return Server(url, plain, tuned, key) if url else None


class RemoteEngine:
    """`space.engine.Engine` over HTTP. One event loop, in a thread of its own, carries all answers."""

    def __init__(self, server: Server, stall_s: float = STALL_S) -> None:
        self._server = server
        self._stall_s = stall_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def loading(self) -> str:
        """See Engine.loading: what the server loads is its own matter."""
        return ""

    def warm(self) -> None:
        """Nothing to load."""

    def stream(self, requests: Sequence[Request], stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See Engine.stream. Where it ends early, so do the requests to the server, which then stops writing."""
        events: SimpleQueue[AnswerEvent] = SimpleQueue()
        asked = {r.variant.key: _Asked(r, events) for r in requests}
        running = {key: asyncio.run_coroutine_threadsafe(self._answer(one), self._running_loop())
                   for key, one in asked.items()}
        try:
            while running:
                for key in running:
                    if asked[key].stopped_by(stop):
                        asked[key].done("stopped")
                        running[key].cancel()
                try:
                    event = events.get(timeout=HEARTBEAT_S)
                except Empty:
                    yield from (asked[key].standing() for key in list(running))
                    continue
                if isinstance(event, AnswerDone | AnswerFailed):
                    del running[event.variant]
                yield event
        finally:
            for future in running.values():
                future.cancel()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="remote engine", daemon=True).start()
            return self._loop

    async def _answer(self, asked: _Asked) -> None:
        """One answer with its one end, whatever happens on the way."""
        try:
            async with asyncio.timeout(asked.request.deadline_s):
                await self._ask(asked, self._server.model(asked.request.variant.tuned))
        except TimeoutError:
            asked.done("deadline")
        except asyncio.CancelledError:
            pass  # whoever cancels has said the end, or listens no more
        except UserError as error:
            asked.fail(str(error))
        except Exception:
            log.exception("asking the server failed")
            asked.fail("This answer failed on our side. Please ask again.")

    async def _ask(self, asked: _Asked, model: str) -> None:
        """Ask, and ask again where nothing has come yet and another try may help."""
        for tried in range(1, TRIES + 1):
            try:
                await self._read(asked, model)
            except Refused as refused:
                if refused.wait_s is None or tried == TRIES or refused.wait_s > LONGEST_WAIT_S:
                    raise UserError(str(refused), "Please ask again later.") from None
                await asyncio.sleep(refused.wait_s or 0.5 * 2 ** (tried - 1))
            except Broken as broken:
                if asked.pieces or tried == TRIES:
                    raise UserError(f"The answer broke off: {broken}.", "Please ask again.") from None
                await asyncio.sleep(0.5 * 2 ** (tried - 1))
            else:
                return

    async def _read(self, asked: _Asked, model: str) -> None:
        sampling = asked.request.sampling
        body = {"model": model, "messages": prompts.turns(asked.request.prompt), "stream": True,
                "stream_options": {"include_usage": True}, "max_tokens": sampling.max_tokens,
                "temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}
        asked.begin()
        finish = ""
        async for chunk in chunks(self._server.url.rstrip("/") + "/chat/completions", body, self._server.key,
                                  CONNECT_S, self._stall_s):
            asked.take(chunk)
            finish = finish or FINISHES.get(chunk.finish, chunk.finish)
            if asked.pieces > EXCESS * sampling.max_tokens:
                finish = "length"
                break
        if not finish:
            raise Broken("the server closed the connection in the middle")
        asked.done(finish)


class _Asked:
    """One answer on its way: what has come of it."""

    def __init__(self, request: Request, events: SimpleQueue[AnswerEvent]) -> None:
        self.request = request
        self.pieces = 0
        self._events = events
        self._ended = False
        self._one_end = threading.Lock()
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._submitted = self._began = time.monotonic()
        self._first = 0.0

    def standing(self) -> AnswerEvent:
        """Where the answer stands, said again."""
        key = self.request.variant.key
        return TextDelta(key, "") if self.pieces else AnswerQueued(key, 0)

    def stopped_by(self, stop: threading.Event | None) -> bool:
        return any(event.is_set() for event in (stop, self.request.stop) if event)

    def begin(self) -> None:
        self._began = time.monotonic()

    def take(self, chunk: Chunk) -> None:
        self._usage = chunk.usage or self._usage
        self._model = chunk.model or self._model
        if not chunk.text:
            return
        if not self.pieces:
            self._first = time.monotonic()
        self.pieces += 1
        with self._one_end:
            if not self._ended:
                self._events.put(TextDelta(self.request.variant.key, chunk.text))

    def _end(self, event: AnswerEvent) -> None:
        with self._one_end:
            if not self._ended:
                self._ended = True
                self._events.put(event)

    def fail(self, message: str) -> None:
        self._end(AnswerFailed(self.request.variant.key, message))

    def done(self, finish: str) -> None:
        now, key = time.monotonic(), self.request.variant.key
        counts = {name: value for name, value in self._usage.items() if isinstance(value, int) and value >= 0}
        details = self._usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else 0
        written = counts.get("completion_tokens", self.pieces)
        decode_s = now - self._first if self._first else 0.0
        prompt = counts.get("prompt_tokens", 0)
        self._end(AnswerDone(
            key, finish, prompt_tokens=prompt, answer_tokens=written,
            cached_tokens=cached if isinstance(cached, int) and 0 <= cached <= prompt else 0,
            queued_s=round(self._began - self._submitted, 3),
            first_token_s=round(self._first - self._began, 3) if self._first else 0.0,
            decode_tps=round((written - 1) / decode_s, 2) if written > 1 and decode_s > 0 else 0.0,
            identity=ModelIdentity(file=self._model, sha256="", base=self._model, architecture="", quantization="",
                                   layers=0, size_mb=0.0)))
