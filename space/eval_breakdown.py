"""One metric by kind of question and by document, and the speed of a run, as HTML tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from statistics import mean, median, quantiles

from space.eval_view import chip, framed
from space.plots import is_share, label, number, title
from space.results import EvalRecord, EvalRun, Metric

SPEEDS = ("First token", "9 of 10 under", "Tokens/s", "Prompt tokens", "Of them reused", "Answer tokens",
          "Whole answer", "End by themselves")


def breakdown(run: EvalRun, records: Sequence[EvalRecord], metric: Metric) -> str:
    """Means of a metric by kind of question and by document."""
    kinds = _grouped(run, records, metric, "Kind of question", lambda r: r.kind)
    documents = _grouped(run, records, metric, "Document", lambda r: r.document)
    if not kinds:
        return '<p class="ev-none">No answer of this run was scored by this metric.</p>'
    return (f'{kinds}<details class="ev-fold"><summary>The same for each document</summary>{documents}</details>'
            '<p class="ev-sub">Groups this small show where to look, not what is so: their means have no interval.</p>')


def _grouped(run: EvalRun, records: Sequence[EvalRecord], metric: Metric, what: str,
             group: Callable[[EvalRecord], str]) -> str:
    scored = [r for r in records if metric.key in r.scores]
    names = list(dict.fromkeys(group(r) for r in scored))
    top = 1.0 if is_share(metric) else max([r.scores[metric.key] for r in scored], default=1.0) or 1.0
    body = ""
    for name in names:
        cells = ""
        for variant in run.variants:
            values = [r.scores[metric.key] for r in scored if r.variant == variant and group(r) == name]
            cells += _cell(mean(values), len(values), top, variant, metric) if values else "<td></td>"
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    heads = [what, *map(chip, run.variants)]
    return framed(heads, body, f"{title(metric)}, {what.lower()}", "ev-cards") if names else ""


def _cell(value: float, count: int, top: float, variant: str, metric: Metric) -> str:
    part = round(100 * min(max(value / top, 0), 1))
    return (f'<td data-label="{escape(label(variant))}"><span><span class="ev-meter" style="--part:{part}%" '
            f'data-variant="{escape(variant)}"></span>{number(value, metric)} <small>of {count}</small></span></td>')


def speed_table(run: EvalRun, records: Sequence[EvalRecord]) -> str:
    """For each variant how long its answers took: medians, and what nine of ten stay under."""
    lines = ""
    for variant in run.variants:
        found = [r.done for r in records if r.variant == variant and r.done]
        if not found:
            continue
        first = [d.first_token_s for d in found]
        speeds = [d.decode_tps for d in found if d.decode_tps]
        whole = [d.first_token_s + max(d.answer_tokens - 1, 0) / d.decode_tps for d in found if d.decode_tps]
        ended = sum(d.finish == "end" for d in found)
        cells = [f"{median(first):.2f} s", f"{_nine_tenths(first):.2f} s", f"{median(speeds):.1f}" if speeds else "–",
                 f"{median(d.prompt_tokens for d in found):.0f}", f"{median(d.cached_tokens for d in found):.0f}",
                 f"{median(d.answer_tokens for d in found):.0f}", f"{median(whole):.1f} s" if whole else "–",
                 f"{ended} of {len(found)}"]
        told = "".join(f'<td data-label="{head}">{cell}</td>' for head, cell in zip(SPEEDS, cells, strict=True))
        lines += f'<tr><th scope="row">{chip(variant)}</th>{told}</tr>'
    return (f"{framed(('Variant', *SPEEDS), lines, 'Speed', 'ev-cards')}"
            f'<p class="ev-sub">Medians over the answers, on {escape(run.machine)}.</p>')


def _nine_tenths(values: Sequence[float]) -> float:
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
