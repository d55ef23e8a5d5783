"""How the page is served: nothing of Gradio's that this app does not need, and the door in front of the rest."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from space.door import Door, Function
from space.settings import ROOT, Settings
from space.visitors import load_visitors

QUESTIONS = "ask"
"""Concurrency id of the events that may ask the models, and name of their public function: the door counts those."""


class Sessions(OrderedDict[str, Any]):
    """Undelivered messages by session, in place of Gradio's own, which forgets the oldest session when 2,000 newer ones
    came, also while its question is being answered. This one forgets the session that was used least recently among
    those without an unfinished event, and what Gradio keeps of its events."""

    def __init__(self, queue: Any, most: int = 2000) -> None:
        super().__init__()
        self._queue, self._most = queue, most

    def __getitem__(self, session: str) -> Any:
        self.move_to_end(session)
        return super().__getitem__(session)

    def __setitem__(self, session: str, messages: Any) -> None:
        while session not in self and len(self) >= self._most:
            oldest = next((s for s in self if not self._busy(s)), next(iter(self)))
            del self[oldest]
            self._queue.pending_event_ids_session.pop(oldest, None)
        super().__setitem__(session, messages)

    def _busy(self, session: str) -> bool:
        events = self._queue.pending_event_ids_session.get(session, ())
        return any(event in self._queue.event_ids_to_events for event in events)


class Desk:
    """What the door asks about Gradio's events (see space.door.Desk). The one place that reads Gradio's insides;
    `page` is the app's gradio.Blocks."""

    def __init__(self, page: Any) -> None:
        self._page = page

    def function(self, index: int | None, name: str) -> Function | None:
        """See space.door.Desk."""
        fns = self._page.fns
        found = fns.get(index) if index is not None else next(
            (f for f in fns.values() if name and f.api_name == name), None)
        if found is None:
            return None
        return Function(str(found.api_name or ""), public=found.api_visibility == "public",
                        queued=found.queue is not False,
                        question=QUESTIONS in (found.concurrency_id, found.api_name),
                        values=len(found.inputs),
                        texts=tuple(n for n, part in enumerate(found.inputs) if part.get_block_name() == "textbox"))

    def unfinished(self, event: str) -> bool:
        """See space.door.Desk."""
        return event in self._page._queue.event_ids_to_events

    def session_of(self, event: str) -> str:
        """See space.door.Desk."""
        found = self._page._queue.event_ids_to_events.get(event)
        return found.session_hash if found else ""

    def closing(self, session: str) -> bool:
        """See space.door.Desk."""
        return not self._page._queue.pending_event_ids_session.get(session)


def launch_settings(page: Any, settings: Settings) -> dict[str, Any]:
    """What `page.launch` is given, apart from its looks."""
    page._queue.pending_messages_per_session = Sessions(page._queue)
    on_space = bool(os.environ.get("SPACE_ID"))
    door = Middleware(Door, desk=Desk(page), visitors=load_visitors(), framed=on_space,
                      trust_forwarded=settings.trust_forwarded)
    return {
        "server_name": "0.0.0.0" if on_space else os.environ.get("HOST", "127.0.0.1"), "server_port": settings.port,
        "app_kwargs": {"middleware": [door], "docs_url": None, "redoc_url": None, "openapi_url": None},
        "ssr_mode": False, "show_error": False, "run_history": False, "footer_links": [], "pwa": False,
        "enable_monitoring": False, "max_file_size": "1kb", "mcp_server": False, "strict_cors": True,
        "max_threads": 24 + load_visitors().limits.events, "state_session_capacity": 200, "allowed_paths": [],
        "blocked_paths": [str(ROOT), "/proc", "/sys", "/etc", "/data", str(Path.home() / ".cache")]}
