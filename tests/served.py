"""The whole app on a free loopback port, with a fake engine: for tests of the door and of faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from space import app, launch, parts, visitors
from space.settings import Settings
from tests.test_boot import free_port

API = "/gradio_api"


class Served:
    """A running page: raw HTTP against it, as an attacker or a program would send it."""

    def __init__(self, page, url: str, engine) -> None:
        self.page, self.url, self.engine = page, url, engine
        self.http = httpx.Client(base_url=url, timeout=20)
        self.ask_index = next(i for i, f in page.fns.items() if f.concurrency_id == launch.QUESTIONS)

    def join(self, session="s1", question="What is MLA?", headers=None, **changes):
        """POST a question straight at the queue."""
        row = {"data": self.values(question), "fn_index": self.ask_index, "session_hash": session} | changes
        return self.http.post(f"{API}/queue/join", json=row, headers=headers or {})

    def values(self, question) -> list:
        """What the page sends to ask: the question, and what the other parts hold at first."""
        others = self.page.fns[self.ask_index].inputs[1:]
        return [question, *(None if part.get_block_name() == "state" else part.value for part in others)]

    def call(self, name: str, session: str, *values: object):
        """Call an event by its function's name, in the way in which the page would."""
        index, function = next((i, f) for i, f in self.page.fns.items() if f.name == name)
        row = {"data": list(values), "fn_index": index, "session_hash": session}
        return self.http.post(f"{API}/{'run/predict' if function.queue is False else 'queue/join'}", json=row)

    def listen(self, session="s1", headers=None) -> Iterator[dict]:
        """The messages of a session's stream."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": session},
                              headers=headers or {}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def answer(self, session="s1", question="What is MLA?", headers=None) -> str:
        """Ask and listen to the end: everything that was drawn, as one text."""
        joined = self.join(session, question, headers)
        assert joined.status_code == 200, joined.text
        messages = list(self.listen(session, headers))
        assert any(m["msg"] == "process_completed" and m["success"] for m in messages)
        return json.dumps(messages)

    def slowness_s(self) -> float:
        """What this machine, as busy as it is now, adds to a time limit: ten of the smallest requests."""
        begun = time.monotonic()
        for _ in range(10):
            self.http.get(f"{API}/app_id")
        return time.monotonic() - begun

    def running(self) -> int:
        """Questions that Gradio still holds."""
        return len(self.page._queue.event_ids_to_events)


@contextmanager
def serving(engine, retriever, **settings) -> Iterator[Served]:
    """Serve the app with these parts; `settings` replace those of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = Settings(port=free_port(), **settings)
        for module in (app, visitors):
            patch.setattr(module, "load_settings", lambda: chosen)
        patch.setattr(parts, "load_engine", lambda: engine)
        patch.setattr(parts, "load_retriever", lambda: retriever)
        visitors.load_visitors.cache_clear()
        page = app.build()
        page.launch(prevent_thread_lock=True, quiet=True, theme=app.theme(), css_paths=app.STYLES,
                    **launch.launch_settings(page, chosen))
        served = Served(page, page.local_url.rstrip("/"), engine)
        try:
            yield served
        finally:
            served.http.close()
            page.close(verbose=False)
            visitors.load_visitors.cache_clear()
