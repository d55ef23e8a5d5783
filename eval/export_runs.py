"""One evaluation run as the static page carries it: everything that a visitor can open, drawn beforehand.

The HTML and the figures are those of the evaluation tab; what the tab computes on demand (filters, orders,
every question opened) is computed here once, so that the page only shows and hides.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eval.svg import draw
from space import eval_questions, plots
from space import eval_view as view
from space.eval_breakdown import breakdown, speed_table
from space.eval_compare import changes, comparison
from space.eval_detail import detail
from space.eval_files import Opened, as_csv
from space.eval_judge import judge_card
from space.eval_questions import Row
from space.eval_state import View
from space.plots import Figure
from space.results import EvalRun, Metric

SPEEDS = 3
"""Figures beside the table of speed."""


def run_payload(opened: Opened, others: Sequence[Opened], runs: Sequence[EvalRun]) -> dict[str, Any]:
    """Everything of one run, as a JSON value; `others` are the runs it can be compared with."""
    run = opened.run
    shares = [m for m in run.metrics if plots.is_share(m)]
    rest = [m for m in run.metrics if not plots.is_share(m)][:SPEEDS]
    return {
        "state": view.notices([opened.problem] if opened.problem else []),
        "facts": view.provenance(run), "words": view.words(run, shares),
        "bars": _figure(plots.bars(run, shares), "Means with 95 % intervals"),
        "table": view.means_table(run, shares), "judge": judge_card(run, runs),
        "metrics": {m.key: _metric(opened, m) for m in run.metrics},
        "speeds": [_figure(plots.bars(run, [m]), plots.title(m)) for m in rest],
        "speed": view.sentences(run, rest) + speed_table(run, opened.records),
        "against": {o.run.name: comparison(run, o.run, changes(run, opened.records, o.run, o.records))
                    for o in others},
        "csv": as_csv(opened.records),
        "json": json.dumps({"run": asdict(run), "answers": [asdict(r) for r in opened.records]},
                           ensure_ascii=False, allow_nan=False),
        **_questions(opened.rows, run)}


def _metric(opened: Opened, metric: Metric) -> dict[str, str]:
    return {"title": plots.title(metric), "breakdown": breakdown(opened.run, opened.records, metric),
            "spread": _figure(plots.spread(opened.run, opened.records, metric), plots.title(metric))}


def _figure(figure: Figure | None, name: str) -> str:
    return draw(figure, name) if figure else ""


def _questions(rows: Sequence[Row], run: EvalRun) -> dict[str, Any]:
    """The table, each question opened, which rows each filter leaves, and the order of each sort."""
    def ids(**wanted: str) -> list[str]:
        return [r.id for r in eval_questions.select(rows, View(**wanted))]

    order = {"sort": "order"}
    return {
        "questions": eval_questions.table(eval_questions.select(rows, View(**order)), len(rows), run.variants,
                                          View(run=run.name)),
        "rows": [{"id": r.id, "kind": r.kind, "document": r.document, "question": r.question,
                  "text": _text(r), "pace": _pace(r)} for r in rows],
        "sorts": {key: {"name": name, "ids": ids(sort=key)} for key, (name, _) in eval_questions.SORTS.items()},
        "outcomes": {key: {"name": name, "ids": ids(outcome=key, **order)}
                     for key, name in eval_questions.outcomes(run.variants).items()},
        "details": {r.id: detail(r, run, n, len(rows)) for n, r in enumerate(rows)}}


def _text(row: Row) -> str:
    """What a search looks into, as `eval_questions.select` does."""
    answers = list(row.answers.values())
    return " ".join([row.id, row.question, answers[0].reference, *(a.text for a in answers)]).lower()


def _pace(row: Row) -> dict[str, list[float]]:
    """For each variant the recorded (seconds to the first token, seconds of writing)."""
    return {v: [r.done.first_token_s, round(r.done.answer_tokens / r.done.decode_tps, 3) if r.done.decode_tps else 0.0]
            for v, r in row.answers.items() if r.done}
