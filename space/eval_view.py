"""What a run is and says, as HTML. Pure functions; every text that is not ours is escaped.

The tab and the static page draw the same. Texts of a run come from files that anyone may have made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from html import escape

from space.plots import colour, interval, label, means_of, number, title
from space.results import EvalRun, Mean, Metric
from space.schema import VARIANTS, ModelIdentity

MAKE = "python -m eval.run --part heldout --name heldout --judge local"
PARTS = {"heldout": "held-out questions", "dev": "dev questions", "paraphrase": "paraphrased training questions",
         "train": "training questions"}


def empty(problems: Sequence[str] = ()) -> str:
    """What stands in the tab while there is no run."""
    return ('<section class="ev-empty"><h2>No evaluation has been run yet</h2><p>This command asks every variant the '
            f"held-out questions and fills this page:</p>{command(MAKE)}<p>A run that was made elsewhere opens when "
            "its folder is put into <code>assets/results/</code>: then press “Reload runs”.</p></section>"
            f"{notices(problems)}")


def notices(sentences: Sequence[str]) -> str:
    """What is wrong with result folders, a line each."""
    worded = (re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(s)) for s in sentences)
    return "".join(f'<p class="ev-notice">{text}</p>' for text in worded)


def command(text: str) -> str:
    """A command to copy."""
    return f'<pre class="ev-command" tabindex="0"><code>{escape(text)}</code></pre>'


def run_label(run: EvalRun) -> str:
    """A run in the picker."""
    return f"{run.name} · {run.questions} {PARTS.get(run.part, run.part)} · {day(run.created_utc)}"


def day(created_utc: str) -> str:
    """`27 Nov 2026`, or the text as it is where it is no date."""
    try:
        when = datetime.fromisoformat(created_utc)
    except ValueError:
        return created_utc
    return f"{when.day} {when:%b %Y}"


def chip(variant: str) -> str:
    """A variant's name in its colour."""
    key = variant if variant in VARIANTS else "unknown"
    return f'<b class="ev-chip {key}">{escape(label(variant))}</b>'


def legend(variants: Sequence[str]) -> str:
    """Which bar is which, in the order of the bars."""
    def swatch(variant: str) -> str:
        return f'<li><span class="ev-swatch" style="--swatch:{colour(variant)}"></span>{escape(label(variant))}</li>'

    return f'<ul class="ev-legend">{"".join(map(swatch, variants))}</ul>'


def words(run: EvalRun, metrics: Sequence[Metric]) -> str:
    """What the run says in words, and the legend of the bars beside."""
    how = ("Means over the questions with 95 % intervals; a difference is named only where a paired test, corrected "
           "for the number of comparisons, shows one.")
    return (f"{heading('What the run shows', how, 'eval-says')}{verdict(run)}{legend(run.variants)}"
            f"{sentences(run, metrics)}")


def verdict(run: EvalRun, opening: str = "In short:", more: str = "") -> str:
    """The result in short: whose answers hold all key facts, and how often the search found the evidence. A best
    variant is named only where the test tells it from the next. "" where there is nothing to compare. `more` is HTML
    that stands behind."""
    ranked = sorted(((m.mean, m.variant) for m in means_of(run, "key_facts") if m.mean is not None and not m.withheld),
                    key=lambda pair: -pair[0])
    if len(ranked) < 2:
        return ""
    (share, first), (_, second), *_ = ranked
    told = any(c.shown and c.metric == "key_facts" and {c.a, c.b} == {first, second} for c in run.comparisons)
    others = [f"{mean:.0%} of {chip(variant)}" for mean, variant in ranked[1:]]
    rest = " and ".join([", ".join(others[:-1]), others[-1]] if others[1:] else others)
    text = (f"{chip(first)} is best at the facts: {share:.0%} of its answers hold all key facts, against {rest}."
            if told else
            f"All key facts stand in {share:.0%} of the answers of {chip(first)}, {rest}; no difference between the "
            "first two can be shown at this size.")
    found = next((m.mean for m in means_of(run, "recall_at_3") if m.mean is not None and not m.withheld), None)
    searched = f" The search found the evidence for {found:.0%} of the questions." if found is not None else ""
    return f'<p class="ev-verdict"><strong>{escape(opening)}</strong> {text}{searched}{more}</p>'


def first_run(runs: Sequence[EvalRun]) -> str:
    """The run that opens by itself: the newest of the held-out questions, else the newest; "" without any.
    `runs` has the newest first."""
    return next((r.name for r in runs if r.part == "heldout"), runs[0].name if runs else "")


def heading(text: str, below: str = "", anchor: str = "") -> str:
    """A section's heading, with a line that says how to read it."""
    name = f' id="{anchor}"' if anchor else ""
    return f'<h2 class="ev-h"{name}>{escape(text)}</h2>' + (f'<p class="ev-sub">{escape(below)}</p>' if below else "")


def provenance(run: EvalRun) -> str:
    """What was asked of what, with which files, judge and settings."""
    made_by = {_model(m) for m in run.models.values() if not m.adapter} or {_model(m) for m in run.models.values()}
    facts = [
        ("Questions", f"{run.questions} {PARTS.get(run.part, run.part)}, asked of "
                      + ", ".join(label(v) for v in run.variants)),
        ("Model", "; ".join(sorted(made_by)) or "no answer was made"),
        ("Adapter", _adapters(run)),
        ("Judge", judge_name(run.judge)),
        ("Sampling", _sampling(run)),
        ("Data", f"questions sha256 {run.dataset_sha256[:12]}, corpus {run.corpus_sha256[:12] or 'none'}"),
        ("Made", f"{day(run.created_utc)}, commit {run.git_revision[:10] or 'unknown'}{_dirty(run.git_dirty)}"),
        ("Machine", run.machine),
    ]
    shown = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return (f'<section class="ev-facts" aria-label="What this run is"><dl>{shown}</dl>{_everything(run)}</section>'
            f"{contents()}")


