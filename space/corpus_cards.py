"""Documents, passages and search results of the corpus as HTML. Pure; every text of a document is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from urllib.parse import urlencode

from space.corpus import Document
from space.coverage import Shelf, links
from space.markup import blocks
from space.retriever import covered
from space.schema import Example, Passage

PART_NAMES = {"train": "training", "dev": "dev", "heldout": "held-out", "paraphrase": "paraphrased"}
ORDERS = {"title": "By title", "passages": "Most passages first", "coverage": "Least asked about first"}

LEGEND = ('<p class="strip-legend"><span class="cells" aria-hidden="true"><i></i><i class="n1"></i><i class="n2"></i>'
          '<i class="n3"></i></span>one cell a passage, asked about by 0, 1, 2, 3 or more questions</p>')


def address(document: str, passage: str = "") -> str:
    """The link, relative to the app, that opens a document, at a passage if one is named."""
    query = {"tab": "corpus", "doc": document} | ({"passage": passage} if passage else {})
    return "?" + urlencode(query)


def _open(document: str, text: str, passage: str = "", class_: str = "to-doc") -> str:
    """A link that the page follows without loading itself anew; `text` is HTML."""
    return (f'<a class="{class_}" href="{escape(address(document, passage))}" data-doc="{escape(document)}" '
            f'data-passage="{escape(passage)}">{text}</a>')


def head(shelf: Shelf) -> str:
    """What the corpus is, in two sentences, and how much of it the questions ask about."""
    passages = [p for cut in shelf.passages.values() for p in cut]
    says = (f"{_count(len(shelf.documents), 'document')}, cut into {_count(len(passages), 'passage')}: what the "
            "retriever searches and the third column reads.")
    if shelf.own:
        says += " These are your own documents; the questions that ship do not ask about them."
    else:
        asked = sum(p.id in shelf.asked for p in passages)
        says += (f" The questions ask about {asked} of the passages ({_percent(asked, len(passages))}); "
                 f"{shelf.unanswerable} more questions are unanswerable on purpose and rest on no passage.")
    notice = f'<p class="notice">{_sentence(shelf.notice)}</p>' if shelf.notice else ""
    return f'<div class="page-head"><h1>Corpus</h1><p>{escape(says)}</p>{notice}</div>'


def document_list(shelf: Shelf, order: str = "title") -> str:
    """All documents with source, links, sizes and coverage, in one of `ORDERS`."""
    keys = {"passages": lambda d: (-len(shelf.passages_of(d.id)), d.title.lower()),
            "coverage": lambda d: (_share(shelf, d), d.title.lower())}
    documents = sorted(shelf.documents, key=keys.get(order, lambda d: d.title.lower()))
    items = "".join(_document_item(shelf, d) for d in documents)
    listed = f'<ul class="docs" aria-label="Documents">{items}</ul>'
    return listed if shelf.own else LEGEND + listed + _unasked(shelf, documents)


def _document_item(shelf: Shelf, document: Document) -> str:
    cut = shelf.passages_of(document.id)
    asked = shelf.askers(document.id)
    counts = _count(len(cut), "passage")
    if not shelf.own:
        named = ", ".join(f"{number} {PART_NAMES[part]}" for part, number in asked.items())
        counts += f"; asked about by {named} {_plural(sum(asked.values()), 'question')}" if asked else "; nobody asks"
    source = document.meta.get("source", "")
    return (
        f'<li class="doc">{_open(document.id, escape(document.title), class_="to-doc doc-title")}'
        + (f'<p class="doc-source">{escape(source)}</p>' if source and source != document.title else "")
        + f'<p class="doc-facts">{_outside(document)}<span>{escape(counts)}</span></p>'
        + ("" if shelf.own else _strip(shelf, document)) + "</li>")


def _outside(document: Document) -> str:
    return "".join(f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{escape(label)}</a>'
                   for label, url in links(document))


def _strip(shelf: Shelf, document: Document) -> str:
    """One cell a passage, darker where more questions ask. The cells are a mouse's short cut: everything they
    lead to is also reached through the document."""
    cut = shelf.passages_of(document.id)
    cells = "".join(
        f'<i class="n{min(len(shelf.asked.get(p.id, ())), 3)}" data-doc="{escape(document.id)}" '
        f'data-passage="{escape(p.id)}" title="{escape(p.id)}: {len(shelf.asked.get(p.id, ()))}"></i>' for p in cut)
    says = f"{shelf.covered(document.id)} of {_count(len(cut), 'passage')} asked about"
    return (f'<div class="strip"><div class="cells" role="img" aria-label="{says}">{cells}</div>'
            f'<span>{_percent(shelf.covered(document.id), len(cut))} asked about</span></div>')


def _unasked(shelf: Shelf, documents: Sequence[Document]) -> str:
    """The passages that no question asks about, by document."""
    total = sum(len(shelf.unasked(d.id)) for d in documents)
    if not total:
        return ""
    rows = "".join(
        f"<li><b>{escape(d.title)}</b> "
        + ", ".join(_open(d.id, escape(p.id.partition("#")[2] or p.id), p.id) for p in shelf.unasked(d.id)) + "</li>"
        for d in documents if shelf.unasked(d.id))
    return (f'<details class="unasked"><summary>{_count(total, "passage")} that nobody asks about</summary>'
            f"<ul>{rows}</ul></details>")


def document_view(shelf: Shelf, document: Document, linked: Passage | None = None) -> str:
    """A document, section by section, as its passages; `linked` is the one that stands out."""
    meta = document.meta.get("covers", "")
    parts = []
    for heading, cut in groupby(shelf.passages_of(document.id), key=lambda p: p.heading):
        bits = "".join(_bit(shelf, p, linked is not None and p.id == linked.id) for p in cut)
        parts.append(f"<h3>{escape(heading)}</h3>{bits}")
    body = "".join(parts) or '<p class="hint">This document has no passages in the search index.</p>'
    shown = escape(linked.id if linked else "")
    return (
        f'<article class="doc-view" data-doc="{escape(document.id)}" data-passage="{shown}">'
        f'<h2 tabindex="-1">{escape(document.title)}</h2>'
        + (f'<p class="doc-source">{escape(document.meta["source"])}</p>' if document.meta.get("source") else "")
        + (f'<p class="doc-covers">{escape(meta)}</p>' if meta else "")
        + f'<p class="doc-facts">{_outside(document)}<a class="to-list" href="#corpus-list">All documents</a></p>'
        f"{body}</article>")


def _bit(shelf: Shelf, passage: Passage, linked: bool) -> str:
    asked = shelf.asked.get(passage.id, ())
    note = '<span class="mark">the linked passage</span>' if linked else ""
    return (
        f'<section class="bit{" linked" if linked else ""}" aria-label="Passage {escape(passage.id)}">'
        f'<p class="bit-head">{_open(passage.source, escape(passage.id), passage.id)}{note}</p>'
        f'<div class="passage-text">{blocks(passage.text)}</div>{"" if shelf.own else _questions(asked)}</section>')


def _questions(asked: Sequence[Example]) -> str:
    if not asked:
        return '<p class="bit-none">Nobody asks about this passage.</p>'
    items = "".join(f'<li><span class="asked-part">{PART_NAMES.get(e.split, "")}</span> {escape(e.question)}</li>'
                    for e in asked)
    verb = "asks" if len(asked) == 1 else "ask"
    return (f'<details class="bit-asked"><summary>{_count(len(asked), "question")} {verb} about this</summary>'
            f"<ul>{items}</ul></details>")


def results(question: str, found: Sequence[Passage]) -> str:
    """What the retriever finds for a question, best first, with its scores."""
    notice = "" if covered(found) else (
        '<p class="notice">No passage comes close to this question: the corpus may not cover it.</p>')
    items = "".join(
        f'<li class="found"><div class="found-head"><span class="rank">{n}</span>'
        f'<span class="where">{_open(p.source, escape(p.title), p.id)}<small>{escape(p.heading)}</small></span>'
        f'<span class="scores"><b>{p.score:.2f}</b><small>cosine {p.cosine:.2f}</small></span></div>'
        f'<div class="passage-text">{blocks(p.text)}</div></li>' for n, p in enumerate(found, 1))
    return (f'<section class="results" aria-label="Search results"><h2>The {len(found)} best passages for '
            f'“{escape(question)}”</h2>{notice}<ol class="hits">{items}</ol><p class="hint">Score: 0.7 × cosine '
            "similarity of the embeddings + 0.3 × BM25, each at most 1. The same search finds the passages that "
            "the third column reads.</p></section>")


def message(text: str, kind: str = "hint") -> str:
    """A sentence in the place of content; kind is hint or error."""
    return f'<p class="{"answer-error" if kind == "error" else "hint"}">{_sentence(text)}</p>'


def _sentence(text: str) -> str:
    return blocks(text).removeprefix("<p>").removesuffix("</p>")


def _share(shelf: Shelf, document: Document) -> float:
    return shelf.covered(document.id) / max(len(shelf.passages_of(document.id)), 1)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {_plural(number, noun)}"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else noun + "s"
