"""The judge card: who scored a run, how well that judge tells good answers from bad, and what is not run.

A judge is a dict of a run: kind (none | local | openai), name, controls (for each set of answers whose
quality is known: name, auroc, low, high, n) and words. It is read tolerantly: what is absent is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from space.eval_view import chip, command, framed, judge_name
from space.results import ENOUGH, EvalRun

STRONG = "OPENAI_API_KEY=… python -m eval.run --part heldout --name heldout-openai --judge openai"
WEAK, GOOD = 0.7, 0.85
_DOUBT = "cannot be believed"


def judge_card(run: EvalRun, runs: Sequence[EvalRun]) -> str:
    """The judge of `run`, and whether a strong judge has scored any of `runs`."""
    return (f'<section class="ev-judge"><h3>The judge of this run: {escape(judge_name(run.judge))}</h3>'
            f"{_own(run.judge)}{_coverage(run)}{_strong(runs)}</section>")


def strong_runs(runs: Sequence[EvalRun]) -> list[str]:
    """The names of the runs that a large model has judged."""
    return [r.name for r in runs if str(r.judge.get("kind")) == "openai"]


def _coverage(run: EvalRun) -> str:
    """How many of the answers have scores, and which means are withheld because too few have."""
    expected, scored = sum(m.expected for m in run.means), sum(m.scored for m in run.means)
    if not expected:
        return ""
    names = {m.key: m.label for m in run.metrics}
    held = [f"“{escape(names.get(m.metric, m.metric))}” of {chip(m.variant)} ({m.scored} of {m.expected})"
            for m in run.means if m.withheld]
    left = (f"Below {ENOUGH:.0%} a mean is withheld, as those that fail are not like the rest: {'; '.join(held)}."
            if held else f"Every mean rests on at least {ENOUGH:.0%} of its answers.")
    return f"<p><b>Coverage:</b> {scored:,} of {expected:,} scores could be given. {left}</p>"


def _own(judge: dict[str, Any]) -> str:
    if str(judge.get("kind", "none")) == "none":
        return ("<p>Key facts, likeness to the reference, abstention, retrieval, length and speed are computed, not "
                "judged: nobody's opinion is in them.</p>")
    words = str(judge.get("words") or "")
    controls = [c for c in judge.get("controls") or () if isinstance(c, dict)]
    if not controls:
        return (f"<p>{escape(words)}</p>" if words else "") + (
            '<p class="ev-notice">No control set was scored with this judge, so nothing shows whether it can be '
            "believed.</p>")
    told = words or in_words(controls)
    if blind(controls) and _DOUBT not in told:
        told = f"{told} {in_words(controls)}"
    look = ' class="ev-notice"' if blind(controls) else ""
    return f"<p{look}>{escape(told)}</p>{_controls(controls)}{_spent(judge)}"


def blind(controls: Sequence[dict[str, Any]]) -> bool:
    """Whether there is a control set on which the judge is no better than weak, or that it failed on."""
    return any((_number(c.get("auroc")) or 0.0) < WEAK for c in controls)


def _spent(judge: dict[str, Any]) -> str:
    """What the judging took, where it was paid for."""
    spent, dollars = judge.get("spent"), _number(judge.get("dollars"))
    if not isinstance(spent, dict) or not dollars:
        return ""
    counts = ", ".join(f"{count:,} {escape(str(name).replace('_', ' '))}" for name, count in spent.items()
                       if isinstance(count, int))
    return f"<p><b>Judging took</b> {counts}: about ${dollars:,.2f}.</p>"


def in_words(controls: Sequence[dict[str, Any]]) -> str:
    """How far a judge can be believed, by the worst it does on a control set."""
    known = [c for c in controls if _number(c.get("auroc")) is not None]
    if not known:
        return f"This judge {_DOUBT}: its scores of the control sets are missing."
    worst = min(known, key=lambda c: _number(c.get("auroc")) or 0.0)
    auroc = _number(worst.get("auroc")) or 0.0
    name = worst.get("name", "one control set")
    if auroc < WEAK:
        return f"This judge {_DOUBT} on “{name}”: it tells good from bad there little better than chance."
    if auroc < GOOD:
        return f"This judge orders answers, with errors: at worst, on “{name}”, its AUROC is {auroc:.2f}."
    return f"This judge tells good from bad in every control set (AUROC {auroc:.2f} or more)."


def _controls(controls: Sequence[dict[str, Any]]) -> str:
    rows = "".join(_control(c) for c in controls)
    heads = ("Good answers against", "AUROC", "0.5 is chance, 1 is perfect", "Answers")
    return framed(heads, rows, "Control sets", "ev-cards")


def _control(control: dict[str, Any]) -> str:
    auroc, low, high = (_number(control.get(key)) for key in ("auroc", "low", "high"))
    if auroc is None:
        text, bar = "not scored", ""
    else:
        text = f"<b>{auroc:.2f}</b>" + (f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else "")
        bar = _bar(auroc, low, high)
    count = _number(control.get("n"))
    answers = "" if count is None else f'<td data-label="Answers">{count:.0f}</td>'
    return (f'<tr><th scope="row">{escape(str(control.get("name", "")))}</th><td data-label="AUROC"><span>{text}</span>'
            f'</td><td data-label="0.5 to 1">{bar}</td>{answers or "<td></td>"}</tr>')


def _bar(auroc: float, low: float | None, high: float | None) -> str:
    """A little scale from 0.5 to 1: the interval as a line, the value as a dot."""
    def at(value: float) -> float:
        return round(100 * min(max((value - 0.5) / 0.5, 0), 1), 1)

    line = "" if low is None or high is None else f'<i style="left:{at(low)}%;width:{at(high) - at(low):.1f}%"></i>'
    return f'<span class="ev-scale" aria-hidden="true">{line}<b style="left:{at(auroc)}%"></b></span>'


def _strong(runs: Sequence[EvalRun]) -> str:
    if done := strong_runs(runs):
        return f"<p>Scored by a large model as judge: {escape(', '.join(done))}.</p>"
    return ('<div class="ev-notrun"><p><b>RAGAS with a large model as judge: not run.</b> It needs an '
            "OpenAI-compatible endpoint; <code>OPENAI_BASE_URL</code> and <code>JUDGE_MODEL</code> name another than "
            f"OpenAI's gpt-4o-mini. This one command fills the row:</p>{command(STRONG)}</div>")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
