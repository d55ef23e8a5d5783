"""The compare tab in headless Chromium, on a fake engine: what is tested is the page, not the models."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from space import recorded
from space.settings import load_settings
from tests.browser.conftest import PATIENCE_MS

pytestmark = pytest.mark.browser
REPLIES = {
    "plain": "Latent attention is a model with 42 layers. It is big.",
    "tuned": "MLA shrinks the KV cache by 12.5%. It is fast.",
    "tuned_rag": "MLA shrinks the KV cache by 93.3%.",
}
ALL_DONE = """(question) => {
  const cards = [...document.querySelectorAll('.card')];
  return document.querySelector('.asked h2')?.textContent === question && cards.length === 3
    && cards.every(c => ['done', 'failed'].includes(c.dataset.state)) && !document.querySelector('#ask').disabled; }"""


@pytest.fixture(autouse=True)
def replies(fake):
    fake.replies, fake.delay_s = dict(REPLIES), 0.0
    fake.requests.clear()
    return fake


def ask(page, question, wait=True):
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")
    if wait:
        finished(page, question)


def finished(page, question):
    page.wait_for_function(ALL_DONE, arg=question, timeout=PATIENCE_MS)


def streaming(page, question):
    """Wait until an answer to the question is on its way."""
    page.wait_for_function(
        "(q) => document.querySelector('.asked h2')?.textContent === q"
        " && document.querySelector('.card.plain .answer-text')",
        arg=question, timeout=PATIENCE_MS)


def texts(page):
    return [e.inner_text() for e in page.query_selector_all(".answer-text")]


def says(page, sentence):
    """Wait until the status line says something."""
    page.wait_for_function("(text) => document.querySelector('#status').innerText.includes(text)", arg=sentence)


def fill_number(page, selector, value):
    """Type a number and leave the field. The drawer builds its fields when it opens and sets their first value a
    moment later, over what a robot has typed by then; so it is typed until it stays."""
    for _ in range(20):
        page.fill(selector, value)
        page.press(selector, "Tab")
        page.wait_for_timeout(150)
        if float(page.input_value(selector)) == float(value):
            return
    raise AssertionError(f"{selector} does not keep {value}")


def status(page):
    return page.inner_text("#status")


def violations(page):
    """What axe-core finds against WCAG 2 A and AA, in short."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response["violations"]
    return [(v["id"], [n["target"] for n in v["nodes"]][:4]) for v in found]


def test_a_question_gets_three_answers_with_their_evidence(served, visit, fake):
    page = visit(served)
    ask(page, "What is MLA?")
    assert texts(page) == list(REPLIES.values())
    says(page, "All three answers are ready.")
    assert page.get_attribute("#status", "aria-live") == "polite"
    assert "Fake-1M Q4_1" in page.inner_text(".card.plain .identity")
    assert "MLA shrinks the KV cache by 93.3%" in page.inner_text("#read-1")
    assert page.query_selector(".card.tuned .sentence.s2, .card.tuned .sentence.s3")
    assert page.inner_text(".card.tuned u.absent") == "12.5" and not page.query_selector(".card.tuned_rag u.absent")
    assert all(url.startswith((served, "data:", "blob:")) for url in page.requested)


def test_the_first_sight_is_a_recorded_comparison_in_the_page_itself(served, visit, fake):
    first = recorded.first()
    html = urllib.request.urlopen(served, timeout=30).read().decode()
    assert json.dumps(first.question)[1:-1] in html and "recorded on" in html
    page = visit(served)
    assert page.inner_text(".asked h2") == first.question
    assert "recorded on" in page.inner_text("#asked") and "heldout/samples.jsonl" in page.inner_text("#asked")
    assert "held out" in page.inner_text("#asked") and "Reference answer" in page.inner_text("#below")
    assert page.query_selector(".facts td") and not fake.requests


def test_an_example_is_answered_from_the_record_and_can_be_run_live(served, visit, fake):
    page = visit(served)
    question = recorded.first().question
    page.click(f'.chip[data-question="{question}"]')
    says(page, "Recorded answers")
    assert page.input_value("#question textarea") == question and not fake.requests
    page.click("#live")
    says(page, "All three answers")
    assert texts(page) == list(REPLIES.values()) and "recorded on" not in page.inner_text("#asked")
    assert page.is_hidden("#live") and "Reference answer" in page.inner_text("#below")


def test_surprise_me_asks_a_shipped_question(served, visit):
    page = visit(served)
    before = page.inner_text(".asked h2")
    page.click('.chip[data-question=""]')
    page.wait_for_function("(q) => document.querySelector('.asked h2').innerText !== q", arg=before)
    finished(page, page.inner_text(".asked h2"))
    assert page.input_value("#question textarea") == page.inner_text(".asked h2")


