"""The static page around what was drawn: one HTML file that asks no server for anything.

Large parts lie in it compressed (gzip, base64) and are unpacked by the browser when they are opened; the
script and the style sheets are in the file too, and its policy allows nothing from elsewhere.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from space import eval_questions
from space import eval_view as view
from space.results import EvalRun
from space.settings import ROOT

STATIC = Path(__file__).with_name("static")
STYLES = (*(ROOT / "space" / name for name in ("style.css", "dashboard.css", "pages.css")), STATIC / "export.css")
TITLE = "Plain, fine-tuned, fine-tuned + RAG"
TABS = (("ask", "Compare"), ("eval", "Evaluation"), ("train", "Training"), ("corpus", "Corpus"))


def page(runs: Sequence[EvalRun], payloads: Mapping[str, Any], panels: dict[str, str], first: str) -> str:
    """The whole index.html. `payloads` (name -> JSON value) are unpacked on demand, `panels` (tab -> HTML) stand
    in the page; `first` is the run that opens by itself."""
    script = (STATIC / "export.js").read_text(encoding="utf-8")
    style = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    known = json.dumps({"first": first, "runs": [{"name": r.name, "label": view.run_label(r)} for r in runs]},
                       allow_nan=False).replace("<", "\\u003c")
    packed = "".join(f'<script type="text/plain" data-packed="{escape(name)}">{pack(value)}</script>'
                     for name, value in payloads.items())
    answers = (_ask_panel(), _eval_panel()) if runs else (view.empty(), view.empty())
    bodies = dict(zip(("ask", "eval"), answers, strict=True)) | panels
    tabs = [(key, label) for key, label in TABS if key in bodies]
    buttons = "".join(f'<button role="tab" id="to-{key}" aria-controls="tab-{key}">{label}</button>'
                      for key, label in tabs)
    sections = "".join(f'<section role="tabpanel" id="tab-{key}" aria-labelledby="to-{key}" hidden>'
                       f"{bodies[key]}</section>" for key, _ in tabs)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(script))}">'
        f"<title>{TITLE}</title><style>{style}</style></head><body class=\"gradio-container\"><main>"
        f'<nav class="tabs" role="tablist" aria-label="Pages">{buttons}</nav><p id="trouble" role="alert" hidden></p>'
        f'{sections}</main><script type="application/json" id="known">{known}</script>{packed}'
        f"<script>{script}</script></body></html>")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'")


def pack(value: Any) -> str:
    """A JSON value as base64 of gzip; the same value always gives the same text."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _select(name: str, label: str, options: Mapping[str, str] | None = None) -> str:
    inside = "".join(f'<option value="{escape(k)}">{escape(v)}</option>' for k, v in (options or {}).items())
    return f'<label>{label}<select id="eval-{name}">{inside}</select></label>'


def _boxes(*names: str) -> str:
    return "".join(f'<div id="eval-{name}"></div>' for name in names)


def _eval_panel() -> str:
    sorts = {key: name for key, (name, _) in eval_questions.SORTS.items()}
    closer = view.heading("One metric closer", "Every answer is a point; a box spans the middle half.", "eval-closer")
    listed = view.heading("Questions", "Open one to read its answers side by side. ✓ all key facts, ◐ some, ✗ none.",
                          "eval-list")
    return (
        f'<div id="eval-pick" class="fields">{_select("run", "Run")}{_select("vs", "Compare with")}</div>'
        '<div id="eval-tools" class="fields"><button id="eval-copy">Copy link</button>'
        '<button id="eval-csv">CSV</button><button id="eval-json">JSON</button>'
        '<input id="eval-link" aria-label="Link to this view" readonly hidden></div>'
        f'{_boxes("state")}<div id="eval-body">{_boxes("facts", "against")}'
        f'<div class="pair">{_boxes("words", "bars")}</div>{_boxes("table", "judge")}{closer}'
        f'<div class="fields">{_select("metric", "Metric")}</div>'
        f'<div class="pair">{_boxes("spread", "breakdown")}</div>'
        f'{view.heading("Speed and length", anchor="eval-fast")}<div class="three">'
        f'{_boxes("speed-0", "speed-1", "speed-2")}</div>{_boxes("speed")}{listed}'
        '<div id="eval-filters" class="fields"><label>Search<input id="eval-q" type="search" '
        'placeholder="words of question or answer"></label>'
        f'{_select("kind", "Kind")}{_select("document", "Document")}{_select("outcome", "Outcome")}'
        f'{_select("sort", "Sort", sorts)}</div>{_boxes("questions")}'
        '<div id="eval-steps" class="fields" hidden><button id="eval-previous">← Previous</button>'
        f'<button id="eval-next">Next →</button></div>{_boxes("detail")}</div>')


def _ask_panel() -> str:
    return (
        '<header id="intro"><h1>Does fine-tuning help? Does retrieval help?</h1><p>The same question, answered by the '
        "model as it is, by its fine-tuned version, and by that with passages from the papers. These answers are "
        "recordings of an evaluation run; Play writes them at the pace at which they were made.</p></header>"
        '<div class="fields" id="play-row"><label class="wide">Question<select id="play-question"></select></label>'
        '<button id="play-another">Another</button><button id="play">▶ Play</button>'
        '<label class="narrow">Pace<select id="play-pace"><option value="1">as recorded</option>'
        '<option value="4">4 times faster</option></select></label></div>'
        '<p class="status-line" id="status" role="status" aria-live="polite"></p><div id="play-columns"></div>')
