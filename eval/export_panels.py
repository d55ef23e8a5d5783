"""Training runs and the corpus as they stand in the static page: drawn by what draws the app's own tabs."""

from __future__ import annotations

from html import escape

from eval.svg import draw
from space import corpus_cards, curves, run_log, train_cards
from space.coverage import load_shelf
from space.settings import ROOT


def training() -> str:
    """Every training run, folded but for the first, with its curves; the adapters; both reports."""
    names = run_log.run_names()
    runs = "".join(_run(run_log.read_run(name), n == 0) for n, name in enumerate(names))
    path = ROOT / "docs" / "reports.md"
    reports = train_cards.reports(path.read_text(encoding="utf-8")) if path.is_file() else ""
    return (f'<div id="train-head">{train_cards.HEAD}</div>{runs}<div id="train-cards">'
            f"{train_cards.adapters(run_log.read_adapters())}{reports}</div>")


def _run(run: run_log.TrainingRun, opened: bool) -> str:
    losses, speed = curves.losses(run), curves.speed(run)
    figures = (draw(losses, f"Loss by step of {run.name}") if losses else "") + (
        draw(speed, f"Tokens a second by step of {run.name}") if speed else "")
    return (f'<details class="training-run" data-run="{escape(run.name)}"{" open" if opened else ""}><summary>'
            f'{escape(run.name)}</summary><div class="train-facts">{train_cards.facts(run)}</div><div class="pair">'
            f'<div>{figures}</div><div class="train-dev">{train_cards.dev_table(run)}</div></div>'
            f'<div class="train-rest">{train_cards.parity(run)}{train_cards.recipe(run)}{train_cards.commands(run)}'
            "</div></details>")


def corpus() -> str:
    """Head and list of the documents; one that is picked is unpacked beside them."""
    shelf = load_shelf()
    hint = corpus_cards.message("Pick a document to read its passages and who asks about them.")
    return (f'<div id="corpus-head">{corpus_cards.head(shelf)}</div><div class="row2"><div id="corpus-list">'
            f'{corpus_cards.document_list(shelf)}</div><div id="corpus-view">{hint}</div></div>')


def documents() -> dict[str, str]:
    """Every document of the corpus as HTML, by its id."""
    shelf = load_shelf()
    return {d.id: corpus_cards.document_view(shelf, d) for d in shelf.documents}
