"""Two runs side by side: what changed between them, and what that did to each variant, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from space.eval_view import chip, day, framed, heading, judge_name
from space.plots import number, title
from space.results import EvalRecord, EvalRun, Metric

_TIE = 1e-9


@dataclass(frozen=True)
class Change:
    """A metric of a variant in two runs, paired by question. `improved` and `regressed` count questions;
    for a metric that says nothing about quality they count higher and lower."""

    metric: Metric
    variant: str
    before: float
    after: float
    improved: int
    same: int
    regressed: int

    @property
    def questions(self) -> int:
        return self.improved + self.same + self.regressed


def changes(run: EvalRun, records: Sequence[EvalRecord], other: EvalRun,
            other_records: Sequence[EvalRecord]) -> list[Change]:
    """What became of each metric of each variant, from `other` to `run`, over the questions that both
    asked with the same words and reference and that both scored."""
    asked = {(r.id, r.question, r.reference) for r in other_records}
    now = {(r.id, r.variant): r for r in records if (r.id, r.question, r.reference) in asked}
    then = {(r.id, r.variant): r for r in other_records}
    known = {m.key for m in other.metrics}
    found = []
    for metric in (m for m in run.metrics if m.key in known):
        for variant in (v for v in run.variants if v in other.variants):
            pairs = [(then[key].scores[metric.key], record.scores[metric.key]) for key, record in now.items()
                     if key[1] == variant and key in then and metric.key in record.scores
                     and metric.key in then[key].scores]
            if pairs:
                found.append(_change(metric, variant, pairs))
    return found


def _change(metric: Metric, variant: str, pairs: Sequence[tuple[float, float]]) -> Change:
    sign = -1 if metric.better == "lower" else 1
    gains = [sign * (after - before) for before, after in pairs]
    up, down = sum(g > _TIE for g in gains), sum(g < -_TIE for g in gains)
    before, after = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return Change(metric, variant, before, after, up, len(pairs) - up - down, down)


def differences(run: EvalRun, other: EvalRun) -> list[tuple[str, str, str]]:
    """What is not the same in the two runs: name, in `other`, in `run`."""
    def adapters(r: EvalRun) -> str:
        return ", ".join(sorted({m.adapter_sha256[:8] for m in r.models.values() if m.adapter})) or "none"

    def models(r: EvalRun) -> str:
        return ", ".join(sorted({f"{m.base} {m.sha256[:8]}" for m in r.models.values()}))

    told = [("Questions", other.dataset_sha256[:12], run.dataset_sha256[:12]),
            ("Model", models(other), models(run)), ("Adapter", adapters(other), adapters(run)),
            ("Prompts", other.prompts_sha256[:12], run.prompts_sha256[:12]),
            ("Corpus", other.corpus_sha256[:12], run.corpus_sha256[:12]),
            ("Search index", other.index_sha256[:12], run.index_sha256[:12]),
            ("Embedder", other.embedder_sha256[:12], run.embedder_sha256[:12]),
            ("Passages", str(other.passages), str(run.passages)), ("Sampling", str(other.sampling), str(run.sampling)),
            ("Judge", judge_name(other.judge), judge_name(run.judge)), ("Machine", other.machine, run.machine),
            ("Commit", other.git_revision[:10], run.git_revision[:10]),
            ("Date", day(other.created_utc), day(run.created_utc))]
    return [(name, before, after) for name, before, after in told if before != after]


def comparison(run: EvalRun, other: EvalRun, found: Sequence[Change]) -> str:
    """The comparison as HTML: what differs between the runs, then each metric and variant."""
    head = heading(f"{run.name} against {other.name}",
                   "Paired by question: only questions that both runs asked and scored are counted.", "eval-against")
    differ = differences(run, other)
    facts = "".join(f'<tr><th scope="row">{escape(n)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>'
                    for n, a, b in differ)
    told = ('<p class="ev-sub">Nothing that was recorded differs between the two.</p>' if not differ else
            framed(["What differs", escape(other.name), escape(run.name)], facts, "What differs between the runs"))
    if not found:
        return (f'{head}<p class="ev-notice">The two runs have no scored question in common: {escape(other.name)} asks '
                f"{other.questions} of {escape(other.part)}, {escape(run.name)} {run.questions} of {escape(run.part)}."
                f"</p>{told}")
    body = "".join(map(_row, found))
    heads = ("Metric", "Variant", escape(other.name), escape(run.name), "Change", "Improved", "Same", "Regressed")
    return f"{head}{framed(heads, body, 'What changed')}{told}"


def _row(c: Change) -> str:
    difference = c.after - c.before
    gain = difference * (-1 if c.metric.better == "lower" else 1)
    look = "" if not c.metric.better or abs(gain) < 0.005 else "ev-better" if gain > 0 else "ev-worse"
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return (f'<tr><th scope="row">{escape(title(c.metric))}</th><td>{chip(c.variant)}</td>'
            f"<td>{number(c.before, c.metric)}</td><td>{number(c.after, c.metric)}</td>"
            f'<td class="{look}">{sign}{number(abs(difference), c.metric)}</td><td>{c.improved}</td><td>{c.same}</td>'
            f"<td>{c.regressed}</td></tr>")
