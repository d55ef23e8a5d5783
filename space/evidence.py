"""What the answers are held against, as HTML: the passages that were found, and the reference with its
key facts. Pure; all foreign text is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from space import examples, key_facts, marks
from space.comparison import Comparison
from space.markup import blocks
from space.retriever import covered
from space.schema import VARIANTS, Passage
from space.support import sentence_spans

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Stand for <mark> and </mark> until the text around them is escaped."""
_ACROSS = re.compile(r"\||\n\s*(?:\n|[-*+#] |\d+[.)] )")
"""Where a sentence runs over the edge of a cell, a list item or a paragraph, and cannot be marked in place."""


def below(comparison: Comparison) -> str:
    """Everything under the columns of a finished comparison; nothing while names are withheld."""
    if comparison.hidden or not comparison.finished:
        return ""
    without = not comparison.passages and any(
        VARIANTS[key].retrieves and column.answer.state == "done" for key, column in comparison.columns.items())
    return reference(comparison) + passage_list(comparison.passages) + without * (
        '<section class="passages"><p class="notice">No passage was found for this question: the answer that reads '
        "passages was written without any.</p></section>")


def reference(comparison: Comparison) -> str:
    """The reference answer, and which of its key facts each answer holds."""
    example = comparison.example
    if not example:
        return ""
    return (f'<section class="reference" aria-labelledby="reference-name"><h2 id="reference-name">Reference answer</h2>'
            f'<p class="reference-text">{escape(example.reference)}</p>'
            f'<p class="soft">{escape(examples.meaning(example))}</p>{_facts(comparison)}</section>')


def _facts(comparison: Comparison) -> str:
    example = comparison.example
    answers = [comparison.columns[key].answer for key in comparison.order]
    if not example or not example.key_facts and example.kind != "unanswerable":
        return ""
    head = "".join(f'<th scope="col" class="{a.variant}">{escape(VARIANTS[a.variant].label)}</th>' for a in answers)
    if example.kind == "unanswerable":
        rows = [("says that it does not know", [key_facts.abstains(a.text) for a in answers])]
    else:
        rows = [(fact, [key_facts.contains(fact, a.text) for a in answers]) for fact in example.key_facts]
    body = "".join(f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_cell, hits))}</tr>' for name, hits in rows)
    first = "Answer" if example.kind == "unanswerable" else "Key fact"
    return (f'<div class="scroll" tabindex="0"><table class="facts"><thead><tr><th scope="col">{first}</th>{head}</tr>'
            f'</thead><tbody>{body}</tbody></table></div>')


def _cell(hit: bool) -> str:
    return '<td class="hit">✓ yes</td>' if hit else '<td class="miss">✗ no</td>'


def passage_list(passages: Sequence[Passage]) -> str:
    """The passages as foldable cards with the legend of the shading: what a model that reads sentences has read
    first, then by score; where that is not the order of the scores, a sentence says so."""
    if not passages:
        return ""
    notice = "" if covered(passages) else (
        '<p class="notice">No passage comes close to this question: the corpus may not cover it.</p>')
    partly = any(p.excerpt for p in passages)
    items = "".join(_passage(p, n, partly) for n, p in enumerate(passages, 1))
    scores = [round(p.score, 2) for p in passages]
    order = ("<p>The passage with the best sentence comes first; a score is that of a whole passage.</p>"
             if partly and scores != sorted(scores, reverse=True) else "")
    return (f'<section class="passages" aria-labelledby="passages-name"><h2 id="passages-name">'
            f'Passages found for this question</h2>{notice}<div class="legend">{marks.LEGEND}{order}</div>'
            f'<div class="passage-row">{items}</div></section>')


def _passage(passage: Passage, number: int, partly: bool) -> str:
    """`partly`: the model reads sentences, not whole passages."""
    link = "?" + urlencode({"tab": "corpus", "doc": passage.source, "passage": passage.id})
    read = ("Marked: what the model read." if passage.excerpt else "Found, but the model read nothing from it.")
    note = f'<p class="soft">{read}</p>' if partly else ""
    opened = " open" if number == 1 or passage.excerpt else ""
    return (
        f'<details class="passage" id="read-{number}" data-passage="{number}"{opened}>'
        f'<summary><span class="rank">{number}</span><span class="where">{escape(passage.title)}'
        f'<small>{escape(passage.heading)}</small></span>'
        f'<span class="score"><abbr title="0.7 x cosine + 0.3 x BM25; cosine {passage.cosine:.2f}">'
        f'score {passage.score:.2f}</abbr></span></summary>'
        f'<div class="passage-text">{note}{passage_html(passage)}'
        f'<p><a class="to-corpus" href="{escape(link)}" target="_blank" rel="noopener">Open in the corpus</a></p></div>'
        f'</details>')


def passage_html(passage: Passage) -> str:
    """The passage's text with what the model read of it marked."""
    return _marked(blocks(with_excerpt(passage)))


def with_excerpt(passage: Passage) -> str:
    """The passage's text, its excerpt between marks; where it is not found word for word, it stands first."""
    text, lost = passage.text.replace(_OPEN, "").replace(_CLOSE, ""), []
    for start, end in sentence_spans(passage.excerpt):
        words = passage.excerpt[start:end].split()
        found = re.search(r"\s+".join(map(re.escape, words)), text)
        if not found or _ACROSS.search(found[0]):
            lost.append(passage.excerpt[start:end])
        else:
            text = f"{text[:found.start()]}{_OPEN}{found[0]}{_CLOSE}{text[found.end():]}"
    return (f"{_OPEN}{' '.join(lost)}{_CLOSE}\n\n" if lost else "") + text


def _marked(html: str) -> str:
    return html.replace(_OPEN, '<mark class="excerpt">').replace(_CLOSE, "</mark>")
