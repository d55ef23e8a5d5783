"""The results of an evaluation run as Markdown for a model card: means with intervals, judge, hashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from space.plots import interval, label, means_of, number, title
from space.results import RESULTS, EvalRun, Metric, list_runs


def run_of(adapter_sha256: str, results: Path = RESULTS) -> EvalRun | None:
    """The newest run of held-out questions that this very adapter answered; else the newest of any questions."""
    own = [r for r in list_runs(results)[0] if any(m.adapter_sha256 == adapter_sha256 for m in r.models.values())]
    return next((r for r in own if r.part == "heldout"), own[0] if own else None)


def results_section(run: EvalRun) -> str:
    """What the run says, in words, and its table."""
    head = ["metric", *(label(v) for v in run.variants)]
    rows = [[title(m), *_cells(run, m)] for m in run.metrics if means_of(run, m.key)]
    said = [run.sentences[m.key] for m in run.metrics if m.better and m.key in run.sentences]
    judge = str(run.judge.get("name") or run.judge.get("kind") or "none")
    return "\n\n".join([
        f"{run.questions} questions of the part `{run.part}`, asked on {run.created_utc[:10]} ({run.machine}), "
        f"greedy, at most {run.sampling.max_tokens} tokens, {run.passages} passages. Means with 95 % intervals "
        "by bootstrap over documents; “withheld” where too few answers could be scored.",
        _table(head, rows),
        "\n".join(f"- {sentence}" for sentence in said),
        f"Judge: {judge}. Questions SHA-256 `{run.dataset_sha256}`, corpus SHA-256 `{run.corpus_sha256}`, answers "
        f"SHA-256 `{run.samples_sha256}`, commit `{run.git_revision or 'unknown'}`."])


def _cells(run: EvalRun, metric: Metric) -> list[str]:
    found = {m.variant: m for m in means_of(run, metric.key)}
    cells = []
    for variant in run.variants:
        mean = found.get(variant)
        if mean is None:
            cells.append("–")
        elif mean.withheld or mean.mean is None:
            cells.append(f"withheld ({mean.scored} of {mean.expected} scored)")
        else:
            cells.append(f"{number(mean.mean, metric)} {interval(mean, metric)}")
    return cells


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
