"""One question of a run, opened: what was asked and wanted, every answer beside the others with its key
facts, its support and its scores, and the passages that were found. HTML; all foreign text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from space import key_facts
from space.cards import identity_text
from space.eval_questions import Row, outcome_chip
from space.eval_view import chip
from space.evidence import passage_html
from space.marks import KEYS, marked
from space.plots import number, title
from space.results import EvalRecord, EvalRun, Verdict
from space.schema import Passage


def detail(row: Row, run: EvalRun, place: int, count: int, linked: bool = False) -> str:
    """The question at `place` (from 0) of `count` in the list that is shown; -1 where it is not in it.
    `linked`: passages lead to the corpus tab, where the page has one."""
    first = next(iter(row.answers.values()))
    where = f"{place + 1} of {count} in the list" if place >= 0 else "not among the questions that the filters leave"
    found = _found(row)
    held = found or tuple(Passage("", e.quote, e.document, "", "") for e in first.evidence)
    answers = "".join(_answer(row, v, run, held) for v in run.variants if v in row.answers)
    legend = _legend("passages retrieved for this question" if found else "quotes that answer this question")
    return (f'<section class="ev-detail" data-id="{escape(row.id)}" aria-label="Question {escape(row.id)}"><header>'
            f'<p class="ev-sub">{escape(row.id)} · {escape(row.kind)} · {escape(row.document)} · {where}</p>'
            f'<h3 tabindex="-1">{escape(row.question)}</h3></header>{_wanted(first)}'
            f'<div class="ev-answers">{answers}</div>{legend if held else ""}{_passages(row, first, linked)}</section>')


def _legend(held: str) -> str:
    return ('<div class="legend"><p>Every sentence is shaded by how many of its content words and figures stand in '
            f"the {held}: {KEYS}</p><p>That is not a verdict of truth: a sentence that turns a fact round is made of "
            "the same words.</p></div>")


def _found(row: Row) -> tuple[Passage, ...]:
    """The passages that the retrieving variants read; all of them read the same."""
    return next((r.passages for r in row.answers.values() if r.passages), ())


def _wanted(record: EvalRecord) -> str:
    facts = "".join(f"<li>{escape(f)}</li>" for f in record.key_facts)
    quotes = "".join(f"<li>“{escape(_plain(e.quote))}” <small>{escape(e.document)}</small></li>"
                     for e in record.evidence)
    return ('<dl class="ev-wanted">'
            f"<div><dt>Reference answer</dt><dd>{escape(record.reference)}</dd></div>"
            + (f'<div><dt>Key facts</dt><dd><ul class="ev-facts-list">{facts}</ul></dd></div>' if facts else "")
            + (f"<div><dt>Evidence in the corpus</dt><dd><ul>{quotes}</ul></dd></div>" if quotes else
               "<div><dt>Evidence in the corpus</dt><dd>none: the corpus does not answer this</dd></div>") + "</dl>")


def _plain(quote: str) -> str:
    """A quote in one line, the cells of a table's row apart."""
    return " · ".join(filter(None, (cell.strip() for cell in quote.split("|"))))


def _answer(row: Row, variant: str, run: EvalRun, held: Sequence[Passage]) -> str:
    record = row.answers[variant]
    text = marked(record.text, held, linked=False) if held else escape(record.text)
    body = f'<p class="ev-text">{text}</p>' if record.text else (
        f'<p class="ev-withheld">{escape(record.error or "The answer is empty.")}</p>')
    return (f'<article class="ev-answer {escape(variant)}" data-variant="{escape(variant)}"><h4>{chip(variant)}'
            f"{outcome_chip(row.outcomes[variant], words=True)}</h4>{body}{_facts(record)}{_scores(record, run)}"
            f"{_verdicts(record, run)}{_made(record)}</article>")


