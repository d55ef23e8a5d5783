"""The evaluation tab: the runs of the results folder, read and drawn; what it draws is in eval_view and
its neighbours.

Nothing is read until the tab is opened. Only what a visitor does raises an event (`input`, `click`,
`select`): a `change` would also fire when a restored link fills the fields, and draw over them. The
search box is the exception, as its `input` is a key that goes down and misses what is pasted; drawing
the list once more for the fields as they are does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData
from gradio.context import Context

from space import eval_questions, plots
from space import eval_view as view
from space.errors import UserError
from space.eval_breakdown import breakdown, speed_table
from space.eval_compare import changes, comparison
from space.eval_detail import detail
from space.eval_files import Opened, downloads, open_run
from space.eval_judge import judge_card, strong_runs
from space.eval_script import COPY, FOLLOW, OPENS
from space.eval_state import ANY, View, from_fields, from_parameters
from space.links import page_link
from space.results import EvalRun, Metric, list_runs
from space.settings import load_settings
from space.vote_card import vote_card

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
Updates = dict[Any, Any]


HEAD = ('<div class="page-head"><h1>Evaluation</h1><p>The columns of the Compare tab, asked many questions through the '
        "same code: what fine-tuning and retrieval change, how sure that is, and every answer to read.</p></div>")


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    gr.HTML(HEAD, elem_id="eval-head", apply_default_css=False, js_on_load=None)
    Dashboard(page, Context.block if isinstance(Context.block, gr.Tab) else None)


class Dashboard:
    """The tab's components and what happens between them."""

    def __init__(self, page: gr.Blocks, tab: gr.Tab | None) -> None:
        self.drawn = gr.State(False)
        self.open = gr.State("")
        self._draw_picker()
        with gr.Column(visible=False, elem_id="eval-body") as self.body:
            self._draw_summary()
            self._draw_more()
            self._draw_questions()
        self.votes = gr.HTML(elem_id="eval-votes", js_on_load=None)
        self.view = [self.run, self.vs, self.metric, self.q, self.kind, self.document, self.outcome, self.sort,
                     self.open]
        self.all = [self.drawn, self.pickers, self.copy, self.link, self.state, self.body, self.csv, self.json,
                    self.facts, self.words, self.bars, self.table, self.judge, self.against, self.spread,
                    self.breakdown, self.speed, *self.speeds, self.questions, self.detail, self.steps, self.votes,
                    *self.view]
        self._connect(page, tab)

    def _draw_picker(self) -> None:
        with gr.Row(elem_id="eval-pick", visible=False) as self.pickers:
            self.run = gr.Dropdown([], label="Run", elem_id="eval-run", filterable=False, min_width=220)
            self.vs = gr.Dropdown([], label="Compare with", elem_id="eval-vs", filterable=False, min_width=220)
        with gr.Row(elem_id="eval-tools"):
            self.copy = gr.Button("Copy link", elem_id="eval-copy", size="md", visible=False)
            self.csv = gr.DownloadButton("CSV", elem_id="eval-csv", size="md", visible=False)
            self.json = gr.DownloadButton("JSON", elem_id="eval-json", size="md", visible=False)
            self.again = gr.Button("Reload runs", elem_id="eval-again", size="md")
        self.link = gr.Textbox(label="Link to this view", visible=False, buttons=["copy"], elem_id="eval-link")
        self.state = gr.HTML(elem_id="eval-state", js_on_load=None)

    def _draw_summary(self) -> None:
        self.facts = gr.HTML(elem_id="eval-facts", js_on_load=None)
        self.against = gr.HTML(elem_id="eval-against", js_on_load=None)
        with gr.Row(elem_id="eval-scores"):
            with gr.Column(scale=4, min_width=320):
                self.words = gr.HTML(elem_id="eval-words", js_on_load=None)
            with gr.Column(scale=5, min_width=320):
                self.bars = gr.Plot(show_label=False, elem_id="eval-bars")
        self.table = gr.HTML(elem_id="eval-table", js_on_load=None)
        self.judge = gr.HTML(elem_id="eval-judge", js_on_load=None)

    def _draw_more(self) -> None:
        gr.HTML(view.heading("One metric closer", "Every answer is a point; a box spans the middle half.",
                             "eval-closer"), js_on_load=None)
        self.metric = gr.Dropdown([], label="Metric", elem_id="eval-metric", filterable=False)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                self.spread = gr.Plot(show_label=False, elem_id="eval-spread")
            with gr.Column(scale=4, min_width=320):
                self.breakdown = gr.HTML(elem_id="eval-breakdown", js_on_load=None)
        gr.HTML(view.heading("Speed and length", anchor="eval-fast"), js_on_load=None)
        with gr.Row():
            self.speeds = [gr.Plot(show_label=False, min_width=280, elem_id=f"eval-speed-{n}") for n in range(3)]
        self.speed = gr.HTML(elem_id="eval-speed", js_on_load=None)

    def _draw_questions(self) -> None:
        gr.HTML(view.heading("Questions", "Open one to read its answers side by side. ✓ all key facts, ◐ some, ✗ none.",
                             "eval-list"), js_on_load=None)
        with gr.Row(elem_id="eval-filters"):
            self.q = gr.Textbox(label="Search", placeholder="words of question or answer", elem_id="eval-q",
                                min_width=200)
            self.kind, self.document, self.outcome, self.sort = (
                gr.Dropdown([(name, ANY)], value=ANY, label=name, elem_id=f"eval-{name.lower()}", filterable=False,
                            min_width=150) for name in ("Kind", "Document", "Outcome", "Sort"))
        self.questions = gr.HTML(elem_id="eval-questions", js_on_load=OPENS)
        with gr.Row(elem_id="eval-steps", visible=False) as self.steps:
            self.before = gr.Button("← Previous", elem_id="eval-previous", size="md")
            self.after = gr.Button("Next →", elem_id="eval-next", size="md")
        self.detail = gr.HTML(elem_id="eval-detail", js_on_load=None)

    def _connect(self, page: gr.Blocks, tab: gr.Tab | None) -> None:
        page.load(self.load, outputs=self.all, **QUIET).then(None, js=FOLLOW)
        page.load(vote_card, outputs=self.votes, **QUIET)
        if tab:
            tab.select(vote_card, outputs=self.votes, **QUIET)
            tab.select(self.select, self.drawn, self.all, **QUIET)
        for event in (self.run.input, self.vs.input, self.again.click):
            event(self.pick, self.view, self.all, **QUIET)
        self.metric.input(self.look_closer, self.view, [self.spread, self.breakdown], **QUIET)
        self.q.change(self.list_questions, self.view, self.questions, trigger_mode="always_last", **QUIET)
        for field in (self.kind, self.document, self.outcome, self.sort):
            field.input(self.list_questions, self.view, self.questions, **QUIET)
        opened = [self.detail, self.steps, self.open]
        self.questions.click(self.open_question, self.view, opened, **QUIET).then(None, js=FOLLOW)
        self.before.click(self.previous, self.view, opened, **QUIET).then(None, js=FOLLOW)
        self.after.click(self.next, self.view, opened, **QUIET).then(None, js=FOLLOW)
        self.copy.click(self.copy_link, self.view, self.link, **QUIET).then(None, self.link, js=COPY)

    def load(self, request: gr.Request) -> Updates:
        """What a link to this tab names; nothing where the page opens on another tab."""
        parameters = dict(request.query_params)
        return self.screen(from_parameters(parameters)) if parameters.get("tab") == "eval" else {self.drawn: False}

    def select(self, drawn: bool, request: gr.Request) -> Updates:
        """Draw the tab when it is opened for the first time."""
        return {self.drawn: True} if drawn else self.screen(from_parameters(dict(request.query_params)))

    def pick(self, *values: str | None) -> Updates:
        """Another run, another to compare with, or the same looked at again."""
        return self.screen(from_fields(values))

    def look_closer(self, *values: str | None) -> Updates | dict[str, str]:
        """Distribution and breakdown of another metric."""
        now = from_fields(values)
        opened = _opened(now)
        return self._closer(opened, opened.metric(now.metric)) if opened else gr.skip()

    def list_questions(self, *values: str | None) -> Updates | dict[str, str]:
        """The question table, filtered and sorted anew; nothing while no run is open."""
        now = from_fields(values)
        opened = _opened(now)
        return {self.questions: _listed(opened, now)} if opened else gr.skip()

    def open_question(self, event: gr.EventData, *values: str | None) -> Updates:
        """The question whose row was clicked."""
        return self._question(replace(from_fields(values), id=str(event.question)))

    def previous(self, *values: str | None) -> Updates:
        return self._step(from_fields(values), -1)

    def next(self, *values: str | None) -> Updates:
        return self._step(from_fields(values), 1)

    def copy_link(self, request: gr.Request, *values: str | None) -> gr.Textbox:
        """The link to what is on screen."""
        return gr.Textbox(value=page_link(from_fields(values).parameters(), dict(request.headers)), visible=True)

    def screen(self, wanted: View) -> Updates:
        """The whole tab for a view."""
        runs, problems = list_runs(load_settings().results)
        names = [r.name for r in runs]
        now = replace(wanted, run=wanted.run if wanted.run in names else view.first_run(runs))
        if wanted.run and wanted.run != now.run:
            problems = [f"There is no run {wanted.run}.", *problems]
        opened = _opened(now)
        updates: Updates = {self.drawn: True, self.link: gr.Textbox(visible=False), self.votes: vote_card(),
                            self.pickers: gr.Row(visible=opened is not None),
                            self.copy: gr.Button(visible=opened is not None)}
        if opened is None:
            return updates | {self.state: view.empty(problems), self.body: gr.Column(visible=False),
                              self.csv: gr.DownloadButton(visible=False), self.json: gr.DownloadButton(visible=False)}
        if opened.problem:
            problems = [opened.problem, *problems]
        others = [r for r in runs if r.name != now.run]
        if now.vs not in [r.name for r in others]:
            now = replace(now, vs="")
        return (updates | self._summary(opened, runs) | self._against(opened, now)
                | self._closer(opened, opened.metric(now.metric)) | self._fields(opened, runs, others, now)
                | self._question(now) | {self.state: view.notices(problems), self.questions: _listed(opened, now)})

    def _summary(self, opened: Opened, runs: list[EvalRun]) -> Updates:
        run = opened.run
        shares = [m for m in run.metrics if plots.is_share(m)]
        others = [m for m in run.metrics if not plots.is_share(m)][:len(self.speeds)]
        figures = [plots.bars(run, [m]) for m in others] + [None] * (len(self.speeds) - len(others))
        as_csv, as_json = downloads(opened)
        return {
            self.csv: gr.DownloadButton(value=str(as_csv), visible=True),
            self.json: gr.DownloadButton(value=str(as_json), visible=True),
            self.body: gr.Column(visible=True), self.facts: view.provenance(run), self.words: view.words(run, shares),
            self.bars: plot(plots.bars(run, shares)),
            self.table: view.means_table(run, shares, bool(strong_runs(runs))),
            self.judge: judge_card(run, runs),
            self.speed: view.sentences(run, others) + speed_table(run, opened.records)
        } | {place: plot(figure) for place, figure in zip(self.speeds, figures, strict=True)}

    def _against(self, opened: Opened, now: View) -> Updates:
        other = _opened(replace(now, run=now.vs)) if now.vs else None
        if not other:
            return {self.against: ""}
        found = changes(opened.run, opened.records, other.run, other.records)
        return {self.against: comparison(opened.run, other.run, found)}

    def _closer(self, opened: Opened, metric: Metric | None) -> Updates:
        if not metric:
            return {self.spread: None, self.breakdown: ""}
        return {self.spread: plot(plots.spread(opened.run, opened.records, metric)),
                self.breakdown: breakdown(opened.run, opened.records, metric)}

    def _fields(self, opened: Opened, runs: list[EvalRun], others: list[EvalRun], now: View) -> Updates:
        run, rows = opened.run, opened.rows
        metric, documents = opened.metric(now.metric), sorted({r.document for r in rows})

        def field(choices: Mapping[str, str], value: str, **more: Any) -> gr.Dropdown:
            return gr.Dropdown(choices=[(name, key or ANY) for key, name in choices.items()],
                               value=value if value in choices and value else ANY, **more)

        return {
            self.run: gr.Dropdown(choices=[(view.run_label(r), r.name) for r in runs], value=now.run),
            self.vs: field({"": "no other run"} | {r.name: view.run_label(r) for r in others}, now.vs),
            self.metric: gr.Dropdown(choices=[(plots.title(m), m.key) for m in run.metrics],
                                     value=metric.key if metric else None),
            self.q: now.q, self.kind: field({"": "any kind"} | {r.kind: r.kind for r in rows}, now.kind),
            self.document: field({"": "any document"} | {d: d for d in documents}, now.document),
            self.outcome: field(eval_questions.outcomes(run.variants), now.outcome),
            self.sort: field({key: name for key, (name, _) in eval_questions.SORTS.items()}, now.sort)}

    def _question(self, now: View) -> Updates:
        opened = _opened(now)
        row = next((r for r in opened.rows if r.id == now.id), None) if opened else None
        if not opened or not row:
            return {self.detail: "", self.steps: gr.Row(visible=False), self.open: ""}
        ids = [r.id for r in eval_questions.select(opened.rows, now)]
        place = ids.index(row.id) if row.id in ids else -1
        return {self.detail: detail(row, opened.run, place, len(ids), linked=True), self.steps: gr.Row(visible=True),
                self.open: row.id}

    def _step(self, now: View, by: int) -> Updates:
        opened = _opened(now)
        ids = [r.id for r in eval_questions.select(opened.rows, now)] if opened else []
        if not ids:
            return self._question(now)
        place = (ids.index(now.id) + by) % len(ids) if now.id in ids else 0
        return self._question(replace(now, id=ids[place]))


def plot(figure: Mapping[str, Any] | None) -> PlotData | None:
    """A figure as gr.Plot sends it to the browser."""
    return PlotData(type="plotly", plot=json.dumps(figure, allow_nan=False)) if figure else None


def _opened(now: View) -> Opened | None:
    try:
        return open_run(load_settings().results / now.run) if now.run else None
    except UserError:
        return None


def _listed(opened: Opened, now: View) -> str:
    rows = eval_questions.select(opened.rows, now)
    return eval_questions.table(rows, len(opened.rows), opened.run.variants, now)
