"""Two runs side by side: what changed between them, and what that did to each variant, question by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from space import stats
from space.eval_view import chip, day, framed, heading, judge_name
from space.plots import number, title
from space.results import ENOUGH, EvalRecord, EvalRun, Metric, canonical_hash

_TIE = 1e-9
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Change:
    """A metric of a variant in two runs, paired by question. `improved` and `regressed` count questions;
    for a metric that says nothing about quality they count higher and lower. `low` and `high` bound the
    change (None: too few documents); `p` is that of the paired permutation test, in the end corrected by
    Holm over all that is compared, and only then `shown` says whether there is a change at all. Of `asked`
    questions some may lack a score in one of the runs; where too many do, nothing is said (`withheld`)."""

    metric: Metric
    variant: str
    before: float
    after: float
    improved: int
    same: int
    regressed: int
    low: float | None
    high: float | None
    p: float
    asked: int
    shown: bool = False

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def better(self) -> bool:
        return (self.change > 0) != (self.metric.better == "lower")

    @property
    def questions(self) -> int:
        return self.improved + self.same + self.regressed

    @property
    def withheld(self) -> bool:
        return self.questions < ENOUGH * self.asked


def changes(run: EvalRun, records: Sequence[EvalRecord], other: EvalRun,
            other_records: Sequence[EvalRecord]) -> list[Change]:
    """What became of each metric of each variant, from `other` to `run`, over the questions that both
    asked with the same words and reference and that both scored; what a judge scored, only where both
    runs had the same one."""
    asked = {(r.id, r.question, r.reference) for r in other_records}
    now = {(r.id, r.variant): r for r in records if (r.id, r.question, r.reference) in asked}
    then = {(r.id, r.variant): r for r in other_records}
    known = {m.key for m in other.metrics}
    if not same_judge(run, other):
        known -= judged((*records, *other_records))
    found = []
    for metric in (m for m in run.metrics if m.key in known):
        for variant in (v for v in run.variants if v in other.variants):
            both = [(then[key], record) for key, record in now.items() if key[1] == variant and key in then
                    and all(metric.key in r.scores or metric.key in r.unscored for r in (then[key], record))]
            pairs = [(a.scores[metric.key], b.scores[metric.key], b.document) for a, b in both
                     if metric.key in a.scores and metric.key in b.scores]
            if pairs:
                found.append(_change(metric, variant, pairs, len(both)))
    adjusted = stats.holm([c.p for c in found])
    return [replace(c, p=p, shown=not c.withheld and p < SIGNIFICANT and c.low is not None and c.high is not None
                    and (c.low > 0 or c.high < 0)) for c, p in zip(found, adjusted, strict=True)]


def _change(metric: Metric, variant: str, pairs: Sequence[tuple[float, float, str]], asked: int) -> Change:
    """`pairs` are (before, after, document), of `asked` questions."""
    differences, documents = [after - before for before, after, _ in pairs], [d for *_, d in pairs]
    sign = -1 if metric.better == "lower" else 1
    up, down = (sum(way * sign * d > _TIE for d in differences) for way in (1, -1))
    low, high = stats.interval(differences, documents) or (None, None)
    return Change(metric, variant, sum(b for b, *_ in pairs) / len(pairs), sum(a for _, a, _ in pairs) / len(pairs),
                  up, len(pairs) - up - down, down, low, high, stats.p_value(differences, documents), asked)


def same_judge(run: EvalRun, other: EvalRun) -> bool:
    """Whether one judge, with the same settings, scored both."""
    return (run.judge.get("kind"), run.judge.get("identity")) == (other.judge.get("kind"), other.judge.get("identity"))


def judged(records: Sequence[EvalRecord]) -> set[str]:
    """The metrics that come from a judge."""
    return {key for r in records for key in r.verdicts}


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
            ("Judge", _judge(other, run), _judge(run, other)), ("Machine", other.machine, run.machine),
            ("Commit", other.git_revision[:10], run.git_revision[:10]),
            ("Date", day(other.created_utc), day(run.created_utc))]
    return [(name, before, after) for name, before, after in told if before != after]


def _judge(run: EvalRun, other: EvalRun) -> str:
    """The judge's name; with a hash of its settings where another judge has the same name."""
    name = judge_name(run.judge)
    if same_judge(run, other) or name != judge_name(other.judge):
        return name
    return f"{name}, settings {canonical_hash(run.judge.get('identity'))[:8]}"


