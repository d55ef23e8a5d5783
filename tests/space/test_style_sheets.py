"""The style sheets share one page, so a class must mean one thing in all of them."""

import re

from space.app import STYLES

SHARED = {"scroll", "passage-text", "rank", "where", "wrap", "wrap-inner", "form", "block", "dark", "hint", "notice"}
"""Classes that mean the same everywhere, or are Gradio's."""


def classes(path):
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", path.read_text(encoding="utf-8"), flags=re.S)
    return set(re.findall(r"\.([a-zA-Z][\w-]*)", rules))


def test_the_reading_pages_restyle_no_class_of_another_page():
    pages = next(path for path in STYLES if path.name == "pages.css")
    others = [path for path in STYLES if path != pages]
    assert len(others) == 2 and all(len(classes(path)) > 20 for path in STYLES)
    assert {path.name: classes(pages) & classes(path) - SHARED for path in others} == {p.name: set() for p in others}
