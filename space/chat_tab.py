"""The compare tab: one question, three answers side by side.

One generator yields to all three columns; three listeners on one button would stream one after another in the
browser. What happens is in chat_flow.py, what is drawn in chat_screen.py, cards.py and evidence.py; this module
joins them to the components of chat_layout.py. Every event goes through the queue; the stop buttons have a lane of
their own there, or they would wait for the answers they are to stop.

`?tab=compare&q=QUESTION&temperature=…&max_tokens=…&passages=…&seed=…` opens a comparison (space/share.py).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from space import api, chat_flow, examples, parts, recorded, saved, share
from space.chat_flow import Runs
from space.chat_layout import VIEWS, Layout, draw
from space.chat_screen import Screen, Update
from space.chat_words import models_line, status_line
from space.comparison import Comparison
from space.errors import UserError
from space.options import check_options
from space.schema import Sampling

SCRIPT = Path(__file__).with_name("chat.js")
LOADING_S = 240
"""How long a page follows the loading of the models."""
ANSWERING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "concurrency_id": "ask",
                             "trigger_mode": "once", "api_visibility": "private"}
"""All run at once that the door lets in: in Gradio's line neither a deadline nor a listener who left would be seen."""
STOPPING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 16, "concurrency_id": "stop",
                            "trigger_mode": "multiple", "api_visibility": "private"}