def comparison(run: EvalRun, other: EvalRun, found: Sequence[Change]) -> str:
    """The comparison as HTML: what differs between the runs, then each metric and variant."""
    head = heading(f"{run.name} against {other.name}",
                   "Paired by question, over those that both runs asked and scored. A change is shown (▲ ▼) where a "
                   "permutation test, corrected for all comparisons, stays under .05 and the interval has no zero.",
                   "eval-change")
    differ = differences(run, other)
    facts = "".join(f'<tr><th scope="row">{escape(n)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>'
                    for n, a, b in differ)
    told = ('<p class="ev-sub">Nothing that was recorded differs between the two.</p>' if not differ else
            framed(["What differs", escape(other.name), escape(run.name)], facts, "What differs between the runs"))
    if not found:
        return (f'{head}<p class="ev-notice">The two runs have no scored question in common: {escape(other.name)} asks '
                f"{other.questions} of {escape(other.part)}, {escape(run.name)} {run.questions} of {escape(run.part)}."
                f"</p>{told}")
    by_metric = [[c for c in found if c.metric.key == key] for key in dict.fromkeys(c.metric.key for c in found)]
    body = "".join(_row(c, len(group) if c is group[0] else 0) for group in by_metric for c in group)
    heads = ("Metric", "Variant", escape(other.name), escape(run.name), "Change", "Improved", "Same", "Regressed")
    apart = ("" if same_judge(run, other) else '<p class="ev-notice">The two runs were scored by different judges, so '
             "that the judges' scores are not compared.</p>")
    return f"{head}{apart}{in_words(found)}{framed(heads, body, 'What changed', 'ev-tall')}{told}"


def in_words(found: Sequence[Change]) -> str:
    """The changes that are shown, one sentence each, and what that leaves."""
    shown = [c for c in found if c.shown]
    items = "".join(f"<li><strong>{escape(title(c.metric))}</strong> {chip(c.variant)} {_verb(c)} by "
                    f"{number(abs(c.change), c.metric)} {_interval(c)}: {_counts(c)}.</li>" for c in shown)
    told = [c for c in found if not c.withheld]
    rest, lost = len(told) - len(shown), len(found) - len(told)
    left = f"Of {len(told)} comparisons, {rest} show no change at this size." if rest else ""
    left += f" {lost} withheld: too few questions were scored in both runs." if lost else ""
    return (f'<ul class="ev-words">{items}</ul>' if items else "") + (f'<p class="ev-sub">{left}</p>' if left else "")


def _verb(c: Change) -> str:
    if not c.metric.better:
        return "went up" if c.change > 0 else "went down"
    return "got better" if c.better else "got worse"


def _counts(c: Change) -> str:
    up, down = ("improved", "regressed") if c.metric.better else ("higher", "lower")
    return f"{c.improved} of {c.questions} questions {up}, {c.regressed} {down}"


def _interval(c: Change) -> str:
    if c.low is None or c.high is None:
        return ""
    low, high = (c.low, c.high) if c.change > 0 else (-c.high, -c.low)
    return f"[{number(low, c.metric)}, {number(high, c.metric)}]"


def _row(c: Change, span: int) -> str:
    """A line of the table; `span` is how many lines the metric's name stands for, 0 where it stands above."""
    look = "" if not c.metric.better or not c.shown else "ev-better" if c.better else "ev-worse"
    size = number(abs(c.change), c.metric)
    sign = "±" if not float(size.replace(",", "")) else "+" if c.change > 0 else "−"
    bounds = f"<small>[{number(c.low, c.metric)}, {number(c.high, c.metric)}]</small>" if c.low is not None else ""
    name = f'<th scope="rowgroup" rowspan="{span}">{escape(title(c.metric))}</th>' if span else ""
    if c.withheld:
        return (f'<tr>{name}<td>{chip(c.variant)}</td><td colspan="6"><span class="ev-withheld">withheld</span>: only '
                f"{c.questions} of {c.asked} questions were scored in both runs</td></tr>")
    verdict = {"": "", "ev-better": " ▲", "ev-worse": " ▼"}[look]
    means = f"<td>{number(c.before, c.metric)}</td><td>{number(c.after, c.metric)}</td>"
    return (f"<tr>{name}<td>{chip(c.variant)}</td>{means}"
            f'<td><span class="{look}">{sign}{size}{verdict}</span>{bounds}</td>'
            f"<td>{c.improved}</td><td>{c.same}</td><td>{c.regressed}</td></tr>")
