"""A browser, and apps to look at: the compare tab with a fake engine, served inside the test process."""

import shutil
import urllib.request

import pytest

from space import app, parts
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


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open pages in their own contexts; they are closed after the test."""
    contexts = []

    def visit(url, width=1440, height=1000, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.errors = []
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.goto(url)
        page.wait_for_selector("#question textarea", timeout=60_000)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def fake():
    """The engine of the app of `served`; tests set its replies."""
    return FakeEngine()


@pytest.fixture(scope="module")
def served(fake):
    """The address of the app with the fake engine."""
    patch = pytest.MonkeyPatch()
    patch.setattr(parts, "load_engine", lambda: fake)
    patch.setattr(parts, "load_retriever", FakeRetriever)
    page = app.build()
    _, url, _ = page.launch(prevent_thread_lock=True, server_name="127.0.0.1", server_port=None, quiet=True,
                            theme=app.theme(), css_paths=app.STYLES, ssr_mode=False, footer_links=[])
    urllib.request.urlopen(url, timeout=20)
    yield url
    page.close()
    patch.undo()
