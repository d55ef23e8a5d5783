"""The static page: what is in it, what it may not hold, and its way to a static Space."""

import base64
import gzip
import hashlib
import json
import re
from html import unescape
from xml.etree import ElementTree

import pytest

from eval import export, export_page
from eval.svg import draw, ticks
from space import plots
from space.errors import UserError
from space.eval_files import open_run
from tests import made_results
from tests.hub_client import server  # noqa: F401  (a fixture)
from tests.hub_standin import WRITE_TOKEN, SpaceState

REPO = "ann/results"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_results.make(folder, "older", limit=12, seed=8, better=-0.4)
    made_results.make(folder, "heldout", limit=12)
    return folder


@pytest.fixture(scope="module")
def html(results):
    return export.build(export.opened_runs(results), lambda line: None)


def packed(html, name):
    text = re.search(rf'data-packed="{name}">([^<]*)<', html)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_page_holds_every_run_whole(html, results):
    run = packed(html, "run:heldout")
    rows = [json.loads(line) for line in (results / "heldout" / "samples.jsonl").read_text().splitlines()]
    ids = list(dict.fromkeys(r["id"] for r in rows))
    assert list(run["details"]) == ids == [r["id"] for r in run["rows"]]
    assert len(json.loads(run["json"])["answers"]) == len(rows) and run["csv"].count("\r\n") >= len(rows) + 1
    assert set(run["against"]) == {"older"} and "heldout against older" in run["against"]["older"]
    assert all(set(s["ids"]) == set(ids) for s in run["sorts"].values())
    assert set(run["outcomes"]["right-tuned_rag"]["ids"]) | set(run["outcomes"]["wrong-tuned_rag"]["ids"]) == set(ids)
    assert run["questions"].count("data-question=") == len(ids)


def test_the_figures_state_the_means_of_the_run(html, results):
    opened = open_run(results / "heldout")
    bars = packed(html, "run:heldout")["bars"]
    tree = ElementTree.fromstring(bars)
    told = [t.text for t in tree.iter("title")]
    for mean in opened.run.means:
        metric = next(m for m in opened.run.metrics if m.key == mean.metric)
        if plots.is_share(metric):
            value = "withheld" if mean.withheld else plots.number(mean.mean, metric)
            assert any(plots.label(mean.variant) in t and plots.title(metric) in t and value in t for t in told), mean
    assert len(list(tree.iter("rect"))) == sum(
        plots.is_share(m) for mean in opened.run.means for m in opened.run.metrics if m.key == mean.metric)


def test_nothing_is_asked_of_anyone(html):
    """No address but the links that a reader may follow; the policy forbids the rest."""
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1])
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "connect-src" not in policy
    assert not re.search(r"""<(?:link|img|iframe|script)[^>]*(?:src|href)=|@import|url\(|fetch\(|\bsrc=""", html)
    assert not re.search(r"https?://", script) and len(html.encode()) < 3e6


def test_hostile_text_stays_text(html):
    assert made_results.HOSTILE not in json.dumps(packed(html, "run:heldout")["details"])
    known = re.search(r'id="known">(.*?)</script>', html)[1]
    assert json.loads(known)["first"] == "heldout" and "<" not in known


def test_the_same_runs_give_the_same_bytes(html, results):
    assert export.build(export.opened_runs(results), lambda line: None) == html


def test_the_documents_of_the_corpus_are_there(html):
    documents = packed(html, "corpus")
    assert 'class="doc-view" data-doc="lora"' in documents["lora"] and len(documents) == 26


def test_training_runs_stand_there_with_their_curves(html):
    panel = html[html.index('id="tab-train"'):html.index('id="tab-corpus"')]
    assert 'data-run="smollm2-135m"' in panel and 'aria-label="Loss by step of smollm2-135m"' in panel
    assert panel.count("<polyline") >= 3 and "Recipe as used" in panel


def test_runs_that_cannot_be_exported_are_named(results, tmp_path):
    with pytest.raises(UserError, match="no readable run nothing"):
        export.opened_runs(results, ["nothing"])
    made_results.make(tmp_path, "cut", limit=3)
    (tmp_path / "cut" / "samples.jsonl").write_text("x")
    with pytest.raises(UserError, match="was changed after the run"):
        export.opened_runs(tmp_path)
    assert [o.run.name for o in export.opened_runs(results, ["older"])] == ["older"]


