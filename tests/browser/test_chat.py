"""The app as a Space starts it, with the embedded models, in headless Chromium: what only the real thing shows."""

import os
import subprocess
import sys
import time
import urllib.request

import pytest

from space.settings import ROOT
from tests.browser.test_compare import ask, finished, texts
from tests.test_boot import free_port

pytestmark = [pytest.mark.browser, pytest.mark.model]


@pytest.fixture(scope="module")
def real_app():
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "space" / "app.py")], env={**os.environ, "PORT": str(port)})
    url = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5)
            break
        except OSError:
            time.sleep(0.3)
    yield url
    process.terminate()
    process.wait(20)


def test_a_question_gets_three_answers_of_the_embedded_models(real_app, visit):
    page = visit(real_app)
    question = "What pass@1 did DeepSeek-R1-Zero reach on AIME 2024, please?"
    ask(page, question, wait=False)
    finished(page, question)
    assert [c.get_attribute("data-state") for c in page.query_selector_all(".card")] == ["done"] * 3
    assert len(set(texts(page))) == 3 and all(texts(page))
    assert "71.0" in texts(page)[2]
    assert "DeepSeek-R1-Zero" in page.inner_text(".passages summary")
    assert "no adapter" in page.inner_text(".card.plain .identity")
    assert "smollm2-135m/adapter.gguf" in page.inner_text(".card.tuned_rag .identity")
    assert all(url.startswith((real_app, "data:", "blob:")) for url in page.requested)


def test_stop_ends_answers_of_the_embedded_models(real_app, visit):
    page = visit(real_app)
    question = "Tell me a long story about everything you know about neural networks and their history"
    ask(page, question, wait=False)
    page.wait_for_selector(".card.plain[data-state=streaming]")
    page.click("#stop")
    finished(page, question)
    assert "stopped" in page.inner_text(".card.tuned_rag .state") and "Stopped" in page.inner_text("#status")
