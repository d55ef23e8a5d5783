"""An attacker's afternoon: everything at once against the whole app, over real HTTP. While it goes on another visitor
is answered, and when it is over nothing is left of it."""

import json
import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from space.visitors import load_visitors
from tests.fakes import FakeEngine, FakeRetriever
from tests.served import API, serving

ATTACKER, VISITOR = {"X-Forwarded-For": "9.9.9.9"}, {"X-Forwarded-For": "8.8.4.4"}
JOINS = 1000
PATHS = ("/../etc/passwd", "/static/%2e%2e/%2e%2e/app.py", "/assets/..%2f..%2fapp.py", "//evil.example", "/%00",
         "/.env", f"{API}/file=/etc/passwd", f"{API}/file=/tmp/gradio/../../etc/passwd", f"{API}/proxy=http://127.0.0.1/",
         f"{API}/upload", f"{API}/component_server", "/docs", "/openapi.json", "/monitoring", f"{API}/deep_link",
         f"{API}/stream/a/b/1/playlist.m3u8", "/" + "a" * 5000, f"{API}/queue/data", f"{API}/call/_ask_api/x" * 40)
HEADERS = ("Content-Length: 5\r\nContent-Length: 7\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
           "Host: evil.example\r\n", "X-Forwarded-Host: evil.example\r\n", "X-Gradio-Server: http://evil.example\r\n",
           "X-Forwarded-For: " + "1.1.1.1, " * 900 + "\r\n", "X: " + "a" * 200_000 + "\r\n", "Bad Name: x\r\n",
           "Authorization: Bearer x\r\nCookie: access-token=x\r\n", "Expect: 100-continue\r\n",
           "Upgrade: websocket\r\n", "Range: bytes=0-99999999999\r\n", "X: \x00\r\n",
           "Accept-Encoding: " + "gzip;q=1," * 500 + "\r\n")


class Attacker:
    """What one machine can do to a page that it reaches over HTTP."""

    def __init__(self, url: str, index: int, values: list) -> None:
        self.url, self.index, self.values = url, index, values
        host, port = url.removeprefix("http://").split(":")
        self.place = (host, int(port))
        self.answers: list[int] = []
        self.open: list[socket.socket] = []

    def raw(self, text: str) -> None:
        """Send what no library would; note the status of the answer (0: hung up on)."""
        with socket.create_connection(self.place, timeout=20) as connection:
            try:
                connection.sendall(text.encode("latin-1"))
                said = connection.recv(12)
            except OSError:
                said = b""
        self.answers.append(int(said[9:12]) if said[9:12].isdigit() else 0)

    def tricks(self) -> None:
        for path in PATHS:
            for method in ("GET", "POST", "PUT"):
                self.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n"
                         f"Content-Length: 0\r\n\r\n")
        for header in HEADERS:
            self.raw(f"GET /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n")
            self.raw(f"POST {API}/queue/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     f"Connection: close\r\n{header}\r\n{{}}")

    def forge(self, count: int) -> None:
        """Calls in which something is not what the page would send."""
        paths = ("queue/join", "run/predict", "call/ask", "call/v2/ask", "cancel", "reset", "api/x")
        chance = random.Random(3407)
        odd = [None, True, -1, 10**30, 1.5, "x" * 3000, {"a": 1}, [[]] * 50, "\ud800", "<script>", "../../x", ""]
        with httpx.Client(base_url=self.url, headers=ATTACKER, timeout=20, trust_env=False) as http:
            for _ in range(count):
                row = {"data": [*self.values], "fn_index": self.index, "session_hash": f"a{chance.randrange(99)}"}
                for key in chance.sample([*row, "event_id", "batched", "trigger_id"], 2):
                    row[key] = chance.choice(odd)
                self.answers.append(http.post(f"{API}/{chance.choice(paths)}", content=json.dumps(row).encode(),
                                              headers={"Content-Type": "application/json"}).status_code)

    def join(self, count: int) -> None:
        """Questions that nobody listens to."""
        def ask(n):
            row = {"data": ["What is MLA?", *self.values[1:]], "fn_index": self.index, "session_hash": f"j{n}"}
            return http.post(f"{API}/queue/join", json=row).status_code

        with httpx.Client(base_url=self.url, headers=ATTACKER, timeout=60, trust_env=False) as http, \
                ThreadPoolExecutor(8) as threads:
            self.answers += threads.map(ask, range(count))

    def dawdle(self, count: int) -> None:
        """Connections of which each does next to nothing: half a head, half a body, a stream nobody reads."""
        half = ("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nX-Slow: ",
                f"POST {API}/queue/join HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n"
                "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
                f"GET {API}/heartbeat/slow HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
                f"GET {API}/queue/data?session_hash=j1 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n")
        for n in range(count):
            connection = socket.create_connection(self.place, timeout=20)
            connection.sendall(half[n % len(half)].encode())
            self.open.append(connection)

    def leave(self) -> None:
        for connection in self.open:
            connection.close()


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


@pytest.mark.heavy
def test_after_an_attackers_afternoon_the_next_question_is_answered(monkeypatch):
    monkeypatch.setenv("TRUST_FORWARDED", "1")
    with serving(FakeEngine(delay_s=0.01), FakeRetriever()) as served:
        assert "An answer by tuned_rag." in served.answer("before", headers=VISITOR)
        before = held()
        attacker = Attacker(served.url, served.ask_index, served.values("What is MLA?"))
        attacker.dawdle(200)
        work = [threading.Thread(target=attacker.tricks), threading.Thread(target=attacker.forge, args=(300,)),
                threading.Thread(target=attacker.join, args=(JOINS,))]
        for thread in work:
            thread.start()
        took_s = []
        while any(thread.is_alive() for thread in work) or not took_s:
            begun = time.monotonic()
            assert "An answer by tuned_rag." in served.answer(f"v{len(took_s)}", headers=VISITOR)
            took_s.append(time.monotonic() - begun)
            time.sleep(0.5)  # as a person reads
        assert max(took_s) < 10 + served.slowness_s()
        assert len(attacker.answers) > JOINS + 300 and not {s for s in attacker.answers if s >= 500}
        assert attacker.answers.count(429) > JOINS / 2
        attacker.leave()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (served.running() or load_visitors()._streams
                                               or held()[1] > before[1] + 3):
            time.sleep(0.1)
        assert not served.running() and not load_visitors()._streams
        assert held()[1] <= before[1] + 3 and held()[0] <= before[0] + 40  # Gradio keeps its pool of threads
        load_visitors()._calls.clear()
        assert "An answer by tuned_rag." in served.answer("attacker", headers=ATTACKER)