def contents() -> str:
    """Links to the sections of the page."""
    parts = {"eval-says": "What the run shows", "eval-judge": "The judge", "eval-closer": "One metric closer",
             "eval-fast": "Speed", "eval-list": "Every question",
             "votes-name": "Visitors' votes"}
    items = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name in parts.items())
    return f'<nav aria-label="On this page"><ul class="ev-nav">{items}</ul></nav>'


def _model(m: ModelIdentity) -> str:
    return f"{m.base} {m.quantization}, {m.size_mb:.0f} MB, sha256 {m.sha256[:8]}"


def _adapters(run: EvalRun) -> str:
    found = {f"{m.adapter}, sha256 {m.adapter_sha256[:8]}" for m in run.models.values() if m.adapter}
    return "; ".join(sorted(found)) or "none"


def _sampling(run: EvalRun) -> str:
    s = run.sampling
    how = "greedy" if not s.temperature else f"temperature {s.temperature:g}, top-p {s.top_p:g}, seed {s.seed}"
    return f"{how}, at most {s.max_tokens} tokens, {run.passages} passages"


def _dirty(flag: bool | None) -> str:
    if flag is None:
        return ""
    return " with uncommitted changes" if flag else ", nothing uncommitted"


def _everything(run: EvalRun) -> str:
    rows = [("Run", run.name), ("Made (UTC)", run.created_utc), ("Profile", run.profile), ("Commit", run.git_revision),
            ("Questions sha256", run.dataset_sha256), ("Prompts sha256", run.prompts_sha256),
            ("Corpus sha256", run.corpus_sha256), ("Search index sha256", run.index_sha256),
            ("Embedder sha256", run.embedder_sha256), ("Answers sha256", run.samples_sha256)]
    for variant, m in run.models.items():
        rows.append((f"{label(variant)}: file", f"{m.file}, sha256 {m.sha256}"))
        if m.adapter:
            rows.append((f"{label(variant)}: adapter", f"{m.adapter}, sha256 {m.adapter_sha256}"))
    rows.append(("Packages", ", ".join(f"{k} {v}" for k, v in run.packages.items())))
    body = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(str(v)) or "–"}</td></tr>' for k, v in rows)
    return ('<details class="ev-all"><summary>Everything recorded: hashes, files, packages</summary>'
            f'<div class="ev-scroll" tabindex="0"><table>{body}</table></div></details>')


def judge_name(judge: dict) -> str:
    """Who judged, in words."""
    kind, name = str(judge.get("kind", "none")), str(judge.get("name") or "")
    if kind == "none":
        return "none: only metrics that need no judge"
    if kind == "local":
        return f"local judge{f' ({name})' if name else ''}, not RAGAS"
    return name or kind


def sentences(run: EvalRun, metrics: Sequence[Metric]) -> str:
    """Each metric's result in words, the variants in their colours."""
    items = [_sentence(run.sentences[m.key], m) for m in metrics if m.key in run.sentences]
    return f'<ul class="ev-words">{"".join(items)}</ul>' if items else ""


def _sentence(text: str, metric: Metric) -> str:
    rest = text.removeprefix(f"{metric.label}: ")
    keys = "|".join(sorted(map(re.escape, VARIANTS), key=len, reverse=True))
    worded = re.sub(rf"(?<![\w-])({keys})(?![\w-])", lambda m: chip(m[1]), escape(rest))
    return f"<li><strong>{escape(title(metric))}</strong> {worded[:1].upper() + worded[1:]}</li>"


def framed(heads: Sequence[str], body: str, name: str, look: str = "") -> str:
    """A table that scrolls inside its own box; `heads` and `body` are HTML."""
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    return (f'<div class="ev-scroll {look}" tabindex="0" role="region" aria-label="{escape(name)}">'
            f'<table class="ev-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def means_table(run: EvalRun, metrics: Sequence[Metric], strong: bool = False) -> str:
    """Means, intervals and how many of how many were scored; where no `strong` judge has scored this run or
    another, a row that says so."""
    body = ""
    for metric in metrics:
        found = {m.variant: m for m in means_of(run, metric.key)}
        cells = "".join(f'<td data-label="{escape(label(v))}"><span>{_mean_cell(found.get(v), metric)}</span></td>'
                        for v in run.variants)
        body += f'<tr><th scope="row">{escape(title(metric))}</th>{cells}</tr>'
    if not strong and run.judge.get("kind") != "openai":
        body += ('<tr><th scope="row">Faithfulness and answer relevancy (RAGAS, a large model as judge)</th>'
                 f'<td colspan="{len(run.variants)}">not run: <a href="#eval-judge">the command that fills this row</a>'
                 "</td></tr>")
    return framed(["Metric", *map(chip, run.variants)], body, "Means with 95 % intervals", "ev-cards")


def _mean_cell(mean: Mean | None, metric: Metric) -> str:
    if mean is None:
        return '<span class="ev-soft">does not apply</span>'
    scored = f'<small>{mean.scored} of {mean.expected} scored</small>'
    if mean.withheld or mean.mean is None:
        return f'<span class="ev-withheld">withheld</span>{scored}'
    return f"<b>{number(mean.mean, metric)}</b> {escape(interval(mean, metric))}{scored}"
