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

import gradio as gr  # noqa: E402

from space import about_tab, chat_tab, corpus_tab, eval_tab, examples, parts, train_tab, votes  # noqa: E402
from space.errors import UserError  # noqa: E402
from space.launch import launch_settings  # noqa: E402
from space.memory import few_arenas  # noqa: E402
from space.settings import load_settings  # noqa: E402
from space.visitors import load_visitors  # noqa: E402
from space.zero_gpu import on_zero_gpu  # noqa: E402

few_arenas()
STYLES = [Path(__file__).with_name(name) for name in ("style.css", "dashboard.css", "pages.css")]
TABS = (
    ("compare", "Compare", chat_tab.build),
    ("eval", "Evaluation", eval_tab.build),
    ("train", "Training", train_tab.build),
    ("corpus", "Corpus", corpus_tab.build),
    ("about", "About", about_tab.build),
)
"""Key in the URL (`?tab=…`), label, and what draws the tab; each is given the page."""
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
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            for key, label, draw in TABS:
                with gr.Tab(label, id=key, elem_id=f"tab-{key}"):
                    draw(page)
        page.load(_open_tab, outputs=tabs, queue=False, show_progress="hidden", api_visibility="private")
        page.load(None, js=LIVE_REGION)
    page.queue(max_size=48 + load_visitors().limits.events, default_concurrency_limit=4, api_open=False)
    return page


def _open_tab(request: gr.Request) -> gr.Tabs:
    """The tab that the link names, by its key or by the label that a visitor sees, else the first."""
    wanted = request.query_params.get("tab", "").casefold()
    return gr.Tabs(selected=next((key for key, label, _ in TABS if wanted in (key, label.casefold())), TABS[0][0]))


def warm() -> None:
    """Load models and index in the background, so that the first question finds them ready, and read the passages of
    the example questions while nobody waits."""
    try:
        parts.load_engine().warm()
        parts.load_retriever().search("warm-up", 1)
        votes.start()
        examples.read_ahead()
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
    if on_zero_gpu():
        warm()  # the host takes over weights and GPU functions that are there when the page is launched
    else:
        threading.Thread(target=warm, name="warm", daemon=True).start()
    page.launch(theme=theme(), css_paths=STYLES, share=os.environ.get("SHARE", "") == "1",
                **launch_settings(page, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
