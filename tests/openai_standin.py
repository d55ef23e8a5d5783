"""A local server that answers like an OpenAI-compatible endpoint, for tests alone.

It reads the JSON schema and the input out of a ragas prompt and fills the schema from the input, the
same way every time. `faults` says what the first requests get instead of an answer: "429", "500",
"prose", "broken", "empty", "hang" (no answer at all), "reset" (of the connection, amid the answer) or
"garbage" (a body that is no JSON).
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RETRY_AFTER_S = 1.0
HANG_S = 3.0


class StandIn:
    """`with StandIn() as server:` gives `server.url`; `server.log` lists (time, status or fault)."""

    def __init__(self, faults: list[str] | None = None, always: str = "",
                 pause_s: float = 0.0, answer: Callable[[str], str] | None = None) -> None:
        self.faults = list(faults or [])
        self.always = always
        self.pause_s = pause_s
        self.answer = answer or answer_prompt
        self.log: list[tuple[float, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> StandIn:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, body: dict[str, Any]) -> str:
        with self._lock:
            self.bodies.append(body)
            fault = self.faults.pop(0) if self.faults else self.always
            self.log.append((time.monotonic(), fault or "ok"))
            return fault


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.standin.next_fault(body)
        prompt = next(m["content"] for m in body["messages"] if "\ninput: " in m["content"])
        if fault == "429":
            return self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": str(RETRY_AFTER_S)})
        if fault in ("400", "401", "404", "500"):
            return self._send(int(fault), {"error": {"message": f"error {fault}"}})
        if fault == "hang":
            time.sleep(HANG_S)
            self.close_connection = True
            return None
        if fault == "reset":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return None
        if fault == "garbage":
            return self._raw(200, b"<html>not an API</html>{", {})
        time.sleep(self.standin.pause_s)
        said = {"prose": "Of course! Here is what I think about it.", "broken": '{"query": "What is', "empty": ""}
        text = said[fault] if fault in said else self.standin.answer(prompt)
        return self._send(200, {
            "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(text) // 4,
                      "total_tokens": (len(prompt) + len(text)) // 4}})

    def _send(self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(value).encode(), headers or {})

    def _raw(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, header in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, header)
        self.end_headers()
        self.wfile.write(data)


def answer_prompt(prompt: str) -> str:
    """Fill the schema that the prompt asks for from the prompt's input."""
    schema = json.JSONDecoder().raw_decode(prompt, prompt.index("{", prompt.index("JSON Schema:")))[0]
    marked = prompt.rindex("\ninput: ") + len("\ninput: ")
    given = json.JSONDecoder().raw_decode(prompt, marked)[0]
    return json.dumps(_fill(schema["title"], given))


def _fill(title: str, given: dict[str, Any]) -> dict[str, Any]:
    match title:
        case "StringIO":
            return {"text": " ".join(given["text"].split()[:40])}
        case "NEROutput":
            return {"entities": _names(given["text"])[:given["max_num"]]}
        case "ThemesAndConcepts":
            return {"output": _names(given["text"])[:5] or ["design"]}
        case "PersonaThemesMapping":
            return {"mapping": {p["name"]: given["themes"] for p in given["personas"]} | {"Nobody": given["themes"]}}
        case "ConceptCombinations":
            lists = [own for own in given["lists_of_concepts"] if own]
            return {"combinations": [[a[0], b[-1]] for a, b in zip(lists, lists[1:], strict=False)]}
        case "GeneratedQueryAnswer":
            return _question(given)
        case "StatementGeneratorOutput":
            return {"statements": [s for s in re.split(r"(?<=[.!?])\s+", given["answer"]) if s]}
        case "NLIStatementOutput":
            known = set(re.findall(r"\w+", given["context"].lower()))
            return {"statements": [{"statement": s, "reason": "words of the context",
                                    "verdict": int(set(re.findall(r"\w+", s.lower())) <= known)}
                                   for s in given["statements"]]}
        case "AnswerRelevanceOutput":
            evasive = re.search("do(es)? not (tell|know)|don't know", given["response"]) is not None
            return {"question": f"What about {' '.join(given['response'].split()[:12])}?", "noncommittal": int(evasive)}
    raise ValueError(f"the stand-in does not know the schema {title}")


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\b[A-Z][\w-]*[A-Z0-9][\w-]*\b", text)))


def _question(given: dict[str, Any]) -> dict[str, str]:
    """Answer with a sentence of each context; ask with its words without digits, so that the numbers
    are left for the key facts."""
    contexts = given["context"] if isinstance(given["context"], list) else [given["context"]]
    seed = int(hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest(), 16)
    picked = []
    for context in contexts[:2]:
        body = re.sub(r"^(<\d-hop>\n\n)?[^\n]*\n\n", "", context)
        long = [s for s in re.split(r"(?<=\.)\s+", body) if len(s.split()) > 6 and "|" not in s] or [body]
        picked.append(long[seed % len(long)])
    words = [w for s in picked for w in re.findall(r"(?<![\w-])[A-Za-z]{4,}(?![\w-])", s)]
    answer = " ".join(picked)
    if len(answer.split()) < 15:
        answer += " That is all that the passage has to say on this matter, in so many words."
    return {"query": f"How about {' '.join(words[:16])}?", "answer": answer}
