"""The evaluation tab: the runs in the results folder, read and drawn; what it draws is in eval_view and
its neighbours.

Nothing is read until the tab is opened. Only what a visitor does raises an event (`input`, `click`,
`select`): a `change` would also fire when a restored link fills the fields, and draw over them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData
from gradio.context import Context

from space import eval_view as view
from space import plots
from space.errors import UserError
from space.eval_files import Opened, downloads, open_run
from space.eval_judge import judge_card
from space.eval_state import View, from_parameters
from space.links import page_link
from space.results import EvalRun, list_runs
from space.settings import load_settings

NONE = "none"
"""The choice of no second run: a dropdown wants a value."""
Updates = dict[Any, Any]
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    Dashboard(page, Context.block if isinstance(Context.block, gr.Tab) else None)


class Dashboard:
    """The tab's components and what happens between them."""

    def __init__(self, page: gr.Blocks, tab: gr.Tab | None) -> None:
        self.drawn = gr.State(False)
        self._draw_picker()
        with gr.Column(visible=False, elem_id="eval-body") as self.body:
            self._draw_summary()
        self.all = [self.drawn, self.run, self.vs, self.csv, self.json, self.link, self.state, self.body, self.facts,
                    self.bars, self.table, self.judge]
        self._connect(page, tab)

    def _draw_picker(self) -> None:
        with gr.Row(elem_id="eval-pick"):
            self.run = gr.Dropdown(label="Run", choices=[], elem_id="eval-run", filterable=False, min_width=220)
            self.vs = gr.Dropdown(label="Compare with", choices=[], elem_id="eval-vs", filterable=False, min_width=220)
        with gr.Row(elem_id="eval-tools"):
            self.copy = gr.Button("Copy link", elem_id="eval-copy", size="md")
            self.csv = gr.DownloadButton("CSV", elem_id="eval-csv", size="md")
            self.json = gr.DownloadButton("JSON", elem_id="eval-json", size="md")
            self.again = gr.Button("Look again", elem_id="eval-again", size="md")
        self.link = gr.Textbox(label="Link to this view", visible=False, interactive=False, buttons=["copy"],
                               elem_id="eval-link")
        self.state = gr.HTML(elem_id="eval-state")

    def _draw_summary(self) -> None:
        self.facts = gr.HTML(elem_id="eval-facts")
        self.bars = gr.Plot(show_label=False, elem_id="eval-bars")
        self.table = gr.HTML(elem_id="eval-table")
        self.judge = gr.HTML(elem_id="eval-judge")

    def _connect(self, page: gr.Blocks, tab: gr.Tab | None) -> None:
        page.load(self.load, outputs=self.all, **QUIET)
        if tab:
            tab.select(self.select, self.drawn, self.all, **QUIET)
        self.run.input(self.pick, [self.run, self.vs], self.all, **QUIET)
        self.vs.input(self.pick, [self.run, self.vs], self.all, **QUIET)
        self.again.click(self.pick, [self.run, self.vs], self.all, **QUIET)
        self.copy.click(self.copy_link, [self.run, self.vs], self.link, **QUIET)

    def load(self, request: gr.Request) -> Updates:
        """What a link to this tab names; nothing where the page opens on another tab."""
        parameters = dict(request.query_params)
        return self.screen(from_parameters(parameters)) if parameters.get("tab") == "eval" else {self.drawn: False}

    def select(self, drawn: bool, request: gr.Request) -> Updates:
        """Draw the tab when it is opened for the first time."""
        return {self.drawn: True} if drawn else self.screen(from_parameters(dict(request.query_params)))

    def pick(self, run: str | None, vs: str | None) -> Updates:
        """Another run, or the same again."""
        return self.screen(View(run=run or "", vs=_second(vs)))

    def copy_link(self, run: str | None, vs: str | None, request: gr.Request) -> gr.Textbox:
        """The link to what is on screen."""
        seen = View(run=run or "", vs=_second(vs))
        return gr.Textbox(value=page_link(seen.parameters(), dict(request.headers)), visible=True)

    def screen(self, wanted: View) -> Updates:
        """The whole tab for a view."""
        runs, problems = list_runs(load_settings().results)
        names = [r.name for r in runs]
        seen = replace(wanted, run=wanted.run if wanted.run in names else (names or [""])[0])
        if wanted.run and wanted.run != seen.run:
            problems = [f"There is no run {wanted.run}.", *problems]
        updates: Updates = {self.drawn: True, self.link: gr.Textbox(visible=False)} | self._choices(runs, seen)
        try:
            opened = open_run(load_settings().results / seen.run) if names else None
        except UserError as error:
            opened, problems = None, [str(error), *problems]
        if opened is None:
            return updates | {self.state: view.empty(problems), self.body: gr.Column(visible=False)}
        if opened.problem:
            problems = [opened.problem, *problems]
        return updates | self._summary(opened, runs) | {self.state: view.notices(problems)}

    def _choices(self, runs: list[EvalRun], seen: View) -> Updates:
        others = [(view.run_label(r), r.name) for r in runs if r.name != seen.run]
        second = seen.vs if seen.vs in [name for _, name in others] else NONE
        return {self.run: gr.Dropdown(choices=[(view.run_label(r), r.name) for r in runs], value=seen.run or None),
                self.vs: gr.Dropdown(choices=[("no other run", NONE), *others], value=second)}

    def _summary(self, opened: Opened, runs: list[EvalRun]) -> Updates:
        run = opened.run
        shares = [m for m in run.metrics if plots.is_share(m)]
        as_csv, as_json = downloads(opened)
        return {
            self.csv: gr.DownloadButton(value=str(as_csv)), self.json: gr.DownloadButton(value=str(as_json)),
            self.body: gr.Column(visible=True), self.facts: view.summary(run, shares),
            self.bars: plot(plots.bars(run, shares)), self.table: view.means_table(run, run.metrics),
            self.judge: judge_card(run, runs)}


def plot(figure: Mapping[str, Any] | None) -> PlotData | None:
    """A figure as gr.Plot sends it to the browser."""
    return PlotData(type="plotly", plot=json.dumps(figure, allow_nan=False)) if figure else None


def _second(name: str | None) -> str:
    return "" if name in (None, NONE) else str(name)