def _facts(record: EvalRecord) -> str:
    if not record.key_facts or record.error:
        return ""
    hits = key_facts.hits(record.key_facts, record.text)
    items = "".join(f'<li class="{"hit" if hit else "miss"}">{"✓" if hit else "✗"} {escape(fact)}</li>'
                    for fact, hit in zip(record.key_facts, hits, strict=True))
    return f'<ul class="ev-facts-list" aria-label="Key facts in this answer">{items}</ul>'


def _scores(record: EvalRecord, run: EvalRun) -> str:
    rows = ""
    for metric in run.metrics:
        if metric.key in record.scores:
            rows += f"<tr><th>{escape(title(metric))}</th><td>{number(record.scores[metric.key], metric)}</td></tr>"
        elif metric.key in record.unscored:
            rows += (f'<tr><th>{escape(title(metric))}</th><td class="ev-soft">not scored: '
                     f"{escape(record.unscored[metric.key])}</td></tr>")
    return f'<details class="ev-fold"><summary>Scores</summary><table class="ev-small">{rows}</table></details>'


def _verdicts(record: EvalRecord, run: EvalRun) -> str:
    """What the judge said of this answer."""
    if not record.verdicts:
        return ""
    names = {m.key: title(m) for m in run.metrics}
    said = "".join(f"<h5>{escape(names.get(key, key))}</h5><ul>{''.join(map(_verdict, found))}</ul>"
                   for key, found in record.verdicts.items())
    return f'<details class="ev-fold"><summary>What the judge said</summary>{said}</details>'


def _verdict(verdict: Verdict) -> str:
    """A claim of the answer, or a question that the judge read out of it, and what the judge made of it."""
    reason = f" <small>{escape(verdict.reason)}</small>" if verdict.reason else ""
    return f"<li><b>{verdict.verdict:.2f}</b> {escape(verdict.claim)}{reason}</li>"


def _made(record: EvalRecord) -> str:
    done = record.done
    if not done:
        return ""
    ended = {"end": "ended by itself", "length": "cut at the length limit"}.get(done.finish, done.finish)
    return (f'<p class="ev-made">{done.prompt_tokens} tokens read ({done.cached_tokens} reused), {done.answer_tokens} '
            f"written, first after {done.first_token_s:.2f} s, {done.decode_tps:.1f} tokens/s, {escape(ended)}<br>"
            f"{escape(identity_text(done.identity))}</p>")


def _passages(row: Row, first: EvalRecord, linked: bool) -> str:
    found = _found(row)
    if not found:
        return ""
    same = len({tuple(p.id for p in r.passages) for r in row.answers.values() if r.passages}) == 1
    readers = " and ".join(chip(v) for v, r in row.answers.items() if r.passages)
    items = "".join(_passage(p, n, first, linked) for n, p in enumerate(found, 1))
    note = "" if same else "<p class='ev-sub'>The variants found different passages; these are the first one's.</p>"
    return f'<section class="ev-passages"><h4>Passages found, read by {readers}</h4>{note}{items}</section>'


def _passage(passage: Passage, rank: int, record: EvalRecord, linked: bool) -> str:
    squeezed = " ".join(passage.text.split())
    holds = any(e.document == passage.source and " ".join(e.quote.split()) in squeezed for e in record.evidence)
    badge = '<span class="ev-badge">holds the evidence</span>' if holds else ""
    read = '<p class="ev-sub">Marked: the part that the model read.</p>' if passage.excerpt else ""
    address = "?" + urlencode({"tab": "corpus", "doc": passage.source, "passage": passage.id})
    link = (f'<p><a class="to-corpus" href="{escape(address)}" target="_blank" rel="noopener">Open in the corpus</a>'
            "</p>" if linked else "")
    return (f'<details class="passage"{" open" if rank == 1 else ""}><summary><span class="rank">{rank}</span>'
            f'<span class="where">{escape(passage.title)}<small>{escape(passage.heading)}</small>{badge}</span>'
            f'<span class="score">{passage.score:.2f}</span></summary>'
            f'<div class="passage-text">{read}{passage_html(passage)}{link}</div></details>')