def test_stop_ends_all_columns(served, visit, fake):
    fake.delay_s = 0.1
    fake.replies = {key: "word " * 200 for key in REPLIES}
    page = visit(served)
    ask(page, "Tell me everything", wait=False)
    streaming(page, "Tell me everything")
    page.click("#stop")
    finished(page, "Tell me everything")
    says(page, "Stopped.")
    assert [e.inner_text() for e in page.query_selector_all(".card .state")] == ["stopped"] * 3


def test_one_column_can_be_stopped_and_asked_again(served, visit, fake):
    fake.delay_s = 0.1
    fake.replies["plain"] = "word " * 200
    page = visit(served)
    ask(page, "What is MLA?", wait=False)
    streaming(page, "What is MLA?")
    page.click("#stop-0")
    finished(page, "What is MLA?")
    assert page.inner_text(".card.plain .state") == "stopped"
    assert [page.inner_text(f".card.{k} .state") for k in ("tuned", "tuned_rag")] == ["finished"] * 2
    fake.replies["plain"], fake.delay_s = "Another answer.", 0.0
    fake.requests.clear()
    page.click("#again-0")
    page.wait_for_function("() => document.querySelector('.card.plain .answer-text')?.innerText === 'Another answer.'")
    says(page, "answered again")
    assert [r.variant.key for r in fake.requests] == ["plain"] and texts(page)[1:] == list(REPLIES.values())[1:]


def test_a_follow_up_reads_the_question_before(served, visit, fake):
    page = visit(served)
    ask(page, "What did R1-Zero reach on AIME?")
    ask(page, "and V3?")
    assert "read as: What did R1-Zero reach on AIME? and V3?" in page.inner_text("#asked")
    page.fill("#question textarea", "Tell me of MATH-500")
    page.click("#follow")
    finished(page, "Tell me of MATH-500")
    assert "What did R1-Zero reach on AIME? and V3? Tell me of MATH-500" in page.inner_text("#asked")


def test_what_cannot_be_asked_leaves_the_answers(served, visit):
    page = visit(served)
    ask(page, "What is MLA?")
    page.fill("#question textarea", "???")
    page.click("#ask")
    says(page, "no words")
    assert texts(page) == list(REPLIES.values()) and page.is_enabled("#ask")


def test_markup_stays_text(served, visit, fake):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)}"
    fake.replies = {key: evil for key in REPLIES}
    page = visit(served)
    dialogs = []
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    ask(page, evil)
    assert evil in texts(page)[0] and not dialogs
    assert not page.query_selector(".card img, .card script, #asked img, #below img")


def test_the_blind_test_names_the_columns_after_the_vote(served, visit):
    page = visit(served)
    page.check("#blind input")
    ask(page, "What is the blind one?", wait=False)
    page.wait_for_selector("#vote-3")
    shown = page.inner_text("#columns") + status(page) + page.inner_text("#asked") + page.inner_text("#below")
    assert not any(word in shown for word in ("Plain", "Fine-tuned", "RAG", "tok/s", "sha256"))
    assert not page.query_selector(".sentence") and not page.query_selector(".card.plain, .card.tuned")
    assert [page.inner_text(f"#card-{n} h3") for n in range(3)] == ["Answer A", "Answer B", "Answer C"]
    assert page.is_hidden("#view") and page.is_hidden("#again-0") and page.is_hidden("#link-copy")
    page.click("#vote-1")
    page.wait_for_selector(".card .voted")
    chosen = page.get_attribute("#card-1 .card", "data-variant")
    assert page.inner_text("#card-1 h3").startswith("B ") and "your vote" in page.inner_text("#card-1")
    says(page, "You chose")
    assert page.query_selector(".card .sentence") and page.is_hidden("#vote-0")
    lines = [json.loads(line) for f in Path(load_settings().votes).glob("votes-*.jsonl") for line in f.open()]
    assert [line["choice"] for line in lines] == [chosen] and "the blind one" not in json.dumps(lines)


def test_a_link_brings_a_comparison_back(served, visit, fake):
    page = visit(served, permissions=["clipboard-read", "clipboard-write"])
    page.click("#settings button")
    fill_number(page, "#temperature input[type=number]", "0.7")
    fill_number(page, "#seed input", "11")
    ask(page, "What is MLA & why?")
    page.click("#link-copy")
    page.wait_for_selector("#link textarea, #link input")
    link = page.input_value("#link textarea, #link input")
    page.wait_for_function("(link) => navigator.clipboard.readText().then(text => text === link)", arg=link)
    assert link.startswith(served) and "tab=compare" in link
    fake.requests.clear()
    other = visit(link)
    finished(other, "What is MLA & why?")
    assert other.input_value("#question textarea") == "What is MLA & why?"
    sampling = fake.requests[0].sampling
    assert (sampling.temperature, sampling.seed, sampling.max_tokens) == (0.7, 11, 100)
    assert texts(other) == texts(page)
    other.click("#settings button")
    assert float(other.input_value("#temperature input[type=number]")) == 0.7


