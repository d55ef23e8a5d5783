"""The components of the compare tab and where they stand. What they do is in chat_tab.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from space import cards, chat_words, evidence, examples, models, parts
from space.comparison import Comparison
from space.options import BOUNDS, default_options
from space.results import list_runs
from space.schema import CHAT_VARIANTS
from space.settings import load_settings

VIEWS = {"Found in passages": "found", "Changed from plain": "diff", "Text only": "text"}
"""How the answers are marked: label and the value of `data-view` that style.css knows."""
CHOICES = ("A is best", "B is best", "C is best", "Tie")
"""The buttons of a blind vote: one for each column from left to right, and one for none."""
PICKED = """element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-question]');
  if (chip) trigger('select', {question: chip.dataset.question});
});"""
"""A click on an example hands over its question; "" asks for any."""


@dataclass(frozen=True)
class Layout:
    """Every component that an event reads or writes. `cards`, `agains`, `halts` and `votes` go by position."""

    question: gr.Textbox
    ask: gr.Button
    follow: gr.Button
    stop: gr.Button
    examples: gr.HTML
    blind: gr.Checkbox
    options: tuple[gr.Slider, gr.Slider, gr.Slider, gr.Number]
    status: gr.HTML
    models: gr.HTML
    asked: gr.HTML
    live: gr.Button
    view: gr.Radio
    cards: tuple[gr.HTML, ...]
    agains: tuple[gr.Button, ...]
    halts: tuple[gr.Button, ...]
    votes: tuple[gr.Button, ...]
    copy: gr.Button
    markdown: gr.Button
    html: gr.Button
    link: gr.Textbox
    below: gr.HTML
    comparison: gr.State
    saved: gr.Textbox


def draw(first: Comparison | None) -> Layout:
    """Draw the tab inside the current Blocks, with the comparison `first` on it, if there is one."""
    profile = models.load_profile(load_settings().profile)
    runs = [] if parts.own_corpus() else list_runs(load_settings().results)[0]
    gr.HTML(chat_words.intro(profile) + chat_words.measured(runs, profile), elem_id="intro")
    question, ask, follow, stop = _ask_row()
    follow.interactive = bool(first)
    chips = gr.HTML(chat_words.chips(examples.groups()), elem_id="examples", js_on_load=PICKED, apply_default_css=False,
                    visible=bool(examples.groups()))
    blind, options = _settings()
    with gr.Row(elem_id="status-row"):
        says = chat_words.GREETING if first else chat_words.INVITATION
        status = gr.HTML(chat_words.status_line(says), elem_id="status")
        loading = gr.HTML(chat_words.models_line("Looking at the models."), elem_id="models")
    with gr.Row(elem_id="asked-row"):
        asked = gr.HTML(chat_words.asked(first) if first else "", elem_id="asked")
        live = gr.Button("Run live", scale=0, min_width=60, elem_id="live", visible=_shown(first))
        view = gr.Radio(list(VIEWS), value=next(iter(VIEWS)), label="Marks on the answers", elem_id="view",
                        visible=_shown(first), container=False, show_label=False, scale=0, min_width=60)
    drawn, agains, halts = _columns(first)
    votes, sharing = _vote_row(), _share_row(first)
    below = gr.HTML(evidence.below(first) if first else "", elem_id="below")
    return Layout(question, ask, follow, stop, chips, blind, options, status, loading, asked, live, view, drawn, agains,
                  halts, votes, *sharing, below, gr.State(first, time_to_live=3600),
                  gr.Textbox(visible="hidden", elem_id="saved", label="File to save"))


def _shown(condition: object) -> Any:
    """Shown or hidden; hidden parts stay in the page, so that nothing is built anew."""
    return True if condition else "hidden"


def _ask_row() -> tuple[gr.Textbox, gr.Button, gr.Button, gr.Button]:
    with gr.Row(elem_id="ask-row"):
        question = gr.Textbox(
            label="Your question", placeholder="Ask about R1, V3, MLA, 3FS …  ( / )", show_label=False,
            lines=1, max_lines=6, scale=8, elem_id="question", container=False,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", enterkeyhint="send"))
        ask = gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask")
        follow = gr.Button("Follow up", scale=1, min_width=110, elem_id="follow", interactive=False)
        stop = gr.Button("Stop", variant="stop", scale=1, min_width=90, elem_id="stop", interactive=False)
    return question, ask, follow, stop


def _settings() -> tuple[gr.Checkbox, tuple[gr.Slider, gr.Slider, gr.Slider, gr.Number]]:
    default = default_options()
    with gr.Row(elem_id="drawer-row"):
        blind = gr.Checkbox(False, label="Blind test: shuffle and unname the next answers", elem_id="blind",
                            container=False)
        with gr.Accordion("Settings", open=False, elem_id="settings"), gr.Row():
            options = (
                gr.Slider(*BOUNDS["temperature"], value=default.temperature, step=0.05, label="Temperature",
                          info="0 always picks the likeliest word", elem_id="temperature"),
                gr.Slider(*BOUNDS["max_tokens"], value=default.max_tokens, step=4, label="Longest answer, tokens",
                          info="about 0.75 words each", elem_id="max-tokens"),
                gr.Slider(*BOUNDS["passages"], value=default.passages, step=1, label="Passages",
                          info="read by the third column", elem_id="passages"),
                gr.Number(default.seed, label="Seed", precision=0, minimum=BOUNDS["seed"][0],
                          maximum=BOUNDS["seed"][1], info="counts above temperature 0", elem_id="seed"))
    return blind, options


def _columns(first: Comparison | None) -> tuple[tuple[gr.HTML, ...], tuple[gr.Button, ...], tuple[gr.Button, ...]]:
    drawn, agains, halts = [], [], []
    with gr.Row(elem_id="columns", equal_height=True):
        for n, variant in enumerate(CHAT_VARIANTS):
            with gr.Column(min_width=280, elem_classes="column"):
                drawn.append(gr.HTML(cards.card(first, n) if first else cards.empty_card(variant), elem_id=f"card-{n}"))
                with gr.Row(elem_classes="column-buttons"):
                    halts.append(gr.Button("Stop", size="sm", min_width=60, scale=0, elem_id=f"stop-{n}",
                                           elem_classes="halt", visible="hidden"))
                    agains.append(gr.Button("Regenerate", size="sm", min_width=60, scale=0, elem_id=f"again-{n}",
                                            elem_classes="again", visible=_shown(first)))
    return tuple(drawn), tuple(agains), tuple(halts)


def _vote_row() -> tuple[gr.Button, ...]:
    with gr.Row(elem_id="vote-row"):
        return tuple(gr.Button(label, min_width=60, elem_classes="vote", elem_id=f"vote-{n}", visible="hidden")
                     for n, label in enumerate(CHOICES))


def _share_row(first: Comparison | None) -> tuple[gr.Button, gr.Button, gr.Button, gr.Textbox]:
    with gr.Row(elem_id="share-row"):
        copy, markdown, html = (
            gr.Button(label, size="sm", min_width=60, scale=0, elem_id=name, visible=_shown(first))
            for label, name in (("Copy link", "link-copy"), ("Save as Markdown", "save-markdown"),
                                ("Save as HTML", "save-html")))
        link = gr.Textbox("", show_label=False, label="Link to this comparison", container=False, elem_id="link",
                          interactive=False, visible="hidden", max_lines=1, min_width=220, scale=1)
    return copy, markdown, html, link
