"""The static page, opened from a file in headless Chromium: the checks of the evaluation tab, and the player."""

import csv
import json
from pathlib import Path

import pytest

from eval import export
from tests import made_results

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_results.make_three(folder)
    return folder


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("static page")
    export.write(folder, {"index.html": export.build(export.opened_runs(results), lambda line: None).encode()})
    return (folder / "index.html").as_uri()


@pytest.fixture
def visit(browser, address):
    contexts = []

    def visit(place, drawn="#eval-facts dl", width=1440, height=1000, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.faults = []
        page.on("pageerror", lambda e: page.faults.append(str(e)))
        page.on("console", lambda m: m.type == "error" and page.faults.append(m.text))
        page.on("dialog", lambda d: (page.faults.append(d.message), d.dismiss()))
        page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or page.faults.append(r.url))
        page.goto(place if place.startswith("file:") else f"{address}{place}")
        page.wait_for_selector(drawn, timeout=60_000)
        return page

    yield visit
    for context in contexts:
        context.close()


def shown(page):
    return [r.get_attribute("data-question") for r in page.locator("#eval-questions tr[data-question]:visible").all()]


def test_the_run_is_drawn_with_its_figures(visit):
    page = visit("#tab=eval")
    assert page.locator("#eval-run option:checked").inner_text().startswith("heldout · 40 held-out questions")
    assert "SmolLM2-135M-Instruct Q4_1" in page.inner_text("#eval-facts")
    names = page.evaluate("[...new Set([...document.querySelectorAll('#eval-bars .bar')].map(b => b.dataset.name))]")
    assert names == ["Plain", "Fine-tuned", "Fine-tuned + RAG"]
    page.select_option("#eval-metric", "key_facts")
    assert page.locator("#eval-spread .bar").count() == 3
    assert "Key facts all there, kind of question" in page.inner_html("#eval-breakdown") and not page.faults


def test_filter_sort_open_and_go_through_the_list(visit):
    page = visit("#tab=eval")
    assert page.inner_text(".ev-count") == "40 of 40 questions"
    divided = shown(page)[0]
    page.select_option("#eval-sort", "order")
    assert shown(page)[0] != divided
    page.select_option("#eval-kind", "number")
    ids = shown(page)
    assert 1 < len(ids) < 40 and page.inner_text(".ev-count") == f"{len(ids)} of 40 questions"
    assert all(t.endswith("number") for t in page.locator("#eval-questions tbody tr:visible small").all_inner_texts())
    page.locator("#eval-questions tr:visible td").nth(4).click()
    opened = page.locator("#eval-detail [data-id]")
    assert opened.get_attribute("data-id") == ids[1] and page.locator("#eval-detail .ev-answer").count() == 3
    assert page.locator(f'#eval-questions tr[data-question="{ids[1]}"][aria-current]').count() == 1
    page.click("#eval-next")
    assert opened.get_attribute("data-id") == ids[2]
    for _ in range(3):
        page.click("#eval-previous")
    assert opened.get_attribute("data-id") == ids[-1]
    assert f"{len(ids)} of {len(ids)} in the list" in page.inner_text("#eval-detail")
    page.fill("#eval-q", "zzqy")
    assert page.inner_text(".ev-count") == "0 of 40 questions"
    assert "No question fits" in page.inner_text("#eval-questions") and not page.faults


def test_another_run_and_two_runs_compared(visit):
    page = visit("#tab=eval&kind=number&vs=older")
    assert "heldout against older" in page.inner_text("#eval-against")
    page.select_option("#eval-vs", "")
    assert not page.locator("#eval-against table").count()
    page.select_option("#eval-run", "older")
    page.wait_for_function("() => document.querySelector('.ev-count').innerText.endsWith('of 30 questions')")
    assert page.input_value("#eval-kind") == "number"
    page.select_option("#eval-run", "paraphrase")
    page.wait_for_function("() => document.querySelector('.ev-count').innerText.endsWith('of 10 questions')")
    assert "only metrics that need no judge" in page.inner_text("#eval-judge") and not page.faults


