"""Marks on an answer's words: how much of each sentence the passages hold, and what differs from plain.

HTML only; space/support.py counts. The marks say "found in the passages", never "true".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

from space.key_facts import UNITS
from space.retriever import passage_text
from space.schema import Passage
from space.support import SentenceSupport, support

LEVELS = ((0.85, 3), (0.6, 2), (0.3, 1), (0.0, 0))
"""From which share of found words and figures a sentence is shaded how strongly."""
KEYS = (
    "<span class='keys'><span class='sentence s3'>nearly all</span> <span class='sentence s2'>most</span> "
    "<span class='sentence s1'>some</span> <span class='sentence s0'>few or none</span> "
    "<span><u class='absent'>42</u> a figure that no passage has</span></span>")
LEGEND = (
    "<p>Every sentence is shaded by how many of its content words and figures stand in the passages below; "
    f"all columns are held to the same passages, also those that never read them. {KEYS}</p>"
    "<p>This says <b>found in the passages</b>, not true: a sentence that turns a fact round uses the same words, "
    "and a right sentence may stand in none of these passages. Point at a sentence, or move to it with the Tab key, "
    "to see its passage; Enter goes there.</p>")


def marked(text: str, passages: Sequence[Passage], linked: bool = True) -> str:
    """An answer whose sentences are shaded and, where `linked`, lead to the passage that holds most of them."""
    html, end = "", 0
    for sentence in support(text, [passage_text(p) for p in passages]):
        html += escape(text[end:sentence.start]) + _sentence(sentence, linked)
        end = sentence.end
    return html + escape(text[end:])


def level(share: float) -> int:
    """How strongly a sentence is shaded, 0 to 3."""
    return next(strength for least, strength in LEVELS if share >= least)


def _sentence(found: SentenceSupport, linked: bool) -> str:
    if not found.terms:
        return escape(found.text)
    says = f"{found.share:.0%} of its words and figures are in the passages"
    if found.passage_index is not None:
        says += f", most of them in passage {found.passage_index + 1}"
    if found.missing:
        says += f"; not there: {', '.join(found.missing[:8])}"
    inner = _with_absent(found.text, found.numbers_missing)
    kind = f'class="sentence s{level(found.share)}" title="{escape(says)}"'
    if found.passage_index is None or not linked:
        return f'<span {kind}>{inner}</span>'
    number = found.passage_index + 1
    return f'<a {kind} href="#read-{number}" data-passage="{number}">{inner}</a>'


def _with_absent(text: str, figures: Sequence[str]) -> str:
    """The text with the figures that no passage holds underlined."""
    if not figures:
        return escape(text)
    wanted = "|".join(map(_as_written, sorted(figures, key=len, reverse=True)))
    pieces = re.split(rf"(?<![\w.])(?<!\d,(?=\d{{3}}))({wanted})(?!\w|\.\d|,\d{{3}}(?!\d))", text, flags=re.I)
    return "".join(f"<u class='absent'>{escape(piece)}</u>" if n % 2 else escape(piece)
                   for n, piece in enumerate(pieces))


def _as_written(figure: str) -> str:
    """A pattern for a figure in an answer. It comes as figures are compared: in lower case, without the commas between
    thousands, and with a unit's letter for its word."""
    digits = re.sub(r"(?<=\d)(?=(?:\d{3})+(?!\d))", ",?", re.escape(figure))
    word = next((word for word, letter in UNITS.items() if figure.endswith(letter)), "")
    return rf"{digits.removesuffix(re.escape(figure[-1]))}(?:{re.escape(figure[-1])}|[\s-]*{word})" if word else digits


def difference(plain: str, text: str) -> str:
    """The words of `text`, with those that the plain answer lacks inserted and those that only it has struck."""
    old, new = (re.findall(r"\S+\s*", t) for t in (plain, text))
    keys = [[word.strip().lower() for word in words] for words in (old, new)]
    html = ""
    for kind, a, b, c, d in SequenceMatcher(a=keys[0], b=keys[1], autojunk=False).get_opcodes():
        if kind == "equal":
            html += escape("".join(new[c:d]))
            continue
        if a < b:
            html += f"<del>{escape(''.join(old[a:b]).rstrip())}</del> "
        if c < d:
            html += f"<ins>{escape(''.join(new[c:d]).rstrip())}</ins> "
    return html
