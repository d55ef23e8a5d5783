"""The corpus tab: documents and passages, which of them are asked about, and the retriever itself.

`?tab=corpus&doc=ID&passage=ID` opens a document at a passage, `?tab=corpus&find=TEXT` searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from space import corpus_cards, parts
from space.corpus_cards import message
from space.coverage import find, load_shelf
from space.errors import UserError
from space.questions import clean_question

FOUND = 8
"""Passages that a search shows."""
PICK = "Pick a document to read its passages and who asks about them."
SEARCH_FIRST = "Type a question: the search finds the passages that the third column would read."
OPEN = """
element.addEventListener('click', event => {
  const link = event.target.closest('[data-doc]:not(article)');
  if (!link || !element.contains(link) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger('select', {doc: link.dataset.doc, passage: link.dataset.passage});
});
"""
"""A click on a link to a document asks the server for it; with a modifier key the browser opens the link."""
SHOW = OPEN + """
const show = () => {
  const view = element.querySelector('.doc-view');
  if (!view) return;
  const url = new URL(window.location);
  url.searchParams.set('tab', 'corpus');
  url.searchParams.set('doc', view.dataset.doc);
  url.searchParams.delete('passage');
  if (view.dataset.passage) url.searchParams.set('passage', view.dataset.passage);
  window.history.replaceState(window.history.state, '', url);
  view.querySelector('h2').focus({preventScroll: true});
  (view.querySelector('.linked') || view).scrollIntoView({block: 'start'});
};
watch('value', show);
show();
"""
"""A document that arrives is scrolled to, takes the focus, and is named in the address bar."""


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    gr.HTML(_head(), elem_id="corpus-head", apply_default_css=False)
    with gr.Row(elem_id="find-row"):
        question = gr.Textbox(label="Search the corpus", show_label=False, container=False, lines=1, max_lines=3,
                              placeholder="Search as the third column does …", scale=8, elem_id="find")
        search_button = gr.Button("Search", scale=1, min_width=90, elem_id="find-go")
    results = gr.HTML(message(SEARCH_FIRST), elem_id="corpus-results", js_on_load=OPEN,
                      apply_default_css=False)
    with gr.Row(elem_id="corpus-row", equal_height=False):
        with gr.Column(scale=5, min_width=320, elem_id="corpus-left"):
            order = gr.Dropdown([(label, key) for key, label in corpus_cards.ORDERS.items()], value="title",
                                label="Order of the documents", elem_id="corpus-order", filterable=False,
                                container=False)
            documents = gr.HTML(_list("title"), elem_id="corpus-list", js_on_load=OPEN,
                                apply_default_css=False)
        with gr.Column(scale=6, min_width=320, elem_id="corpus-right"):
            view = gr.HTML(message(PICK), elem_id="corpus-view", js_on_load=SHOW,
                           apply_default_css=False)

    def open_picked(event: gr.EventData) -> str:
        picked = event._data if isinstance(event._data, dict) else {}
        return _view(str(picked.get("doc", "")), str(picked.get("passage", "")))

    def open_link(request: gr.Request) -> Iterator[list]:
        yield from _from_link(dict(request.query_params))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on([documents.select, results.select, view.select], open_picked, None, view, trigger_mode="always_last", **quiet)
    gr.on([search_button.click, question.submit], _search, question, results, concurrency_limit=2,
          concurrency_id="search", trigger_mode="once", **quiet)
    order.change(_list, order, documents, **quiet)
    page.load(open_link, outputs=[question, results, view], concurrency_limit=4, **quiet)


def _head() -> str:
    try:
        return corpus_cards.head(load_shelf())
    except UserError as error:
        return f'<div class="page-head"><h1>Corpus</h1></div>{message(str(error), "error")}'


def _list(order: str) -> str:
    try:
        return corpus_cards.document_list(load_shelf(), order)
    except UserError:
        return ""


def _view(document: str, passage: str) -> str:
    try:
        shelf = load_shelf()
        return corpus_cards.document_view(shelf, *find(shelf, document, passage))
    except UserError as error:
        return message(str(error), "error")


def _search(question: str) -> Iterator[str]:
    """The results; before them a sentence, as the first search opens the index."""
    try:
        cleaned = clean_question(question)
        yield message("Searching …")
        found = parts.load_retriever().search(cleaned, FOUND)  # what a small model reads stands first in it
        yield corpus_cards.results(cleaned, sorted(found, key=lambda p: -p.score))
    except UserError as error:
        yield message(str(error), "error")


def _from_link(query: dict[str, str]) -> Iterator[list]:
    """[question, results, view] for the parameters of a link; what it does not name stays as it is."""
    if query.get("tab") != "corpus":
        yield [gr.skip()] * 3
        return
    document, passage = query.get("doc", ""), query.get("passage", "")
    view = _view(document, passage) if document or passage else gr.skip()
    wanted = query.get("find", "")
    if not wanted:
        yield [gr.skip(), gr.skip(), view]
        return
    for drawn in _search(wanted):
        yield [wanted, drawn, view]