def test_a_link_brings_everything_back(visit):
    page = visit("#tab=eval&run=heldout&vs=older&kind=number&sort=order&outcome=wrong-plain&metric=key_facts&q=many")
    page.locator("#eval-questions tr:visible a").first.click()
    id_, count = page.locator("#eval-detail [data-id]").get_attribute("data-id"), page.inner_text(".ev-count")
    page.click("#eval-copy")
    again = visit(page.input_value("#eval-link"))
    assert again.locator("#eval-detail [data-id]").get_attribute("data-id") == id_
    assert again.inner_text(".ev-count") == count != "40 of 40 questions"
    for name, value in (("kind", "number"), ("sort", "order"), ("outcome", "wrong-plain"), ("metric", "key_facts"),
                        ("document", ""), ("q", "many"), ("vs", "older")):
        assert again.input_value(f"#eval-{name}") == value
    link = page.locator("#eval-questions tr:visible a").first.get_attribute("href")
    assert visit(link).locator("#eval-detail [data-id]").get_attribute("data-id") in link
    assert not page.faults and not again.faults


def test_nonsense_in_a_link_is_harmless(visit):
    page = visit("#tab=eval&run=../../etc&vs=<img src=x onerror=alert(1)>&id=<script>&kind=x&sort=y&metric=z&q=%00")
    assert "There is no run ../../etc." in page.inner_text("#eval-state")
    assert not page.locator("img, #eval-detail section").count() and not page.faults
    visit("#tab=nothing&ask=__proto__&id=constructor&outcome=toString&doc=constructor", drawn="#play")


def test_hostile_answers_stay_text(visit, results):
    id_ = json.loads((results / "heldout" / "samples.jsonl").read_text().splitlines()[0])["id"]
    page = visit(f"#tab=eval&id={id_}", drawn=f'#eval-detail [data-id="{id_}"]')
    assert "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} {{value}}" in page.inner_text(
        "#eval-detail .ev-answer.plain")
    assert not page.locator("#eval-detail img, #eval-detail script").count() and not page.faults


def test_recorded_answers_play_at_their_pace_and_end_whole(visit):
    page = visit("", drawn="#play-columns .ev-answer")
    whole = page.locator("#play-columns .ev-text").all_inner_texts()
    page.select_option("#play-pace", "4")
    page.click("#play")
    page.wait_for_function("""() => [...document.querySelectorAll('#play-columns.playing .ev-text')]
        .some(t => t.innerText.length > 3)""", polling=20)
    begun = page.evaluate("[...document.querySelectorAll('#play-columns .ev-text')].map(t => t.innerText)")
    assert begun != whole and len(begun) == 3
    page.wait_for_selector("#play-columns.told", timeout=60_000)
    assert page.locator("#play-columns .ev-text").all_inner_texts() == whole
    page.click("#play")
    page.wait_for_selector("#play-columns.playing")
    page.click("#play")  # stop shows the whole answers at once
    page.wait_for_selector("#play-columns.told", timeout=1000)
    assert page.locator("#play-columns .ev-text").all_inner_texts() == whole
    before = page.input_value("#play-question")
    page.click("#play-another")
    assert page.input_value("#play-question") != before and not page.faults


def test_downloads(visit, results):
    page = visit("#tab=eval")
    lines = (results / "heldout" / "samples.jsonl").read_text().splitlines()
    with page.expect_download() as download:
        page.click("#eval-csv")
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(lines) == 120
    with page.expect_download() as download:
        page.click("#eval-json")
    assert len(json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["answers"]) == 120


def test_tabs_by_keyboard_and_documents_of_the_corpus(visit):
    page = visit("#tab=ask", drawn="#play-columns .ev-answer")
    page.focus("#to-ask")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-eval").is_visible() and not page.locator("#tab-ask").is_visible()
    page.click("#to-corpus")
    page.locator("#corpus-list a[data-doc='lora']").first.click()
    page.wait_for_selector('#corpus-view .doc-view[data-doc="lora"]')
    assert "doc=lora" in page.evaluate("location.hash") and not page.faults


def test_it_reads_on_dark_and_on_a_phone(visit):
    page = visit("#tab=eval&vs=older&id=lora-06", width=390, height=844, is_mobile=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    fill, paper = page.evaluate("""() => [getComputedStyle(document.querySelector('.fig .note')).fill,
        getComputedStyle(document.body).backgroundColor]""")
    assert fill == "rgb(232, 235, 240)" and paper == "rgb(17, 21, 27)"
