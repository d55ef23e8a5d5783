"""The app: `make demo`, or `python space/app.py` as a Space runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if not __package__:  # run as a script: import from the repository, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")  # Gradio sums up every event kept here after each event
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")  # the door alone decides whether X-Forwarded-For is believed

import threading  # noqa: E402
from typing import Any  # noqa: E402

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from space import chat_tab, parts  # noqa: E402
from space.door import Door, Function  # noqa: E402
from space.errors import UserError  # noqa: E402
from space.settings import ROOT, Settings, load_settings  # noqa: E402
from space.visitors import load_visitors  # noqa: E402

STYLES = [Path(__file__).with_name("style.css")]
TABS = (
    ("ask", "Compare", chat_tab.build),
)
"""Key in the URL (`?tab=…`), label, and what draws the tab; each is given the page."""
QUESTIONS = "ask"
"""The concurrency id of every event that asks the models, and their public function's name: the door counts those."""
LIVE_REGION = """() => {
  const line = document.getElementById('status');
  line.setAttribute('role', 'status');
  line.setAttribute('aria-live', 'polite');
}"""
"""The wrapper stays while its text changes, so a screen reader hears the status, once."""


def theme() -> gr.themes.Base:
    """System fonts and our accent; the rest is in style.css."""
    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate",
        font=("ui-sans-serif", "system-ui", "Segoe UI", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"))


def build() -> gr.Blocks:
    """The page. Cheap: no model is loaded."""
    with gr.Blocks(title="Plain, fine-tuned, fine-tuned + RAG", analytics_enabled=False,
                   fill_width=True, delete_cache=(3600, 3600)) as page:
        with gr.Tabs(elem_id="tabs") as tabs:
            for key, label, draw in TABS:
                with gr.Tab(label, id=key, elem_id=f"tab-{key}"):
                    draw(page)
        page.load(_open_tab, outputs=tabs, queue=False, show_progress="hidden", api_visibility="private")
        page.load(None, js=LIVE_REGION)
    page.queue(max_size=64, default_concurrency_limit=4, api_open=False)
    return page


class Desk:
    """What the door asks about Gradio's events. The one place that reads Gradio's insides."""

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page

    def function(self, index: int | None, name: str) -> Function | None:
        """See space.door.Desk."""
        found = self._page.fns.get(index) if index is not None else next(
            (f for f in self._page.fns.values() if name and f.api_name == name), None)
        if found is None:
            return None
        return Function(str(found.api_name or ""), public=found.api_visibility == "public", queued=found.queue is not False,
                        question=QUESTIONS in (found.concurrency_id, found.api_name))

    def unfinished(self, event: str) -> bool:
        """See space.door.Desk."""
        return event in self._page._queue.event_ids_to_events

    def session_of(self, event: str) -> str:
        """See space.door.Desk."""
        found = self._page._queue.event_ids_to_events.get(event)
        return found.session_hash if found else ""


def launch_settings(page: gr.Blocks, settings: Settings) -> dict[str, Any]:
    """How the page is served: nothing of Gradio's that this app does not need, and the door in front."""
    on_space = bool(os.environ.get("SPACE_ID"))
    door = Middleware(Door, desk=Desk(page), visitors=load_visitors(), framed=on_space,
                      trust_forwarded=settings.trust_forwarded)
    return {
        "server_name": "0.0.0.0" if on_space else os.environ.get("HOST", "127.0.0.1"),
        "server_port": settings.port, "theme": theme(), "css_paths": STYLES,
        "app_kwargs": {"middleware": [door], "docs_url": None, "redoc_url": None, "openapi_url": None},
        "ssr_mode": False, "show_error": False, "run_history": False, "footer_links": [], "pwa": False,
        "enable_monitoring": False, "max_file_size": "1kb", "mcp_server": False, "strict_cors": True,
        "max_threads": 40, "state_session_capacity": 200, "allowed_paths": [],
        "blocked_paths": [str(ROOT), "/proc", "/sys", "/etc", "/data", str(Path.home() / ".cache")]}


def _open_tab(request: gr.Request) -> gr.Tabs:
    """The tab that the link names, else the first."""
    wanted = request.query_params.get("tab", "")
    return gr.Tabs(selected=wanted if wanted in {key for key, *_ in TABS} else TABS[0][0])


def warm() -> None:
    """Load models and index in the background, so that the first question finds them ready."""
    try:
        parts.load_engine().warm()
        parts.load_retriever().search("warm-up", 1)
    except UserError as error:
        print(error, file=sys.stderr)


def main() -> int:
    """Serve until interrupted. SHARE=1 opens a public Gradio link."""
    try:
        settings = load_settings()
        page = build()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    threading.Thread(target=warm, name="warm", daemon=True).start()
    page.launch(share=os.environ.get("SHARE", "") == "1", **launch_settings(page, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
