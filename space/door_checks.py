"""What the door asks of a request, each check a function that refuses with a status and a sentence."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from space.json_text import parse_json

MAX_BODY = 64 * 1024
MAX_URL = 4096
BODY_S = 10.0
"""A body that has not arrived by then is refused."""
MAX_VALUES = 64
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Refused(Exception):
    """An answer of the door itself: status and sentence."""

    def __init__(self, status: int, detail: str, retry_s: int = 0) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_s = status, detail, retry_s


def security_headers(framed: bool) -> list[tuple[bytes, bytes]]:
    """Headers of every response. Gradio's page needs inline scripts and `eval`; but whatever runs
    there can load from, send to and submit to nothing but this app."""
    ancestors = "'self' https://huggingface.co https://*.hf.space" if framed else "'self'"
    policy = {
        "default-src": "'self'", "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": "'self' 'unsafe-inline'", "img-src": "'self' data: blob:", "font-src": "'self' data:",
        "connect-src": "'self' data: blob:", "worker-src": "'self' blob:", "media-src": "'self' data: blob:",
        "object-src": "'none'", "base-uri": "'self'", "form-action": "'self'", "frame-src": "'none'",
        "frame-ancestors": ancestors}
    lines = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "cross-origin-opener-policy": "same-origin-allow-popups",
    }
    return [(name.encode(), value.encode()) for name, value in lines.items()]


def check_url(scope: Scope) -> str:
    """The path, without a slash at its end. Refuses paths that mean something else when read twice."""
    path, raw = scope["path"], (scope.get("raw_path") or scope["path"].encode()).lower()
    if len(raw) > MAX_URL or len(scope.get("query_string", b"")) > MAX_URL:
        raise Refused(414, "The address is too long.")
    odd = any(part in (".", "..") for part in re.split(r"[/=]", path)) or "//" in path or "\\" in path
    if odd or not path.isprintable() or re.search(rb"%(2f|5c|00|2e|25)", raw):
        raise Refused(400, "The address is not understood.")
    return path.rstrip("/") or "/"


def check_file(path: str) -> None:
    """Only what Gradio itself put into its cache folder is handed out (plots, downloads)."""
    own = os.environ.get("GRADIO_TEMP_DIR", "")
    cache = Path(own).resolve() if own else Path(tempfile.gettempdir()).resolve() / "gradio"
    if "\0" in path or not Path(path).is_absolute() or not Path(path).resolve().is_relative_to(cache):
        raise Refused(403, "This file is not handed out.")


async def read_body(headers: dict[str, str], receive: Receive) -> bytes:
    """The whole body, refused where it is too long or too slow; a stated length is not believed."""
    if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > MAX_BODY:
        raise Refused(413, f"At most {MAX_BODY // 1024} KB are read.")
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "The request broke off.")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise Refused(413, f"At most {MAX_BODY // 1024} KB are read.")
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        raise Refused(408, "The request took too long to arrive.") from None


def parse_call(body: bytes) -> dict[str, Any]:
    """The JSON object of an event call, with the fields that Gradio reads of the right kinds."""
    try:
        row = parse_json(body)
    except ValueError:
        raise Refused(400, "The request is not JSON.") from None
    if not isinstance(row, dict):
        raise Refused(400, "The request is not a JSON object.")
    session, index, data = row.get("session_hash"), row.get("fn_index"), row.get("data", [])
    if session is not None and not (isinstance(session, str) and SESSION.fullmatch(session)):
        raise Refused(400, "The session is not understood.")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        raise Refused(400, "The function is not understood.")
    if not isinstance(data, list) or len(data) > MAX_VALUES or row.get("batched"):
        raise Refused(400, "The values are not understood.")
    return row
