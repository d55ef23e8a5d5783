"""A browser, and the app to look at: with a fake engine and made runs, served inside the test process."""

import shutil
import urllib.request

import pytest

from space import app, parts
from space.launch import launch_settings
from space.settings import load_settings
from tests import made_results
from tests.fakes import FakeEngine, FakeRetriever

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
PATIENCE_MS = 60_000


@pytest.fixture(scope="package")
def browser():
    """Closed after the last browser test: Playwright keeps an event loop running in this thread, in which
    `asyncio.run` of other tests would fail."""
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open pages in their own contexts; they are closed after the test, and none may have had an error."""
    contexts, errors = [], []

    def visit(url, width=1440, height=1000, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.requested = []
        page.on("request", lambda r: page.requested.append(r.url))
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(url)
        page.wait_for_selector("#question textarea")
        page.wait_for_selector(".models-line.ready", state="attached")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="module")
def fake():
    """The engine of the app of `served`; tests set its replies."""
    return FakeEngine()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results folder of the app of `served`: a made run of the first held-out questions."""
    folder = tmp_path_factory.mktemp("results")
    made_results.make(folder, limit=40)
    return folder


@pytest.fixture(scope="module")
def served(fake, results, tmp_path_factory):
    """The address of the app with the fake engine, the runs of `results`, and no votes."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RESULTS_DIR", str(results))
    patch.setenv("VOTES_DIR", str(tmp_path_factory.mktemp("votes")))
    patch.setattr(parts, "load_engine", lambda: fake)
    patch.setattr(parts, "load_retriever", FakeRetriever)
    load_settings.cache_clear()
    page = app.build()
    settings = launch_settings(page, load_settings()) | {"server_port": None}
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, theme=app.theme(), css_paths=app.STYLES, **settings)
    urllib.request.urlopen(url, timeout=60)
    yield url
    page.close()
    patch.undo()
    load_settings.cache_clear()