LOOKING: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": 64, "concurrency_id": "look",
                           "api_visibility": "private"}


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`, and join its events."""
    layout, runs = draw(recorded.first()), Runs()
    screen = Screen(layout)
    _join_questions(page, layout, screen, runs)
    _join_columns(layout, screen, runs)
    _join_votes(layout, screen)
    _join_sharing(layout)
    script = SCRIPT.read_text(encoding="utf-8")
    layout.view.change(None, layout.view, None, js=f"(label) => chatView({VIEWS!r}[label])", api_visibility="private")
    page.load(None, js=f"() => {{ {script} }}", api_visibility="private")
    page.load(_follow_loading, None, layout.models, **LOOKING)
    gr.api(_ask_api, api_name="ask", api_description=api.DESCRIPTION, concurrency_limit=None, concurrency_id="ask")


def _join_questions(page: gr.Blocks, layout: Layout, screen: Screen, runs: Runs) -> None:
    """Ask, follow up, run live, the examples, a link that asks, and stop."""
    inputs = [layout.question, layout.comparison, layout.blind, *layout.options]

    def asking(follow: bool = False, live: bool = False) -> Callable[..., Iterator[Update]]:
        def ask_page(text: str, previous: Comparison | None, blind: bool, request: gr.Request,
                *options: Any) -> Iterator[Update]:
            if live and previous:
                text = previous.question
            yield from answer(screen, text, previous, blind, options, request.session_hash or "", runs, follow, live)
        return ask_page

    def pick(event: gr.EventData, previous: Comparison | None, blind: bool, request: gr.Request,
             *options: Any) -> Iterator[Update]:
        given = event._data.get("question") if isinstance(event._data, dict) else ""
        text = str(given or "") or _surprise(previous)
        shown = {layout.question: text}
        yield from answer(screen, text, previous, blind, options, request.session_hash or "", runs, opening=shown,
                          anew=True)

    def fill(request: gr.Request) -> Update:
        return from_link(layout, dict(request.query_params)) or screen.nothing

    gr.on([layout.ask.click, layout.question.submit], asking(), inputs, screen.outputs, **ANSWERING)
    layout.follow.click(asking(follow=True), inputs, screen.outputs, **ANSWERING)
    layout.live.click(asking(live=True), inputs, screen.outputs, **ANSWERING)
    layout.examples.select(pick, inputs[1:], screen.outputs, **ANSWERING)
    page.load(fill, None, [*screen.outputs, *layout.options], **LOOKING).then(
        None, None, None, js="() => chatAsk()", api_visibility="private")

    def stop(request: gr.Request) -> None:
        runs.stop(request.session_hash or "")

    layout.stop.click(stop, None, None, **STOPPING)


def _join_columns(layout: Layout, screen: Screen, runs: Runs) -> None:
    """Stop or ask again one column."""
    for position, (again, halt) in enumerate(zip(layout.agains, layout.halts, strict=True)):
        def repeat(comparison: Comparison | None, request: gr.Request, *options: Any,
                   position: int = position) -> Iterator[Update]:
            yield from regenerated(screen, comparison, position, options, request.session_hash or "", runs)

        def stop(comparison: Comparison | None, request: gr.Request, position: int = position) -> None:
            if comparison:
                runs.stop(request.session_hash or "", comparison.order[position])

        again.click(repeat, [layout.comparison, *layout.options], screen.outputs, **ANSWERING)
        halt.click(stop, layout.comparison, None, **STOPPING)


def _join_votes(layout: Layout, screen: Screen) -> None:
    """The buttons of the blind test: one a column, and a tie."""
    for position, button in enumerate(layout.votes):
        def vote(comparison: Comparison | None, position: int = position) -> Update:
            if not comparison:
                return screen.refused("There is nothing to vote on.")
            try:
                return screen.still(*chat_flow.vote(comparison, position))
            except UserError as error:
                return screen.refused(str(error))

        button.click(vote, layout.comparison, screen.outputs, **LOOKING)


def _join_sharing(layout: Layout) -> None:
    """Copy the link, save as a file. The browser writes the file, so nothing is kept on the server."""
    def link(comparison: Comparison | None, request: gr.Request) -> tuple[Any, str]:
        if not comparison:
            return gr.skip(), status_line("There is nothing to link to yet.")
        return (gr.update(value=share.link(comparison, request.headers), visible=True),
                status_line("The link stands in the box below the answers, and is copied where the browser allows it."))

    def save(kind: str) -> Callable[[Comparison | None, gr.Request], str]:
        def write(comparison: Comparison | None, request: gr.Request) -> str:
            if not comparison:
                return ""
            return json.dumps(saved.file(comparison, kind, share.link(comparison, request.headers)), allow_nan=False)
        return write

    layout.copy.click(link, layout.comparison, [layout.link, layout.status], **LOOKING).then(
        None, layout.link, None, js="(link) => chatCopy(link)", api_visibility="private")
    for button, kind in ((layout.markdown, "md"), (layout.html, "html")):
        button.click(save(kind), layout.comparison, layout.saved, **LOOKING).then(
            None, layout.saved, None, js="(file) => chatSave(file)", api_visibility="private")


def answer(screen: Screen, text: object, previous: Comparison | None, blind: bool, options: tuple[Any, ...],
           session: str, runs: Runs, follow: bool = False, live: bool = False, anew: bool = False,
           opening: Update | None = None) -> Iterator[Update]:
    """The updates of a question: at once where its answers are recorded, else as they are written. `anew`: it
    never follows up on `previous`; `opening` goes with the first update."""
    try:
        checked = check_options(*options)
        if live and previous and previous.earlier:
            comparison = chat_flow.reopen(previous, checked, blind)
        else:
            comparison = chat_flow.begin(text, checked, previous, blind, follow, live, anew)
    except UserError as error:
        yield {**screen.refused(str(error)), **(opening or {})}
        return
    if comparison.finished:
        runs.stop(session)
        says = (chat_flow.summary(comparison, comparison.order) if comparison.hidden
                else "Recorded answers, shown at once. Run live asks the models now.")
        yield {**screen.still(comparison, says), **(opening or {})}
        return
    yield from screen.stream(chat_flow.run(comparison, comparison.order, session, runs), opening or {})


def regenerated(screen: Screen, comparison: Comparison | None, position: int, options: tuple[Any, ...], session: str,
                runs: Runs) -> Iterator[Update]:
    """The updates of one column that is asked anew."""
    if not comparison:
        yield screen.refused("There is nothing to regenerate yet.")
        return
    key = comparison.order[position]
    try:
        anew = chat_flow.again(comparison, key, check_options(*options))
    except UserError as error:
        yield screen.refused(str(error))
        return
    yield from screen.stream(chat_flow.run(anew, [key], session, runs), {}, keep_below=True)


def from_link(layout: Layout, query: dict[str, str]) -> Update:
    """What a link with a question fills in; {} without one. The page asks by itself then (`chatAsk` in chat.js), so
    that a visit as such is no question. Where the link follows up on questions, so does the page."""
    asked = share.read(query)
    if not asked:
        return {}
    settings = zip(layout.options, asked.options, strict=True)
    filled: Update = {layout.question: asked.question, **{part: value for part, value in settings if value is not None}}
    if asked.earlier:
        *older, last = asked.earlier
        filled[layout.comparison] = chat_flow.unanswered(last, tuple(older))
        filled[layout.follow] = gr.update(interactive=True)
    return filled


def _surprise(now: Comparison | None) -> str:
    example = examples.surprise(but=now.question if now else "")
    return example.question if example else ""


def _ask_api(question: str, variants: list[str] | None = None, temperature: float = 0.0,
             max_tokens: int = Sampling.max_tokens, passages: int = 3, seed: int = Sampling.seed,
             request: gr.Request | None = None) -> dict:
    session = (request.session_hash or "") if request else ""
    try:
        return api.ask(question, variants, temperature, max_tokens, passages, seed, session,
                       LocalContext.event_id.get(None) or "")
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None


async def _follow_loading() -> AsyncIterator[str]:
    """A line that says what is being loaded until the models are ready."""
    began, shown = time.monotonic(), ""
    while time.monotonic() - began < LOADING_S:
        says = parts.load_engine().loading()
        if not says:
            break
        if says != shown:
            shown = says
            yield models_line(says)
        await asyncio.sleep(0.25)
    yield models_line("The models are ready.", ready=True)