def test_a_page_that_grows_too_large_says_what_to_do(results, monkeypatch):
    monkeypatch.setattr(export, "LARGEST_MB", 0.1)
    with pytest.raises(UserError, match="--runs"):
        export.build(export.opened_runs(results), lambda line: None)


def test_without_runs_it_says_which_command_makes_one(tmp_path):
    html = export.build(export.opened_runs(tmp_path), lambda line: None)
    assert "No evaluation has been run yet" in html and 'data-packed="corpus"' in html


def test_the_command_writes_whole_files_again_and_again(results, tmp_path, monkeypatch, capsys):
    from space.settings import load_settings

    monkeypatch.setenv("RESULTS_DIR", str(results))
    load_settings.cache_clear()
    try:
        for _ in range(2):
            assert export.main(["--out", str(tmp_path / "out"), "--runs", "heldout"]) == 0
        assert export.main(["--out", str(tmp_path / "out"), "--runs", "x"]) == 2
        assert export.main(["--out", str(tmp_path / "out"), "--push", "noname"]) == 2
    finally:
        load_settings.cache_clear()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "index.html"]
    assert "no readable run x" in (said := capsys.readouterr().err) and "whose repository" in said


def test_it_becomes_a_static_space_and_only_changes_travel(server):  # noqa: F811
    files, said = {"index.html": b"<p>1", "README.md": export.FRONT.format(title=export_page.TITLE).encode()}, []
    url = export.push(REPO, files, said.append, server.url, WRITE_TOKEN)
    repo = server.repo(REPO, "space")
    assert url == f"{server.url}/spaces/{REPO}" and repo.space.sdk == "static"
    assert repo.files["index.html"] == b"<p>1" and b"sdk: static" in repo.files["README.md"]
    export.push(REPO, files | {"index.html": b"<p>2"}, said.append, server.url, WRITE_TOKEN)
    assert repo.files["index.html"] == b"<p>2" and "1 files sent, 1 unchanged" in said[-1]


def test_an_app_is_never_replaced_by_the_page(server):  # noqa: F811
    server.add_repo(REPO, {"app.py": b"x"}, kind="space").space = SpaceState(sdk="gradio")
    with pytest.raises(UserError, match="runs an app"):
        export.push(REPO, {"index.html": b"x"}, lambda line: None, server.url, WRITE_TOKEN)
    assert "index.html" not in server.repo(REPO, "space").files


@pytest.mark.parametrize(("low", "high", "count", "wanted"), [
    (0, 1, 6, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.62, 1.51, 6, [0.8, 1.0, 1.2, 1.4]),
    (0, 330, 7, [0, 50, 100, 150, 200, 250, 300]), (-0.1, 0.1, 4, [-0.1, -0.05, 0.0, 0.05, 0.1]), (3, 3, 5, [3.0])])
def test_ticks_are_round_and_inside(low, high, count, wanted):
    assert ticks(low, high, count) == wanted


def test_a_line_a_marker_and_a_note_are_drawn():
    note = {"x": 2, "y": 3, "text": "<b>kept &amp; low</b>", "ay": -30, "xanchor": "right"}
    layout = {"height": 200, "margin": {"t": 10, "b": 30}, "xaxis": {"title": {"text": "step"}}, "yaxis": {},
              "legend": {}, "annotations": [note]}
    data = [{"type": "scatter", "mode": "lines", "name": "train", "x": [1, 2], "y": [1, 3],
             "line": {"color": "#123456"}},
            {"type": "scatter", "mode": "lines+markers", "name": "<dev>", "x": [2], "y": [3], "text": ["epoch 1"],
             "line": {"color": "#654321", "dash": "dot"}, "marker": {"color": "#654321", "symbol": ["star"]}}]
    svg = draw({"data": data, "layout": layout}, "Loss")
    assert "<polyline" in svg and "★<title>epoch 1: 3</title>" in svg and "kept &amp; low" in svg
    assert "&lt;dev&gt;" in svg and "<dev>" not in svg and ElementTree.fromstring(svg).tag == "figure"
