"""The training tab: a run of assets/runs, the adapters and their commands. `?tab=train&run=NAME` opens a run."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from space import curves, run_log, train_cards
from space.corpus_cards import message
from space.errors import UserError
from space.settings import ROOT, load_settings

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    names = run_log.run_names()
    first = _first(names)
    facts, losses, dev, speed, rest = _draw(first)
    gr.HTML(train_cards.HEAD, elem_id="train-head", apply_default_css=False)
    picked = gr.Dropdown(names, value=first or None, label="Run", elem_id="train-run", filterable=False,
                         visible=len(names) > 1)
    facts_box = gr.HTML(facts, elem_id="train-facts", apply_default_css=False)
    with gr.Row(elem_id="train-curves", equal_height=False):
        with gr.Column(scale=3, min_width=320):
            losses_box = gr.Plot(losses, label="Loss by step", show_label=False, elem_id="train-loss")
        with gr.Column(scale=2, min_width=300):
            dev_box = gr.HTML(dev, elem_id="train-dev", apply_default_css=False)
            speed_box = gr.Plot(speed, label="Tokens a second by step", show_label=False, elem_id="train-speed",
                                visible=speed is not None)
    rest_box = gr.HTML(rest, elem_id="train-rest", apply_default_css=False)
    gr.HTML(_adapters() + _reports(), elem_id="train-cards", apply_default_css=False)
    outputs = [facts_box, losses_box, dev_box, speed_box, rest_box]

    def pick(name: str | None) -> list:
        facts, losses, dev, speed, rest = _draw(name or "")
        return [facts, losses, dev, gr.Plot(speed, visible=speed is not None), rest]

    def open_link(request: gr.Request) -> list:
        query = dict(request.query_params)
        if query.get("tab") != "train" or not query.get("run"):
            return [gr.skip()] * (1 + len(outputs))
        return [query["run"] if query["run"] in run_log.run_names() else gr.skip(), *pick(query["run"])]

    picked.input(pick, picked, outputs, **QUIET)
    page.load(open_link, outputs=[picked, *outputs], **QUIET)


def _first(names: list[str]) -> str:
    """The run behind the adapter that the app serves, else the first."""
    served = load_settings().profile
    wanted = {"embedded": "smollm2-135m"}.get(served, served)
    return wanted if wanted in names else names[0] if names else ""


def _draw(name: str) -> tuple[str, PlotData | None, str, PlotData | None, str]:
    """Facts, loss curve, dev losses, speed curve, and what follows them, of one run."""
    try:
        run = run_log.read_run(name)
    except UserError as error:
        return message(str(error), "error"), None, "", None, ""
    rest = train_cards.parity(run) + train_cards.recipe(run) + train_cards.commands(run)
    return train_cards.facts(run), _plot(curves.losses(run)), train_cards.dev_table(run), _plot(curves.speed(run)), rest


def _plot(figure: curves.Figure | None) -> PlotData | None:
    return PlotData(type="plotly", plot=json.dumps(figure, allow_nan=False)) if figure else None


def _adapters() -> str:
    try:
        return train_cards.adapters(run_log.read_adapters())
    except UserError as error:
        return message(str(error), "error")


def _reports() -> str:
    path = ROOT / "docs" / "reports.md"
    return train_cards.reports(path.read_text(encoding="utf-8")) if path.is_file() else ""
