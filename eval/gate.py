"""Hold a run to a baseline: is any metric of any variant significantly worse? For CI.

Run by `python -m eval.run --check BASELINE --name RUN`. Each variant is compared with itself, paired
by question; Holm's correction is over everything compared, so that a run that changed nothing
fails in at most one case of twenty. Timings are left out: they belong to the machine. A metric that
could be scored in the baseline and cannot now is a failure too.
"""

from __future__ import annotations

from collections.abc import Sequence

from eval import summary
from eval.judge import same_judge
from space.errors import UserError
from space.results import ENOUGH, EvalRecord, EvalRun, Metric
from space.stats import MIN_DOCUMENTS


def regressions(baseline: EvalRun, before: Sequence[EvalRecord], run: EvalRun,
                after: Sequence[EvalRecord]) -> list[str]:
    """A sentence for each regression of `run` against `baseline`; empty when the gate is passed.

    Raises UserError where the two cannot be compared: a variant or more than a tenth of the
    questions are missing, the judges differ, or there are too few documents to find anything.
    """
    same = _comparable(baseline, before, run, after)
    before = [r for r in before if r.id in same]
    after = [r for r in after if r.id in same]
    metrics = {m.key: m for m in baseline.metrics if m.gated and m.better}
    lost, compared = [], []
    for metric in metrics.values():
        for variant in baseline.variants:
            if summary.mean(before, variant, metric.key).scored == 0:
                continue
            now = summary.mean(after, variant, metric.key)
            if now.withheld or not now.expected:
                lost.append(f"{variant}, {metric.label}: only {now.scored} of {now.expected} answers could be scored.")
                continue
            ours, theirs = (summary.scores(r, variant, metric.key) for r in (after, before))
            compared.append(summary.compare(variant, variant, ours, theirs, metric))
    worse = [c for c in summary.corrected(compared) if c.shown and _worse(c.difference, metrics[c.metric])]
    return lost + [f"{c.a}, {metrics[c.metric].label}: worse than in {baseline.name} by {abs(c.difference):.3g}, "
                   f"worse on {c.losses} of {c.questions} questions, better on {c.wins} "
                   f"(corrected p = {c.p_holm:.2g})." for c in worse]


def _worse(difference: float, metric: Metric) -> bool:
    return (difference < 0) != (metric.better == "lower")


def _comparable(baseline: EvalRun, before: Sequence[EvalRecord], run: EvalRun,
                after: Sequence[EvalRecord]) -> set[str]:
    """The ids of the questions that both runs asked, with the same reference."""
    missing = [v for v in baseline.variants if v not in run.variants]
    if missing:
        raise UserError(f"The run {run.name} lacks the variant {missing[0]} of {baseline.name}.",
                        f"Run it with --variants {','.join(baseline.variants)}.")
    if not same_judge(baseline.judge, run.judge):
        raise UserError(f"{run.name} and {baseline.name} were scored by different judges.",
                        "Score both with the same one.")
    asked, now = ({r.id: (r.question, r.reference, r.key_facts) for r in rows} for rows in (before, after))
    same = {i for i in asked if now.get(i) == asked[i]}
    if len(same) < ENOUGH * len(asked):
        raise UserError(f"{run.name} asks only {len(same)} of the {len(asked)} questions of {baseline.name}.",
                        "Choose a --name that is not taken, so that all of them are asked; where they have changed "
                        f"since, make {baseline.name} again.")
    documents = {r.document for r in before if r.id in same}
    if len(documents) < MIN_DOCUMENTS:
        raise UserError(f"The questions are about {len(documents)} documents; with fewer than {MIN_DOCUMENTS} "
                        "no difference can be shown.", "Check with more questions.")
    return same
