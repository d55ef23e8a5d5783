"""The evaluation tab in headless Chromium, on runs of realistic shape; no model is loaded."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from space import links
from tests import made_results

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_results.make_three(folder)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text('{"schema": 1, "run_sha256": "0"}')
    return folder


@pytest.fixture
def visit(browser, served):
    contexts = []

    def visit(query, width=1440, height=1000, drawn="#eval-facts dl", **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.faults = []
        page.on("pageerror", lambda e: page.faults.append(str(e)))
        page.on("dialog", lambda d: (page.faults.append(d.message), d.dismiss()))
        page.on("request", lambda r: r.url.startswith((served, "data:", "blob:")) or page.faults.append(r.url))
        page.goto(query if query.startswith("http") else f"{served}{query}")
        page.wait_for_selector(drawn, timeout=60_000)
        return page

    yield visit
    for context in contexts:
        context.close()


def choose(page, name, option):
    page.click(f"#eval-{name} input")
    page.get_by_role("option", name=option, exact=True).first.click()


def counted(page, text):
    page.wait_for_function("t => document.querySelector('.ev-count')?.innerText === t", arg=text, timeout=20_000)


def first_question(page):
    return page.locator("#eval-questions tbody tr").first.get_attribute("data-question")


def opened(page, id_):
    page.wait_for_selector(f'#eval-detail [data-id="{id_}"]', timeout=20_000)


def test_the_tab_draws_when_it_is_opened_and_hands_out_its_files(visit, results):
    page = visit("", drawn="#tab-ask, #question")
    page.get_by_role("tab", name="Evaluation").first.click()
    page.wait_for_selector("#eval-facts dl", timeout=20_000)
    assert page.input_value("#eval-run input").startswith("heldout · 40 held-out questions")
    assert "run.json of broken was changed" in page.inner_text("#eval-state")
    assert "SmolLM2-135M-Instruct Q4_1" in page.inner_text("#eval-facts")
    page.wait_for_selector("#eval-bars .js-plotly-plot .main-svg", timeout=60_000)
    bars = page.evaluate("document.querySelector('#eval-bars .js-plotly-plot').data.map(t => [t.name, t.x.length])")
    assert [name for name, _ in bars] == ["Plain", "Fine-tuned", "Fine-tuned + RAG"]
    page.get_by_role("tab", name="Compare").first.click()
    page.get_by_role("tab", name="Evaluation").first.click()
    choose(page, "metric", "Key facts all there")
    page.wait_for_function("() => document.querySelector('#eval-spread .js-plotly-plot')?.data?.[0].type === 'bar'")
    assert "Key facts all there, kind of question" in page.inner_html("#eval-breakdown")
    lines = (results / "heldout" / "samples.jsonl").read_text().splitlines()
    with page.expect_download() as download:
        page.click("#eval-csv")
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(lines) == 120
    with page.expect_download() as download:
        page.click("#eval-json")
    assert len(json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["answers"]) == 120
    assert not page.faults


def test_filter_sort_open_and_go_through_the_list(visit):
    page = visit("?tab=eval")
    counted(page, "40 of 40 questions")
    divided = first_question(page)
    choose(page, "sort", "order of the run")
    page.wait_for_function("id => document.querySelector('#eval-questions tr[data-question]').dataset.question !== id",
                           arg=divided)
    choose(page, "kind", "number")
    page.wait_for_function("() => /^\\d+ of 40/.test(document.querySelector('.ev-count').innerText) && "
                           "!document.querySelector('.ev-count').innerText.startsWith('40')")
    kinds = page.locator("#eval-questions tbody small").all_inner_texts()
    assert kinds and all(k.endswith("number") for k in kinds)
    ids = [r.get_attribute("data-question") for r in page.locator("#eval-questions tbody tr").all()]
    page.locator("#eval-questions tbody tr").nth(1).click()
    opened(page, ids[1])
    assert page.locator("#eval-detail .ev-answer").count() == 3
    page.wait_for_selector(f'#eval-questions tr[data-question="{ids[1]}"][aria-current]')
    page.click("#eval-next")
    opened(page, ids[2])
    page.click("#eval-previous")
    opened(page, ids[1])
    page.click("#eval-previous")
    page.click("#eval-previous")
    opened(page, ids[-1])
    assert f"{len(ids)} of {len(ids)} in the list" in page.inner_text("#eval-detail")
    page.fill("#eval-q input, #eval-q textarea", "zzqy")
    counted(page, "0 of 40 questions")
    assert "No question fits" in page.inner_text("#eval-questions") and not page.faults


def test_another_run_keeps_what_it_can(visit):
    page = visit("?tab=eval&kind=number&vs=older")
    page.wait_for_selector("#eval-against table")
    assert "heldout against older" in page.inner_text("#eval-against")
    option = page.input_value("#eval-vs input")
    choose(page, "vs", "no other run")
    page.wait_for_function("() => !document.querySelector('#eval-against table')")
    choose(page, "run", option)
    page.wait_for_function("() => document.querySelector('.ev-count').innerText.endsWith('of 30 questions')")
    assert page.input_value("#eval-kind input") == "number"
    choose(page, "run", f"paraphrase · 10 paraphrased training questions · {option.rsplit(' · ', 1)[1]}")
    page.wait_for_function("() => document.querySelector('.ev-count').innerText.endsWith('of 10 questions')")
    assert "only metrics that need no judge" in page.inner_text("#eval-judge") and not page.faults


def test_a_link_brings_everything_back_and_nothing_draws_over_it(visit, served):
    page = visit("?tab=eval&run=heldout&vs=older&kind=number&sort=order&outcome=wrong-plain&metric=key_facts&q=many")
    page.wait_for_selector("#eval-questions tbody tr")
    id_ = first_question(page)
    page.locator("#eval-questions tbody tr a").first.click()
    opened(page, id_)
    count = page.inner_text(".ev-count")
    page.click("#eval-copy")
    page.wait_for_function("() => document.querySelector('#eval-link textarea, #eval-link input')?.value")
    link = page.input_value("#eval-link textarea, #eval-link input")
    assert link == links.page_link({"tab": "eval", "run": "heldout", "vs": "older", "metric": "key_facts", "q": "many",
                                    "kind": "number", "outcome": "wrong-plain", "sort": "order", "id": id_},
                                   {"origin": served.rstrip("/")})
    again = visit(link)
    opened(again, id_)
    again.wait_for_timeout(1500)
    assert again.inner_text(".ev-count") == count and count != "40 of 40 questions"
    for name, wanted in (("kind", "number"), ("sort", "order of the run"), ("outcome", "Plain not right"),
                         ("metric", "Key facts all there"), ("document", "any document")):
        assert again.input_value(f"#eval-{name} input") == wanted
    assert again.input_value("#eval-q input, #eval-q textarea") == "many"
    assert "heldout against older" in again.inner_text("#eval-against") and not again.faults


def test_nonsense_in_a_link_is_harmless(visit):
    page = visit("?tab=eval&run=../../etc&vs=<img src=x onerror=alert(1)>&id=<script>&kind=x&sort=y&metric=z&q=%00")
    assert "There is no run ../../etc." in page.inner_text("#eval-state")
    page.wait_for_timeout(500)
    assert not page.locator("#tab-eval img, #eval-detail section").count() and not page.faults


def test_hostile_answers_stay_text(visit, results):
    id_ = json.loads((results / "heldout" / "samples.jsonl").read_text().splitlines()[0])["id"]
    page = visit(f"?tab=eval&id={id_}")
    opened(page, id_)
    assert "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} {{value}}" in page.inner_text(
        "#eval-detail .ev-answer.plain")
    assert not page.locator("#eval-detail img, #eval-detail script").count() and not page.faults


def test_dark_reads_as_well(visit):
    page = visit("?tab=eval&id=lora-06", color_scheme="dark")
    page.wait_for_selector("#eval-bars .main-svg .annotation-text", timeout=60_000)
    fills = page.evaluate("""() => ['#eval-bars .annotation-text', '#eval-bars .xtick text'].map(
        s => getComputedStyle(document.querySelector(s)).fill)""")
    assert set(fills) == {"rgb(232, 235, 240)"}
    papers = page.evaluate("""() => ['.ev-facts dl', '.ev-tall table', '#eval-run .secondary-wrap'].map(s => {
        for (let e = document.querySelector(s); e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor;
          if (c !== 'rgba(0, 0, 0, 0)') return c; } })""")
    assert all(max(map(int, re.findall(r"\d+", p)[:3])) < 60 for p in papers)


def test_a_phone_scrolls_tables_not_the_page(visit):
    page = visit("?tab=eval&vs=older&id=lora-06", width=390, height=844, is_mobile=True)
    page.wait_for_selector("#eval-bars .main-svg", timeout=60_000)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.evaluate("[...document.querySelectorAll('.ev-scroll')].map(e => [e.clientWidth, e.scrollWidth])")
    assert all(seen <= 390 for seen, _ in wide) and any(whole > seen for seen, whole in wide)


def test_an_empty_folder_names_the_command_and_a_dropped_run_opens(visit, results, tmp_path):
    kept = [shutil.move(str(p), tmp_path / p.name) for p in results.iterdir()]
    try:
        page = visit("?tab=eval", drawn=".ev-empty")
        assert "python -m eval.run --part heldout" in page.inner_text(".ev-empty .ev-command")
        shutil.copytree(tmp_path / "paraphrase", results / "from-elsewhere")
        page.click("#eval-again")
        page.wait_for_selector("#eval-facts dl")
        counted(page, "10 of 10 questions")
        assert page.input_value("#eval-run input").startswith("from-elsewhere")
        (results / "from-elsewhere" / "samples.jsonl").write_text("cut")
        page.click("#eval-again")
        page.wait_for_function("() => document.querySelector('#eval-state').innerText.includes('samples.jsonl of')")
        assert page.is_visible("#eval-facts dl") and not page.faults
    finally:
        shutil.rmtree(results / "from-elsewhere", ignore_errors=True)
        for path in kept:
            shutil.move(path, results)
