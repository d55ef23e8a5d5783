"""The about tab: what this is and is not, and the project's documents.

`?tab=about&read=experiments` opens a document; `page` is a parameter of Gradio's own.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from space import about
from space.corpus_cards import message
from space.errors import UserError

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
OPEN = """
element.addEventListener('click', event => {
  const link = event.target.closest('[data-read]:not(article)');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger('select', {read: link.dataset.read});
});
"""
SHOW = """
const show = () => {
  const shown = element.querySelector('article');
  if (!shown) return;
  const url = new URL(window.location);
  url.searchParams.set('tab', 'about');
  url.searchParams.set('read', shown.dataset.read);
  window.history.replaceState(window.history.state, '', url);
  shown.focus({preventScroll: true});
  shown.scrollIntoView({block: 'start'});
};
watch('value', show);
show();
"""
"""A document that arrives is scrolled to, takes the focus, and is named in the address bar."""


def build(page: gr.Blocks) -> None:
    """Draw the tab inside the current Blocks, which is `page`."""
    text = gr.HTML(about.page(), elem_id="about-page", apply_default_css=False, js_on_load=OPEN)
    listed = gr.HTML(about.document_list(), elem_id="about-list", apply_default_css=False, js_on_load=OPEN)
    shown = gr.HTML("", elem_id="about-document", apply_default_css=False, js_on_load=OPEN + SHOW)

    def open_picked(event: gr.EventData) -> str:
        picked = event._data if isinstance(event._data, dict) else {}
        return _document(str(picked.get("read", "")))

    def open_link(request: gr.Request) -> Any:
        query = dict(request.query_params)
        return _document(query["read"]) if query.get("tab") == "about" and query.get("read") else gr.skip()

    gr.on([text.select, listed.select, shown.select], open_picked, None, shown, trigger_mode="always_last", **QUIET)
    page.load(open_link, outputs=shown, **QUIET)


def _document(key: str) -> str:
    try:
        return about.document(key)
    except UserError as error:
        return message(str(error), "error")
