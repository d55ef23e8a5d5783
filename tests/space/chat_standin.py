"""A local server of streamed chat completions that behaves as told, for tests alone. Each request takes the
next of its `scenes`, the last one again and again; `bodies` are what was asked, `left` counts callers that
closed their connection in the middle of an answer."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("Two", " words", " and", " a", " few", " more", ".")


class ChatStandIn:
    """`with ChatStandIn("ok") as server:` gives `server.url`."""

    def __init__(self, *scenes: str, pause_s: float = 0.0) -> None:
        self.scenes, self.pause_s = list(scenes), pause_s
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.left = 0
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ChatStandIn:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def scene(self) -> str:
        return self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]


class _Handler(BaseHTTPRequestHandler):
    standin: ChatStandIn

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.standin.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.standin.keys.append(self.headers.get("Authorization", ""))
        scene = self.standin.scene()
        try:
            getattr(self, f"_{scene}", self._status)(*([scene] if scene.isdigit() else []))
        except (BrokenPipeError, ConnectionResetError):
            self.standin.left += 1

    def _status(self, scene: str) -> None:
        self.send_response(int(scene))
        if scene == "429":
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(b'{"error": {"message": "<b>secret detail</b>"}}')

    def _head(self, kind: str = "text/event-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _event(self, event: Any) -> None:
        self.wfile.write(b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n")

    def _delta(self, text: Any, finish: str | None = None) -> None:
        self._event({"model": "m-1", "choices": [{"delta": {"content": text}, "finish_reason": finish}]})

    def _ok(self) -> None:
        self._head()
        self._delta(None)
        for word in WORDS:
            self._delta(word)
            time.sleep(self.standin.pause_s)
        self._delta("", "stop")
        self._event({"model": "m-1", "choices": [], "usage": {
            "prompt_tokens": 40, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}})
        self._event(b"[DONE]")

    def _silent(self) -> None:
        time.sleep(12)

    def _stalls(self) -> None:
        self._head()
        self._delta("Two")
        time.sleep(12)

    def _reset(self, said: bool = False) -> None:
        if said:
            self._head()
            self._delta("Two")
            time.sleep(0.1)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _resets_late(self) -> None:
        self._reset(said=True)

    def _ends_early(self) -> None:
        self._head()
        self._delta("Two")

    def _prose(self) -> None:
        self._head("text/html")
        self.wfile.write(b"<h1>Welcome to nginx</h1>")

    def _garbage(self) -> None:
        self._head()
        self._event(b"{not json")

    def _endless_line(self) -> None:
        self._head()
        for _ in range(200):
            self.wfile.write(b"x" * 100_000)

    def _endless(self) -> None:
        self._head()
        while True:
            self._delta(" more")

    def _error_inside(self) -> None:
        self._head()
        self._event({"error": {"message": "<b>secret detail</b>", "code": 500}})

    def _lies(self) -> None:
        """Every field of another type than it should have, once; then an honest end."""
        self._head()
        for event in ([], 7, "text"):
            if event == 7:
                self._event({"choices": 7, "usage": 7, "model": 7})
                self._event({"choices": [7]})
                self._event({"choices": [{"delta": 7, "finish_reason": 7}]})
                self._event({"choices": [{"delta": {"content": {"a": 1}}}]})
        self._event({"model": "m" * 10_000, "choices": [{"delta": {"content": "True"}, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": -5, "completion_tokens": "many", "prompt_tokens_details": {
                         "cached_tokens": 10**9}}})
        self._event(b"[DONE]")
