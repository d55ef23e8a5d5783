"""The training, corpus and about tabs in headless Chromium: links that open them, phone, keyboard, axe."""

import pytest

from tests.browser.test_compare import violations

pytestmark = pytest.mark.browser
LOSS = "#train-loss .js-plotly-plot .main-svg"
LINKS = {
    "training": ("?tab=train", LOSS),
    "corpus": ("?tab=corpus&doc=lora&passage=lora%239", ".bit.linked"),
    "search": ("?tab=corpus&find=What+is+MLA%3F", ".found"),
    "about": ("?tab=about&read=reports", "article.doc-page"),
}


def open_tab(served, visit, query, wait, **options):
    page = visit(served, **options)
    page.goto(served + query)
    page.wait_for_selector(wait)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_reading_pages(served, visit, scheme):
    page = visit(served, color_scheme=scheme)
    for query, wait in LINKS.values():
        page.goto(served + query)
        page.wait_for_selector(wait)
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        assert violations(page) == [], query


def test_a_phone_has_no_sideways_scroll(served, visit):
    page = visit(served, width=390, height=844, is_mobile=True, has_touch=True)
    for query, wait in LINKS.values():
        page.goto(served + query)
        page.wait_for_selector(wait)
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, query


def test_a_link_opens_a_passage_and_the_address_follows_what_is_read(served, visit):
    page = open_tab(served, visit, *LINKS["corpus"])
    linked = page.locator(".bit.linked")
    assert linked.get_attribute("aria-label") == "Passage lora#9"
    page.wait_for_function("() => { const box = document.querySelector('.bit.linked').getBoundingClientRect();"
                           "return box.top >= 0 && box.bottom <= innerHeight; }")
    page.wait_for_function("() => document.activeElement.matches('.doc-view h2')")
    page.click("#corpus-list a[data-doc='qlora']")
    page.wait_for_selector(".doc-view[data-doc='qlora']")
    page.wait_for_url("**/?tab=corpus&doc=qlora")
    assert page.locator(".bit.linked").count() == 0


def test_a_link_may_name_a_tab_as_the_page_does(served, visit):
    page = visit(served)
    for name, label in (("Evaluation", "Evaluation"), ("training", "Training"), ("eval", "Evaluation"),
                        ("x", "Compare")):
        page.goto(f"{served}?tab={name}")
        page.wait_for_selector(f"#tabs button[role=tab][aria-selected=true]:has-text('{label}')")


def test_documents_open_in_each_other_by_keyboard(served, visit):
    page = open_tab(served, visit, "?tab=about", "#about-page section")
    page.focus("#about-page a[data-read='decisions/004-small-default']")
    page.keyboard.press("Enter")
    page.wait_for_selector("article.doc-page[data-read='decisions/004-small-default']")
    page.wait_for_function("() => document.activeElement.matches('article.doc-page')")
    assert "read=decisions%2F004-small-default" in page.url


def test_the_curve_marks_the_epoch_that_was_kept(served, visit):
    page = open_tab(served, visit, *LINKS["training"])
    texts = page.evaluate("[...document.querySelectorAll('#train-loss .annotation-text')].map(e => e.textContent)")
    assert any("kept" in text for text in texts)
    background = page.evaluate("document.querySelector('#train-loss .main-svg').style.background")
    assert "rgba(0, 0, 0, 0)" in background
