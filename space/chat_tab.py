"""The compare tab: one question, three answers side by side.

One generator yields to all three columns; three listeners on one button would stream one after
another in the browser. What happens is in chat_flow.py, what is drawn in cards.py and evidence.py; this
module joins them to the components of chat_layout.py. Every event goes through the queue; the stop
buttons have a lane of their own there, or they would wait for the answers they are to stop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from space import cards, chat_flow, evidence, examples, parts, recorded
from space.chat_flow import Frame, Runs
from space.chat_layout import VIEWS, Layout, draw, models_line, status_line
from space.comparison import Comparison
from space.errors import UserError
from space.options import check_options

SCRIPT = Path(__file__).with_name("chat.js")
LOADING_S = 240
"""How long a page follows the loading of the models."""
Update = dict[Any, Any]
"""New values by component."""
ANSWERING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 16, "concurrency_id": "ask",
                             "trigger_mode": "once", "api_visibility": "private"}
STOPPING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 16, "concurrency_id": "stop",
                            "trigger_mode": "multiple", "api_visibility": "private"}
LOOKING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 64, "concurrency_id": "look",
                           "api_visibility": "private"}


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`, and join its events."""
    layout, runs = draw(), Runs()
    screen = Screen(layout)
    _join_questions(layout, screen, runs)
    _join_columns(layout, screen, runs)
    script = SCRIPT.read_text(encoding="utf-8")
    layout.view.change(None, layout.view, None, js=f"(label) => chatView({VIEWS!r}[label])")
    page.load(None, js=f"() => {{ {script} }}")
    page.load(_follow_loading, None, layout.models, **LOOKING)
    page.load(screen.greet, None, screen.outputs, **LOOKING)


def _join_questions(layout: Layout, screen: Screen, runs: Runs) -> None:
    """Ask, follow up, run live, the examples, and stop."""
    inputs = [layout.question, layout.comparison, layout.blind, *layout.options]

    def asking(follow: bool = False, live: bool = False, chosen: Callable[[Any], Any] | None = None) -> Any:
        def ask(given: Any, previous: Comparison | None, blind: bool, request: gr.Request,
                *options: Any) -> Iterator[Update]:
            text = chosen(given) if chosen else given
            if live and previous:
                text = previous.question
            yield from screen.ask(text, None if chosen else previous, blind, options, request.session_hash or "", runs,
                                  follow=follow, live=live, picked=bool(chosen))
        return ask

    gr.on([layout.ask.click, layout.question.submit], asking(), inputs, screen.outputs, **ANSWERING)
    layout.follow.click(asking(follow=True), inputs, screen.outputs, **ANSWERING)
    layout.live.click(asking(live=True), inputs, screen.outputs, **ANSWERING)
    layout.surprise.click(asking(chosen=_surprise), inputs, screen.outputs, **ANSWERING)
    for dataset in layout.groups.values():
        dataset.click(asking(chosen=lambda row: row[0]), [dataset, *inputs[1:]], screen.outputs, **ANSWERING)

    def stop(request: gr.Request) -> None:
        runs.stop(request.session_hash or "")

    layout.stop.click(stop, None, None, **STOPPING)


def _join_columns(layout: Layout, screen: Screen, runs: Runs) -> None:
    """Stop or ask again one column."""
    for position, (again, halt) in enumerate(zip(layout.agains, layout.halts, strict=True)):
        def repeat(comparison: Comparison | None, request: gr.Request, *options: Any,
                   position: int = position) -> Iterator[Update]:
            if comparison:
                yield from screen.again(comparison, position, options, request.session_hash or "", runs)

        def stop(comparison: Comparison | None, request: gr.Request, position: int = position) -> None:
            if comparison:
                runs.stop(request.session_hash or "", comparison.order[position])

        again.click(repeat, [layout.comparison, *layout.options], screen.outputs, **ANSWERING)
        halt.click(stop, layout.comparison, None, **STOPPING)


def _surprise(now: Any) -> str:
    example = examples.surprise(but=now if isinstance(now, str) else "")
    return example.question if example else ""


async def _follow_loading() -> AsyncIterator[str]:
    """A line that says what is being loaded until the models are ready."""
    began, shown = time.monotonic(), ""
    while time.monotonic() - began < LOADING_S:
        says = parts.load_engine().loading()
        if not says:
            break
        if says != shown:
            shown = says
            yield models_line(says + " Recorded answers can be read meanwhile." if recorded.first() else says)
        await asyncio.sleep(0.25)
    yield models_line("The models are ready.", ready=True)


