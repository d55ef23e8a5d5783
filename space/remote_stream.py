"""One streamed chat completion over HTTP, read with distrust: bounded lines, bounded silence, checked types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from space.json_text import parse_json

MAX_LINE = 1_000_000
"""Bytes of one line of the stream, at most."""
MAX_MODEL_CHARS = 200
RETRIED = (408, 425, 429, 500, 502, 503, 504)


class Broken(Exception):
    """The connection or the stream failed on the way; another try may go well."""


class Refused(Exception):
    """The server said no. `wait_s`: after so many seconds another try may go well (0: soon; None: never)."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Chunk:
    """What one event of the stream says."""

    text: str = ""
    finish: str = ""
    model: str = ""
    usage: dict[str, Any] = field(default_factory=dict)


async def chunks(url: str, body: dict[str, Any], key: str, connect_s: float, stall_s: float) -> AsyncIterator[Chunk]:
    """The events of one completion, to the end of the stream. Closing the iterator, or cancelling the task,
    closes the connection, by which servers know to stop.

    Raises Refused where the server answers with an error, Broken where the stream is none.
    """
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(stall_s, connect=connect_s)
    try:
        async with (httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client,
                    client.stream("POST", url, json=body, headers=headers) as reply):
            if reply.status_code != 200:
                raise _refusal(reply.status_code, reply.headers.get("Retry-After", ""))
            if "text/event-stream" not in reply.headers.get("Content-Type", ""):
                raise Refused("The model server does not stream its answer.")
            async for data in _lines(reply.aiter_bytes()):
                if data == b"[DONE]":
                    return
                yield _chunk(data)
    except httpx.ConnectError:
        raise Broken("the model server cannot be reached") from None
    except httpx.TimeoutException:
        raise Broken(f"the model server said nothing for {stall_s:.0f} s") from None
    except httpx.TransportError:
        raise Broken("the connection to the model server was lost") from None


def _refusal(status: int, retry_after: str) -> Refused:
    wait_s = (float(retry_after) if retry_after.isdigit() else 0.0) if status in RETRIED else None
    meaning = {401: "it does not accept ENGINE_KEY", 403: "it does not accept ENGINE_KEY",
               404: "it does not have this model", 429: "it is busy"}.get(status, f"status {status}")
    return Refused(f"The model server refused: {meaning}.", wait_s)


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What stands behind `data:` in each line of a server-sent stream."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            raise Broken("the model server sent a line without an end")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


def _chunk(data: bytes) -> Chunk:
    """Raises Broken where it is no chunk of a chat completion, Refused where it reports an error."""
    try:
        event = parse_json(data)
    except ValueError:
        raise Broken("the model server sent something that is no JSON") from None
    if not isinstance(event, dict):
        raise Broken("the model server sent something that is no event")
    if event.get("error"):
        raise Refused("The model server reported an error.")
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    choice = choice if isinstance(choice, dict) else {}
    delta = choice.get("delta")
    usage = event.get("usage")
    return Chunk(_text(delta.get("content")) if isinstance(delta, dict) else "", _text(choice.get("finish_reason")),
                 _text(event.get("model"))[:MAX_MODEL_CHARS], usage if isinstance(usage, dict) else {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
