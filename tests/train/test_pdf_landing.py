"""The optional provider against a stand-in of its server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.train import pdf_pages
from train import pdf, pdf_landing
from train.pdf_landing import read_html

TABLE = """<table id="0-1"><tr><td id="0-2" rowspan="2">Model</td><td id="0-3" colspan="2">AIME 2024</td></tr>
<tr><td>pass@1</td><td>cons@64</td></tr><tr><td>R1 &amp; co</td><td>79.8</td><td>-</td></tr></table>"""
CHUNKS = [
    ("text", "# A Paper by the Service\n\nAda Muster"),
    ("marginalia", "Journal of Tests 7"),
    ("text", "## Abstract\n\nThe sentence begins on this page and"),
    ("figure", "<::figure: A chart with bars that nobody asked for.::>"),
    ("text", "goes on behind a figure."),
    ("text", "## 1. Results\n\nTable 3 | The numbers of the paper."),
    ("table", TABLE),
    ("text", "## References\n\nA. Author. 2020."),
]


@pytest.fixture
def service(monkeypatch):
    """A server in place of Landing AI's; `answer` is (status, body or None for the chunks above)."""
    pytest.importorskip("landingai_ade")
    state = {"answer": (200, None), "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            state["asked"].append((self.path, self.headers["Authorization"], sent))
            code, body = state["answer"]
            first = len(state["asked"]) == 1
            chunks = [{"id": str(i), "type": kind, "markdown": f"<a id='c{i}'></a>\n\n{text}",
                       "grounding": {"page": 0, "box": {"left": 0, "top": 0, "right": 1, "bottom": 1}}}
                      for i, (kind, text) in enumerate(CHUNKS if first else CHUNKS[-1:])]
            data = json.dumps(body or {"chunks": chunks, "markdown": "", "splits": [], "metadata": {
                "credit_usage": 1.0, "duration_ms": 5, "filename": "x.pdf", "job_id": "j", "page_count": 1,
                "failed_pages": []}}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LANDINGAI_ADE_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("VISION_AGENT_API_KEY", "test-key")
    yield state
    server.shutdown()
    server.server_close()


def run(tmp_path):
    path = pdf_pages.two_columns(tmp_path / "paper.pdf")
    return pdf.main([str(path), "--out", str(tmp_path), "--provider", "landingai"])


def test_chunks_become_the_same_markdown(tmp_path, service):
    assert run(tmp_path) == 0
    text = (tmp_path / "paper.md").read_text().partition("\n---\n")[2]
    assert text == """# A Paper by the Service

## Abstract

The sentence begins on this page and goes on behind a figure.

## 1 Results

Table 3: The numbers of the paper.

| Model | AIME 2024 pass@1 | AIME 2024 cons@64 |
|---|---|---|
| R1 & co | 79.8 | - |
"""
    (path, key, sent), = service["asked"]
    assert path == "/v1/ade/parse" and key == "Bearer test-key" and b"%PDF-" in sent


def test_long_files_are_sent_in_parts(tmp_path, service, monkeypatch, capsys):
    monkeypatch.setattr(pdf_landing, "PART_PAGES", 2)
    assert run(tmp_path) == 0
    assert len(service["asked"]) == 2 and "sending pages 3 to 3 of 3" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "words"), [
    (401, "refused the key"), (402, "answer 402"), (422, "answer 422")])
def test_refusals_are_sentences(tmp_path, service, capsys, code, words):
    service["answer"] = code, {"message": "no"}
    assert run(tmp_path) == 1
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and "test-key" not in said


def test_no_server_is_a_sentence(tmp_path, service, monkeypatch, capsys):
    monkeypatch.setenv("LANDINGAI_ADE_BASE_URL", "http://127.0.0.1:9")
    assert run(tmp_path) == 1
    assert "could not be reached" in capsys.readouterr().err


def test_without_key_or_package(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("VISION_AGENT_API_KEY", raising=False)
    assert run(tmp_path) == 2
    assert "VISION_AGENT_API_KEY is not set" in capsys.readouterr().err
    monkeypatch.setenv("VISION_AGENT_API_KEY", "k")
    monkeypatch.setattr(pdf_landing.importlib.util, "find_spec", lambda name: None)
    assert run(tmp_path) == 2
    assert "pip install landingai-ade==" in capsys.readouterr().err


def test_html_tables():
    assert read_html(TABLE) == (("Model", "AIME 2024 pass@1", "AIME 2024 cons@64"), ("R1 & co", "79.8", "-"))
    assert read_html("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2<br>3</td></tr></table>") == (
        ("a", "b"), ("1", "2 3"))
    assert read_html("<table></table>") == ()
