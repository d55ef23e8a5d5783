"""The door: ASGI middleware that every request passes before Gradio sees it.

Gradio serves many routes that this app does not need (uploads, file and proxy routes, component
servers, streams, monitoring), takes bodies of any size, and lets anyone call any event. The door
lets pass what the page and `gradio_client` use, with bodies of at most 64 KB that arrive in time;
counts what may ask the models by visitor (space/visitors.py); and adds the security headers. It keeps no text.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from space.addresses import client_address
from space.door_checks import (
    MAX_BODY,
    SESSION,
    Message,
    Receive,
    Refused,
    Scope,
    check_file,
    check_url,
    parse_call,
    read_body,
    security_headers,
)
from space.limits import Busy
from space.visitors import Visitors

CLOSING_S, SETTLED_S, PROGRAM_SETTLED_S = 1.0, 0.05, 0.25
"""How long a call waits for the end of its session's last stream, and what the page and a program need to see that
end."""
SEND_S = 20.0
"""A reader that takes nothing for so long is let go."""

API = "/gradio_api"
READS = re.compile(  # ASCII: \w must not mean every alphabet here
    r"(?a:/|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?"
    r"|/(assets|static|svelte)/[\w@.,+/-]+"
    rf"|{API}/(info|openapi\.json|startup-events|app_id|theme\.css|config)"
    rf"|{API}/heartbeat/[\w-]{{1,64}}|{API}/queue/data|{API}/call/(v2/)?\w{{1,64}}/[\w-]{{1,64}})")
WRITES = re.compile(rf"(?a:{API}/(queue/join|cancel|reset|(call|call/v2|run)/\w{{1,64}}))")
FILES = f"{API}/file="

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Function:
    """What the door has to know of an event's function: among the rest how many values the page sends
    to it, and at which places these are of text boxes."""

    name: str
    public: bool
    queued: bool
    question: bool
    values: int = 0
    texts: tuple[int, ...] = ()


class Desk(Protocol):
    """What stands behind the door."""

    def function(self, index: int | None, name: str) -> Function | None:
        """The function of an index, or else of a name."""
        ...

    def unfinished(self, event: str) -> bool:
        """Whether this queued event waits or runs."""
        ...

    def session_of(self, event: str) -> str:
        """The session a queued event belongs to; "" where none is known."""
        ...

    def closing(self, session: str) -> bool:
        """Whether the session's stream, if it has one, has nothing more to say."""
        ...