class Screen:
    """Turns frames into updates of the components; only what changed is sent."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.outputs = [
            layout.question, layout.ask, layout.follow, layout.stop, layout.status, layout.asked, layout.live,
            layout.view, *layout.cards, *layout.agains, *layout.halts, layout.below, layout.comparison]

    def greet(self) -> Update:
        """What a visitor sees first: a recorded comparison, where there is one."""
        comparison = recorded.first()
        if not comparison:
            return {self.layout.status: status_line("Type a question or pick one above.")}
        says = "A recorded comparison to begin with. Ask a question, or run this one live."
        return {**self._frame(Frame(comparison, says)), self.layout.question: comparison.question}

    def ask(self, text: object, previous: Comparison | None, blind: bool, options: tuple[Any, ...], session: str,
            runs: Runs, follow: bool = False, live: bool = False, picked: bool = False) -> Iterator[Update]:
        """The updates of a question: at once where its answers are recorded, else as they are written."""
        shown = {self.layout.question: text} if picked else {}
        try:
            checked = check_options(*options)
            if live and previous and previous.earlier:
                comparison = chat_flow.reopen(previous, checked, blind)
            else:
                comparison = chat_flow.begin(text, checked, previous, blind, follow, live)
        except UserError as error:
            yield self._refused(str(error))
            return
        if comparison.finished:
            runs.stop(session)
            says = "Recorded answers, shown at once. Run live asks the models now."
            if comparison.hidden:
                says = chat_flow.summary(comparison, comparison.order)
            yield {**self._frame(Frame(comparison, says)), **shown}
            return
        yield from self._stream(chat_flow.run(comparison, comparison.order, session, runs), shown)

    def again(self, comparison: Comparison, position: int, options: tuple[Any, ...], session: str,
              runs: Runs) -> Iterator[Update]:
        """The updates of one column that is asked anew."""
        key = comparison.order[position]
        try:
            anew = chat_flow.again(comparison, key, check_options(*options))
        except UserError as error:
            yield {self.layout.status: status_line(str(error))}
            return
        yield from self._stream(chat_flow.run(anew, [key], session, runs), {})

    def _stream(self, frames: Iterator[Frame], opening: Update) -> Iterator[Update]:
        before: Update = {}
        for frame in frames:
            update = {**self._frame(frame, first=not before), **({} if before else opening)}
            yield {part: value for part, value in update.items() if part not in before or before[part] != value}
            before |= update

    def _frame(self, frame: Frame, first: bool = True) -> Update:
        layout, comparison, running = self.layout, frame.comparison, bool(frame.running)
        calm = comparison.finished and not running
        update: Update = {
            layout.status: status_line(frame.says),
            layout.asked: asked(comparison),
            layout.ask: _button(not running), layout.stop: _button(running),
            layout.follow: _button(calm and not comparison.hidden),
            layout.live: _seen(calm and comparison.source is not None and not comparison.hidden),
            layout.view: _seen(calm and not comparison.hidden),
            layout.below: evidence.below(comparison) if calm else "",
        }
        if first or calm:
            update[layout.comparison] = comparison
        for n, key in enumerate(comparison.order):
            update[layout.cards[n]] = cards.card(comparison, n)
            update[layout.agains[n]] = _seen(not running and not comparison.hidden)
            update[layout.halts[n]] = _seen(key in frame.running and not comparison.hidden)
        return update

    def _refused(self, sentence: str) -> Update:
        """A question that cannot be asked: the columns stay as they are."""
        return {self.layout.status: status_line(sentence), self.layout.ask: _button(True)}


def asked(comparison: Comparison) -> str:
    """The question that the columns answer, and where the answers come from."""
    notes = []
    if comparison.earlier:
        notes.append(f"follow-up, read as: {escape(comparison.full_question)}")
    if comparison.source and not comparison.hidden:
        notes.append(f'<b class="recorded">recorded on {escape(comparison.source.day)}</b> from '
                     f'<code>{escape(comparison.source.file)}</code>')
    if comparison.example and not comparison.hidden:
        notes.append(escape(examples.meaning(comparison.example)))
    lines = "".join(f"<p>{note}</p>" for note in notes)
    return f'<div class="asked"><h2>{escape(comparison.question)}</h2>{lines}</div>'


def _button(interactive: bool) -> Update:
    return gr.update(interactive=interactive)


def _seen(visible: bool) -> Update:
    """Shown or hidden; hidden ones stay in the page, so that nothing is built anew."""
    return gr.update(visible=True if visible else "hidden")
