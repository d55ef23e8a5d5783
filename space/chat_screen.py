"""What the compare tab shows at one moment, as new values of its components; only what changed is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from space import cards, evidence
from space.chat_flow import Frame
from space.chat_layout import Layout
from space.chat_words import asked, status_line
from space.comparison import Comparison

Update = dict[Any, Any]
"""New values by component."""


class Screen:
    """Turns frames into updates of the components."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.sharing = (layout.copy, layout.markdown, layout.html)
        self.outputs = [
            layout.question, layout.ask, layout.follow, layout.stop, layout.status, layout.asked, layout.live,
            layout.view, *layout.cards, *layout.agains, *layout.halts, *layout.votes, *self.sharing, layout.link,
            layout.below, layout.comparison]
        self.nothing: Update = {layout.status: gr.skip()}
        """Changes nothing. Gradio empties every component after {} or where a generator yields nothing at all."""

    def stream(self, frames: Iterator[Frame], opening: Update, keep_below: bool = False) -> Iterator[Update]:
        """The updates of a run. `opening` goes with the first one; `keep_below` leaves what stands under the
        columns until the run is over."""
        before: Update = {}
        for frame in frames:
            update = {**self.draw(frame, first=not before), **({} if before else opening)}
            if keep_below and frame.running:
                del update[self.layout.below]
            changed = {part: value for part, value in update.items() if part not in before or before[part] != value}
            if changed:
                yield changed
            before |= update

    def draw(self, frame: Frame, first: bool = True) -> Update:
        """One frame. The comparison itself, which the next event starts from, goes with the `first` and the last
        one of a run."""
        layout, comparison, running = self.layout, frame.comparison, bool(frame.running)
        calm = comparison.finished and not running
        open_ = calm and not comparison.hidden
        update: Update = {
            layout.status: status_line(frame.says),
            layout.asked: asked(comparison),
            layout.ask: _button(not running), layout.stop: _button(running), layout.follow: _button(open_),
            layout.live: _seen(open_ and comparison.source is not None),
            layout.view: _seen(open_),
            layout.link: _seen(False),
            **{button: _seen(open_) for button in self.sharing},
            **{button: _seen(calm and comparison.hidden) for button in layout.votes},
            layout.below: evidence.below(comparison) if calm else "",
        }
        if first or calm:
            update[layout.comparison] = comparison
        for n, key in enumerate(comparison.order):
            update[layout.cards[n]] = cards.card(comparison, n)
            update[layout.agains[n]] = _seen(not running and not comparison.hidden)
            update[layout.halts[n]] = _seen(key in frame.running and not comparison.hidden)
        return update

    def still(self, comparison: Comparison, says: str) -> Update:
        """A comparison at which nothing is at work."""
        return self.draw(Frame(comparison, says))

    def refused(self, sentence: str) -> Update:
        """Something that cannot be done: everything stays as it is, and the status line says why."""
        return {self.layout.status: status_line(sentence), self.layout.ask: _button(True)}


def _button(interactive: bool) -> Update:
    return gr.update(interactive=interactive)


def _seen(visible: bool) -> Update:
    """Shown or hidden; hidden ones stay in the page, so that nothing is built anew."""
    return gr.update(visible=True if visible else "hidden")
