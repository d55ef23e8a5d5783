"""The README's results: the block between its two marks, written from a shipped run.

    python -m eval.readme [--name heldout]

A test compares the block with the run, so that numbers in the README are never older than the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.marked import exchanged
from space.errors import UserError
from space.files import write_whole
from space.results import Comparison, EvalRun, Mean, Metric, read_run
from space.schema import VARIANTS
from space.settings import ROOT, load_settings

START, END = "<!-- results of a run, written by `python -m eval.readme` -->", "<!-- end of results -->"
SHOWN = ("key_facts", "faithfulness", "answer_relevancy", "ends_itself")
QUESTIONS = (
    ("Does retrieval help?", (("plain_rag", "plain", "the plain model"), ("tuned_rag", "tuned", "the fine-tuned one"))),
    ("Does fine-tuning help?", (("tuned", "plain", "without passages"), ("tuned_rag", "plain_rag", "with them"))),
)
"""What the product asks, and the pairs of variants that answer it."""
SHORT = {"key_facts": "key facts", "faithfulness": "faithfulness", "answer_relevancy": "answer relevancy"}
SHARES = {"key_facts", "ends_itself"}
"""Shown in per cent."""


def block(run: EvalRun) -> str:
    """The block: a table of means with 95 % intervals, what they answer, and what it was made with."""
    model = next(iter(run.models.values()))
    metrics = {m.key: m for m in run.metrics}
    head = f"{run.questions} questions of `{run.part}`, {model.base} {model.quantization}"
    names = " | ".join(VARIANTS[v].label for v in run.variants)
    lines = [f"| {head} | {names} |", "|---" * (1 + len(run.variants)) + "|"]
    for key in SHOWN:
        if key in metrics:
            found = {m.variant: m for m in run.means if m.metric == key}
            cells = [_cell(found.get(v), metrics[key]) for v in run.variants]
            lines.append(f"| {metrics[key].label} | {' | '.join(cells)} |")
    said = [line for question, pairs in QUESTIONS if (line := _answered(run, question, pairs))]
    judge = f"\n\nThe judge: {run.judge['words']}" if run.judge.get("words") else ""
    answerable = max((c.questions for c in run.comparisons if c.metric in SHORT), default=0)
    made = (f"Means with 95 % intervals by document; differences paired on {answerable} answerable "
            f"questions, tested and Holm-corrected. Run `{run.name}` of {run.created_utc[:10]}, questions "
            f"`{run.dataset_sha256[:8]}`, adapter `{_adapter(run)}`; all of it opens in the Evaluation tab.")
    return "\n".join([START, *lines, "", *said]) + judge + f"\n\n{made}\n{END}"


def _answered(run: EvalRun, question: str, pairs: Sequence[tuple[str, str, str]]) -> str:
    """A question of the product with the differences that answer it; empty where the run compares no such pair."""
    parts = []
    for ours, theirs, where in pairs:
        found = [f"{name} {_difference(c)}" for key, name in SHORT.items()
                 if (c := next((c for c in run.comparisons if (c.metric, c.a, c.b) == (key, ours, theirs)), None))]
        if found:
            parts.append(f"{where}: {', '.join(found)}")
    return f"- **{question}** {'; '.join(parts)}." if parts else ""


def _difference(c: Comparison) -> str:
    if c.shown and c.low is not None and c.high is not None:
        return f"{c.difference:+.2f} [{c.low:+.2f}, {c.high:+.2f}]"
    return "equal" if c.ties == c.questions else "no difference that can be shown"


def _adapter(run: EvalRun) -> str:
    return next((m.adapter_sha256[:8] for m in run.models.values() if m.adapter_sha256), "none")


def _cell(mean: Mean | None, metric: Metric) -> str:
    if mean is None or mean.mean is None:
        return "–"
    if mean.withheld:
        return f"withheld: {mean.scored} of {mean.expected} scored"
    values = [mean.mean, *((mean.low, mean.high) if mean.low is not None and mean.high is not None else ())]
    if metric.key in SHARES:
        shown = [f"{100 * v:.1f}" for v in values]
        shown[0] += " %"
    else:
        shown = [f"{v:.2f}" for v in values]
        shown[0] += f" {metric.unit}" if metric.unit else ""
    return shown[0] + (f" [{shown[1]}, {shown[2]}]" if len(shown) == 3 else "")


def replaced(readme: str, new: str) -> str:
    """The README with the block exchanged. Raises UserError where it has no marks."""
    return exchanged(readme, START, END, new, "The README", "results")


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the block. 0, or 2 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m eval.readme", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="heldout", help="folder in assets/results/")
    options = parser.parse_args(argv)
    path: Path = ROOT / "README.md"
    try:
        text = replaced(path.read_text(encoding="utf-8"), block(read_run(load_settings().results / options.name)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    write_whole(path, text)
    print(f"Written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
