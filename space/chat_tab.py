"""The compare tab: one question, three answers side by side.

One generator yields to all three columns; three listeners on one button would stream one after
another in the browser. The answers come from `space.answer`; this module only draws.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from html import escape

import gradio as gr

from space import cards, models, parts
from space.answer import stream_answers
from space.errors import UserError
from space.questions import load_examples
from space.schema import CHAT_VARIANTS, Answer, AnswerFailed, Example, Sampling
from space.settings import load_settings
from space.visitors import load_visitors

UPDATE_S = 0.1
"""At most ten screen updates a second."""

EXAMPLES = (
    "deepseek-r1-zero-03", "3fs-07", "deepseek-v3-fp8-training-17", "r1-distilled-models-03", "deepep-16",
    "ragas-04", "lora-06", "flashmla-24",
)
"""Short held-out questions of different documents and kinds; the last one has no answer in the corpus."""


class Stops:
    """Running questions by browser session, so that the stop button finds its own."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}

    def begin(self, session: str) -> threading.Event:
        """A new stop event for this session; a question still running there is stopped."""
        self.stop(session)
        self._events[session] = event = threading.Event()
        return event

    def stop(self, session: str) -> None:
        if event := self._events.get(session):
            event.set()

    def end(self, session: str, event: threading.Event) -> None:
        if self._events.get(session) is event:
            del self._events[session]


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    stops = Stops()
    gr.HTML(_intro(), elem_id="intro")
    with gr.Row(elem_id="ask-row"):
        question = gr.Textbox(
            label="Your question", placeholder="Ask about R1, V3, MLA, GRPO, DualPipe, 3FS …",
            show_label=False, lines=1, max_lines=6, scale=8, elem_id="question", autofocus=True,
            container=False)
        ask_button = gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask")
        stop_button = gr.Button("Stop", variant="stop", scale=1, min_width=90, elem_id="stop",
                                interactive=False)
    examples = gr.Dataset(
        components=[question], samples=[[e.question] for e in example_questions()],
        label="Held-out questions (none shares a passage with a training question)", elem_id="examples")
    status = gr.HTML(_status("Type a question or pick one above."), elem_id="status")
    with gr.Row(elem_id="columns", equal_height=False):
        columns = []
        for variant in CHAT_VARIANTS:
            with gr.Column(min_width=290, elem_classes="column"):
                columns.append(gr.HTML(cards.card(variant, None), elem_id=f"card-{variant.key}"))
    def ask(text: str, request: gr.Request) -> Iterator[list]:
        yield from _ask(text, request.session_hash or "", stops)

    outputs = [*columns, status, ask_button, stop_button]
    settings = {"show_progress": "hidden", "concurrency_limit": 16, "concurrency_id": "ask",
                "trigger_mode": "once"}
    gr.on([ask_button.click, question.submit], ask, question, outputs, api_visibility="private", **settings)
    examples.click(lambda row: row[0], examples, question, queue=False, show_progress="hidden",
                   api_visibility="private").then(ask, question, outputs, api_visibility="private", **settings)

    def stop(request: gr.Request) -> None:
        stops.stop(request.session_hash or "")

    stop_button.click(stop, queue=False, show_progress="hidden", api_visibility="private")


def _ask(text: str, session: str, stops: Stops) -> Iterator[list]:
    """All columns, status and buttons, after each visible change."""
    settings = load_settings()
    answers = {v.key: Answer(v.key) for v in CHAT_VARIANTS}
    stop = stops.begin(session)
    try:
        events = stream_answers(text, CHAT_VARIANTS, parts.load_engine(), parts.load_retriever(),
                                Sampling(max_tokens=settings.max_tokens), settings.passages,
                                settings.deadline_s, stop)
        events = load_visitors().watch(events, CHAT_VARIANTS, stop, session, settings.deadline_s)
        yield _screen(answers, "Looking for passages.", running=True)
        drawn, shown = 0.0, ""
        for event in events:
            answers[event.variant] = answers[event.variant].add(event)
            says = _progress(answers)
            if says != shown or time.monotonic() - drawn >= UPDATE_S:
                drawn, shown = time.monotonic(), says
                yield _screen(answers, says, running=True)
        yield _screen(answers, _summary(answers), running=False)
    except UserError as error:
        failed = {k: a.add(AnswerFailed(k, str(error))) if not a.finished else a for k, a in answers.items()}
        yield _screen(failed, str(error), running=False)
    finally:
        stop.set()
        stops.end(session, stop)


def _screen(answers: dict[str, Answer], says: str, running: bool) -> list:
    drawn = [cards.card(v, answers[v.key]) for v in CHAT_VARIANTS]
    return [*drawn, _status(says), gr.Button(interactive=not running), gr.Button(interactive=running)]


def _progress(answers: dict[str, Answer]) -> str:
    """One short sentence for the status line; it changes only when a phase does."""
    for variant in CHAT_VARIANTS:
        answer = answers[variant.key]
        if answer.state in ("reading", "streaming"):
            return f"{variant.label} is {'reading' if answer.state == 'reading' else 'answering'}."
    if any(a.state == "queued" and a.ahead for a in answers.values()):
        return "Waiting in line."
    return "Starting the models."


def _summary(answers: dict[str, Answer]) -> str:
    failed = [v.label for v in CHAT_VARIANTS if answers[v.key].state == "failed"]
    if failed:
        return f"Done; no answer from: {', '.join(failed)}."
    if any(a.done and a.done.finish == "stopped" for a in answers.values()):
        return "Stopped."
    return "All three answers are ready."


def _status(text: str) -> str:
    return f'<p class="status-line">{escape(text)}</p>'


def _intro() -> str:
    profile = models.load_profile(load_settings().profile)
    small = (
        f"The answers come from <b>{escape(profile.label)}</b>, a real 4-bit model small enough to install "
        "with pip and to run on two CPU cores, so expect its facts to be shaky. Set "
        "<code>PROFILE=qwen2.5-3b</code> to run Qwen2.5-3B-Instruct where the Hugging Face Hub can be reached."
        if profile.name == "embedded" else
        f"The answers come from <b>{escape(profile.label)}</b>, 4-bit, on this machine's CPU.")
    return (
        "<h1>Does fine-tuning help? Does retrieval help?</h1>"
        "<p>One question about AI research papers, three answers: the plain model, the same weights with a "
        "LoRA adapter trained on questions about the papers, and the adapter with passages retrieved from "
        f"the corpus. Every column says which file answered.</p><p class='small-model'>{small}</p>")


def example_questions() -> list[Example]:
    """Held-out questions to start with; none where the visitor brought an own corpus."""
    if parts.own_corpus():
        return []
    try:
        heldout = {e.id: e for e in load_examples(part="heldout")}
    except UserError:
        return []
    return [heldout[id_] for id_ in EXAMPLES if id_ in heldout]
