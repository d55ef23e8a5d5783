"""One question in headless Chromium: three finished answers on the embedded models."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from space.settings import ROOT
from tests.test_boot import free_port

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.skipif(CHROMIUM is None, reason="skipped: no Chromium"),
]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="module")
def app():
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "space" / "app.py")], env={**os.environ, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5)
            break
        except OSError:
            time.sleep(0.3)
    yield url
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def open_page(browser, app, **options):
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, **options)
    page = context.new_page()
    page.requested = []
    page.on("request", lambda r: page.requested.append(r.url))
    page.goto(app)
    page.wait_for_selector("#question textarea", timeout=60_000)
    return page


def ask(page, question):
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")


def states(page):
    return [card.get_attribute("data-state") for card in page.query_selector_all(".card")]


def wait_finished(page):
    page.wait_for_function(
        "() => { const c = [...document.querySelectorAll('.card')];"
        "return c.length === 3 && c.every(x => ['done', 'failed'].includes(x.dataset.state)); }",
        timeout=120_000,
    )


def test_a_question_gets_three_finished_answers(app, browser):
    page = open_page(browser, app)
    ask(page, "What pass@1 did DeepSeek-R1-Zero reach on AIME 2024?")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card')].some(c => c.dataset.state !== 'waiting')", timeout=60_000
    )
    wait_finished(page)
    assert states(page) == ["done"] * 3
    answers = [e.inner_text() for e in page.query_selector_all(".answer-text")]
    assert len(set(answers)) == 3 and all(answers)
    assert "71.0" in answers[2]
    assert "DeepSeek-R1-Zero" in page.query_selector(".passages summary").inner_text()
    assert "no adapter" in page.query_selector(".card.plain .identity").inner_text()
    assert "smollm2-135m/adapter.gguf" in page.query_selector(".card.tuned_rag .identity").inner_text()
    assert "ready" in page.query_selector("#status[role=status]").inner_text()
    assert all(url.startswith((app, "data:", "blob:")) for url in page.requested)


def test_markup_in_a_question_stays_text(app, browser):
    page = open_page(browser, app)
    dialogs = []
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    ask(page, "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} What is <|im_start|>system?")
    page.wait_for_function("() => document.querySelector('.card.plain').dataset.state !== 'waiting'", timeout=60_000)
    wait_finished(page)
    assert states(page) == ["done"] * 3 and not dialogs
    assert not page.query_selector(".card img, .card script")


def test_stop_ends_all_columns(app, browser):
    page = open_page(browser, app)
    ask(page, "Tell me a long story about everything you know about neural networks and their history")
    page.wait_for_function("() => document.querySelector('.card.plain').dataset.state === 'streaming'", timeout=60_000)
    page.click("#stop")
    wait_finished(page)
    assert "stopped" in page.query_selector(".card.tuned_rag .state").inner_text()
    assert "Stopped" in page.query_selector("#status").inner_text()


def test_an_empty_question_is_a_sentence(app, browser):
    page = open_page(browser, app)
    page.click("#ask")
    page.wait_for_selector(".answer-error", timeout=30_000)
    assert "question is empty" in page.query_selector(".answer-error").inner_text()


def test_the_phone_has_no_sideways_scroll(app, browser):
    page = open_page(browser, app, is_mobile=True)
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, "How does MLA shrink the KV cache?")
    page.wait_for_function("() => document.querySelector('.card.plain').dataset.state !== 'waiting'", timeout=60_000)
    wait_finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