class Door:
    """Wraps Gradio's ASGI app. `framed` allows the Hugging Face page to show the app in its frame;
    `trust_forwarded` says that a proxy of ours writes X-Forwarded-For."""

    def __init__(self, app: App, desk: Desk, visitors: Visitors, framed: bool = False,
                 trust_forwarded: bool = False) -> None:
        self.app = app
        self.desk = desk
        self.visitors = visitors
        self.trust_forwarded = trust_forwarded
        self.headers = security_headers(framed)
        visitors.guard(desk.unfinished, desk.session_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket is part of this app
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._with_headers(send)
        try:
            await self._admit(scope, receive, send)
        except Busy as busy:
            await _say(send, Refused(429, str(busy), busy.retry_s))
        except Refused as refused:
            await _say(send, refused)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        path = check_url(scope)
        address = client_address((scope.get("client") or ("", 0))[0], headers, self.trust_forwarded)
        if not self.trust_forwarded:  # Gradio would build its links from what a visitor claims here
            scope["headers"] = [(k, v) for k, v in scope["headers"] if not k.lower().startswith(b"x-forwarded-")]
        scope["headers"] = [(k, v) for k, v in scope["headers"] if not k.lower().startswith(b"x-gradio-")]
        if scope["method"] in ("GET", "HEAD"):
            await self._read(path, address, scope, receive, send)
        elif scope["method"] == "POST":
            await self._write(path, address, headers, scope, receive, send)
        else:
            raise Refused(405, "This method is not used here.")

    async def _read(self, path: str, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        if path.startswith(FILES):
            check_file(path.removeprefix(FILES))
        elif not READS.fullmatch(path):
            raise Refused(404, "There is no such page.")
        session = self._stream_session(path, scope)
        if not session:
            await _patiently(self.app, scope, receive, send)
            return
        self.visitors.enter_stream(session, address)
        try:
            await _patiently(self.app, scope, receive, send)
        finally:
            self.visitors.leave_stream(session, address)

    def _stream_session(self, path: str, scope: Scope) -> str:
        """The session whose answers this request streams; "" where it is no such request."""
        if path == f"{API}/queue/data":
            match = re.search(r"(?:^|&)session_hash=([^&]*)", scope["query_string"].decode("latin-1"))
            if not match or not SESSION.fullmatch(match[1]):
                raise Refused(400, "The session is missing.")
            return match[1]
        if path.startswith(f"{API}/call/"):
            event = path.rsplit("/", 1)[1]
            return self.desk.session_of(event) or event
        if path.startswith(f"{API}/heartbeat/"):  # counts as a connection, not as listening
            return "heartbeat " + path.rsplit("/", 1)[1]
        return ""

    async def _write(self, path: str, address: str, headers: dict[str, str], scope: Scope, receive: Receive,
                     send: Send) -> None:
        if not WRITES.fullmatch(path):
            raise Refused(404, "There is no such function.")
        self.visitors.count_call(address)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "Only JSON is read here.")
        body = await read_body(headers, receive)
        row = parse_call(body)
        receive = _again(body, receive)
        if path in (f"{API}/cancel", f"{API}/reset"):
            if path == f"{API}/cancel" and isinstance(row.get("event_id"), str):
                self.visitors.call_off(row["event_id"][:64])
            await _patiently(self.app, scope, receive, send)
            return
        function = self._function(path, row)
        data = row.get("data") or []
        if path.endswith(("/queue/join", "/run/predict")) and len(data) < function.values:
            raise Refused(400, "Some values are missing.")
        if any(n < len(data) and not isinstance(data[n], str | None) for n in function.texts):
            raise Refused(400, "A value is not text.")  # Gradio would turn it into some
        if not function.queued:
            await _patiently(self.app, scope, receive, send)
            return
        await self._last_stream_closed(row.get("session_hash") or "", program=function.public)
        admit = self.visitors.admit if function.question else self.visitors.admit_other
        event = admit(row.get("session_hash") or "", address)
        try:
            event.event = await _event_id(self.app, scope, receive, send)
        finally:
            if not event.event:
                self.visitors.dismiss(event)

    async def _last_stream_closed(self, session: str, program: bool) -> None:
        """Gradio ends a session's stream after its last answer, and loses what is asked just then; and its client for
        programs, while it has not seen that end, takes it for the end of what it asks next. So hold it until a moment
        after."""
        ends = asyncio.get_running_loop().time() + CLOSING_S
        held = False
        while session and self.visitors.listened(session) and self.desk.closing(session):
            if asyncio.get_running_loop().time() > ends:
                return
            held = True
            await asyncio.sleep(0.01)
        if program:
            await asyncio.sleep(max(PROGRAM_SETTLED_S - self.visitors.silent_s(session), 0))
        elif held:
            await asyncio.sleep(SETTLED_S)

    def _function(self, path: str, row: dict[str, Any]) -> Function:
        """The function that a call asks for, where it may be called in this way."""
        route, _, name = path.removeprefix(f"{API}/").rpartition("/")
        by_name = route in ("call", "call/v2") or route == "run" and name != "predict"
        function = self.desk.function(None if by_name else row.get("fn_index"), name if route != "queue" else "")
        if function is None or by_name and not function.public:
            raise Refused(404, "There is no such function.")
        if route == "run" and function.queued:
            raise Refused(404, "This function is called through the queue.")
        return function

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in self.headers}
                kept = [(k, v) for k, v in message.get("headers", []) if k.lower() not in ours]
                message = {**message, "headers": [*kept, *self.headers]}
            await send(message)

        return sending


async def _event_id(app: App, scope: Scope, receive: Receive, send: Send) -> str:
    """Let Gradio queue a question; the id it answers with, or "" where it refused."""
    status, said = 0, b""

    async def listening(message: Message) -> None:
        nonlocal status, said
        status = message.get("status", status)
        if len(said) < MAX_BODY:
            said += message.get("body", b"")
        await send(message)

    await app(scope, receive, listening)
    if status != 200:
        return ""
    try:
        return str(json.loads(said)["event_id"])
    except (ValueError, KeyError, TypeError):
        return ""


async def _patiently(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app, but let a reader go that takes nothing: the app sees a disconnect."""
    gone = asyncio.Event()

    async def sending(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await send(message)
        except TimeoutError:
            gone.set()
            await asyncio.sleep(SEND_S)  # the app's own clean-up cancels this
            raise OSError("the reader takes nothing") from None

    async def receiving() -> Message:
        ours, theirs = asyncio.ensure_future(gone.wait()), asyncio.ensure_future(receive())
        try:
            await asyncio.wait((ours, theirs), return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if gone.is_set() else await theirs
        finally:
            ours.cancel()
            theirs.cancel()

    await app(scope, receiving, sending)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read already, then what follows it."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


async def _say(send: Send, refused: Refused) -> None:
    """The door's own answer. `detail` is what Gradio's page shows of a refusal."""
    body = json.dumps({"detail": refused.detail, "error": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
               (b"cache-control", b"no-store"), (b"connection", b"close")]
    if refused.retry_s:
        headers.append((b"retry-after", str(refused.retry_s).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