def test_a_comparison_is_saved_as_a_file(served, visit):
    page = visit(served, accept_downloads=True)
    ask(page, "What is MLA?")
    for button, name, wanted in (("#save-markdown", "what-is-mla.md", "## Fine-tuned + RAG"),
                                 ("#save-html", "what-is-mla.html", '<section class="card tuned_rag"')):
        with page.expect_download() as download:
            page.click(button)
        assert download.value.suggested_filename == name
        assert wanted in Path(download.value.path()).read_text(encoding="utf-8")


def test_answers_can_be_compared_word_by_word(served, visit):
    page = visit(served)
    ask(page, "What is MLA?")
    assert not page.is_visible(".card.tuned .answer-diff")
    page.check("#view input >> nth=1")
    page.wait_for_selector(".card.tuned .answer-diff ins")
    assert page.query_selector(".card.tuned .answer-diff del") and not page.is_visible(".card.tuned .answer-text")
    assert page.is_visible(".card.plain .answer-text")


def test_two_visitors_do_not_meet(served, visit, fake):
    fake.delay_s = 0.05
    fake.replies = {key: "word " * 25 for key in REPLIES}
    ann, bob = visit(served), visit(served)
    ask(ann, "Ann asks this", wait=False)
    ask(bob, "Bob asks that", wait=False)
    streaming(ann, "Ann asks this")
    streaming(bob, "Bob asks that")
    ann.click("#stop")
    finished(ann, "Ann asks this")
    finished(bob, "Bob asks that")
    says(ann, "Stopped.")
    says(bob, "All three answers are ready.")
    assert ann.inner_text(".asked h2") == "Ann asks this" and bob.inner_text(".asked h2") == "Bob asks that"


def test_everything_works_from_the_keyboard(served, visit, fake):
    page = visit(served)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.closest('#question') !== null")
    page.keyboard.type("What is MLA? a/b")
    page.keyboard.press("Enter")
    finished(page, "What is MLA? a/b")
    page.focus("#question textarea")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if "sentence" in reached[-1]:
            break
    assert {"ask", "follow", "live"} - set(reached) == {"live"} and any("chip" in r for r in reached)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert "pointed" in page.get_attribute("#read-1", "class")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.closest('#read-1') !== null")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_swipes_through_the_cards(served, visit, scheme):
    page = visit(served, width=390, height=844, is_mobile=True, has_touch=True, color_scheme=scheme)
    ask(page, "What is MLA?")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = page.evaluate("[...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().toJSON())")
    assert len({round(b["top"]) for b in boxes}) == 1 and boxes[0]["width"] > 270
    page.wait_for_function("() => document.getElementById('asked-row').getBoundingClientRect().top < innerHeight * .75")
    whole, shown = page.evaluate("['scrollWidth', 'clientWidth'].map(w => document.getElementById('columns')[w])")
    assert whole > 2 * shown


def test_dark_is_drawn_dark(served, visit):
    page = visit(served, color_scheme="dark")
    paper = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('.answer p')).color")
    assert max(map(int, re.findall(r"\d+", paper))) < 60 < 180 < min(map(int, re.findall(r"\d+", ink)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(served, visit, scheme):
    page = visit(served, color_scheme=scheme)
    assert violations(page) == []
    page.click("#settings button")
    page.click(".card.tuned_rag .more summary")
    ask(page, "What is MLA?")
    page.click("#link-copy")
    assert violations(page) == []
    page.check("#view input >> nth=1")
    assert violations(page) == []
    page.check("#blind input")
    ask(page, "Which one is blind?", wait=False)
    page.wait_for_selector("#vote-3")
    assert violations(page) == []


def test_nothing_jumps_while_answers_arrive(served, visit, fake):
    """Chromium's own measure of layout shifts: 0.1 and less counts as good."""
    fake.delay_s = 0.03
    page = visit(served)
    page.evaluate("""window.shifts = 0; new PerformanceObserver(list => {
        for (const entry of list.getEntries()) window.shifts += entry.value; }).observe({type: 'layout-shift'});""")
    ask(page, "What is MLA?")
    assert page.evaluate("window.shifts") < 0.1
