"""The components of the compare tab and where they stand. What they do is in chat_tab.py."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from space import examples, models
from space.options import BOUNDS, default_options
from space.schema import CHAT_VARIANTS
from space.settings import load_settings

VIEWS = {"Found in passages": "found", "Changed from plain": "diff", "Text only": "text"}
"""How the answers are marked: label and the value of `data-view` that style.css knows."""


@dataclass(frozen=True)
class Layout:
    """Every component that an event reads or writes. `cards`, `agains` and `halts` go by position."""

    question: gr.Textbox
    ask: gr.Button
    follow: gr.Button
    stop: gr.Button
    blind: gr.Checkbox
    options: tuple[gr.Slider, gr.Slider, gr.Slider, gr.Number]
    groups: dict[str, gr.Dataset]
    surprise: gr.Button
    models: gr.HTML
    status: gr.HTML
    asked: gr.HTML
    live: gr.Button
    view: gr.Radio
    cards: tuple[gr.HTML, ...]
    agains: tuple[gr.Button, ...]
    halts: tuple[gr.Button, ...]
    below: gr.HTML
    comparison: gr.State


def draw() -> Layout:
    """Draw the tab inside the current Blocks."""
    gr.HTML(_intro(), elem_id="intro")
    loading = gr.HTML(models_line("Looking at the models."), elem_id="models")
    with gr.Row(elem_id="ask-row"):
        question = gr.Textbox(
            label="Your question", placeholder="Ask about R1, V3, MLA, GRPO, DualPipe, 3FS …   ( / )", show_label=False,
            lines=1, max_lines=6, scale=8, elem_id="question", container=False,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", enterkeyhint="send"))
        ask = gr.Button("Ask", variant="primary", scale=1, min_width=90, elem_id="ask")
        follow = gr.Button("Follow up", scale=1, min_width=110, elem_id="follow", interactive=False)
        stop = gr.Button("Stop", variant="stop", scale=1, min_width=90, elem_id="stop", interactive=False)
    groups = _examples(question)
    surprise, blind, options = _settings(bool(groups))
    status = gr.HTML(status_line("Type a question or pick one above."), elem_id="status")
    with gr.Row(elem_id="asked-row"):
        asked = gr.HTML("", elem_id="asked")
        live = gr.Button("Run live", scale=0, min_width=110, elem_id="live", visible="hidden")
        view = gr.Radio(list(VIEWS), value=next(iter(VIEWS)), label="Marks on the answers", elem_id="view",
                        visible="hidden", container=False, show_label=False, scale=0, min_width=320)
    columns = _columns()
    below = gr.HTML("", elem_id="below")
    return Layout(question, ask, follow, stop, blind, options, groups, surprise, loading, status, asked, live, view,
                  *columns, below, gr.State(None, time_to_live=3600))


def _examples(question: gr.Textbox) -> dict[str, gr.Dataset]:
    found = examples.groups()
    datasets = {}
    with gr.Column(elem_id="examples", visible=bool(found)):
        for key, group in found.items():
            label, _ = examples.GROUPS[key]
            with gr.Row(elem_classes="example-row"):
                gr.HTML(f'<h2 class="example-group">{escape(label)}</h2>', elem_classes="example-name")
                datasets[key] = gr.Dataset(
                    components=[question], samples=[[e.question] for e in group], show_label=False, label=label,
                    sample_labels=[e.question for e in group],
                    container=False, elem_id=f"examples-{key}", samples_per_page=20)
    return datasets


def _settings(shipped: bool) -> tuple[gr.Button, gr.Checkbox, tuple[gr.Slider, gr.Slider, gr.Slider, gr.Number]]:
    default = default_options()
    with gr.Row(elem_id="drawer-row"):
        surprise = gr.Button("Surprise me", size="sm", elem_id="surprise", min_width=120, scale=0, visible=shipped)
        blind = gr.Checkbox(False, label="Blind test: shuffle and unname the next answers", elem_id="blind",
                            container=False)
        with gr.Accordion("Settings", open=False, elem_id="settings"), gr.Row():
            options = (
                gr.Slider(*BOUNDS["temperature"], value=default.temperature, step=0.05, label="Temperature",
                          info="0 always picks the likeliest word", elem_id="temperature"),
                gr.Slider(*BOUNDS["max_tokens"], value=default.max_tokens, step=8, label="Longest answer, tokens",
                          elem_id="max-tokens"),
                gr.Slider(*BOUNDS["passages"], value=default.passages, step=1, label="Passages", elem_id="passages"),
                gr.Number(default.seed, label="Seed", precision=0, minimum=BOUNDS["seed"][0],
                          maximum=BOUNDS["seed"][1], info="counts above temperature 0", elem_id="seed"))
    return surprise, blind, options


def _columns() -> tuple[tuple[gr.HTML, ...], tuple[gr.Button, ...], tuple[gr.Button, ...]]:
    drawn, agains, halts = [], [], []
    with gr.Row(elem_id="columns", equal_height=True):
        for n, variant in enumerate(CHAT_VARIANTS):
            with gr.Column(min_width=280, elem_classes="column"):
                drawn.append(gr.HTML(empty_card(variant.key, variant.label), elem_id=f"card-{n}"))
                with gr.Row(elem_classes="column-buttons"):
                    halts.append(gr.Button("Stop", size="sm", min_width=60, scale=0, elem_id=f"stop-{n}",
                                           elem_classes="halt", visible="hidden"))
                    agains.append(gr.Button("Again", size="sm", min_width=60, scale=0, elem_id=f"again-{n}",
                                            elem_classes="again", visible="hidden"))
    return tuple(drawn), tuple(agains), tuple(halts)


def empty_card(key: str, label: str) -> str:
    """A column before the first question."""
    from space.cards import ROLES

    return (f'<section class="card {key}" data-variant="{key}" data-state="waiting" aria-label="{escape(label)}">'
            f'<header><h3>{escape(label)}</h3><p class="role">{escape(ROLES[key])}</p><p class="state">waiting</p>'
            f'</header><div class="answer"><p class="answer-empty">The answer appears here.</p></div></section>')


def status_line(text: str) -> str:
    """The one line that a screen reader hears."""
    return f'<p class="status-line">{escape(text)}</p>'


def models_line(text: str, ready: bool = False) -> str:
    """What the models are doing; seen, not read aloud."""
    return f'<p class="models-line {"ready" if ready else "loading"}">{escape(text)}</p>'


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
        f"the corpus.</p><p class='small-model'>{small}</p>")
