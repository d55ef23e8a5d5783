"""Inputs: arXiv ids, downloads from a stand-in server, and PDFs that cannot be read."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from space.errors import UserError
from tests.train import pdf_pages
from train.pdf_source import arxiv_id, check, locate


@pytest.fixture
def arxiv(tmp_path, monkeypatch):
    """A server in place of arxiv.org; the test sets its answers by path."""
    pages: dict[str, tuple[int, bytes, dict]] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            code, data, headers = pages.get(self.path, (404, b"no such paper", {}))
            self.send_response(code)
            for key, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ARXIV_URL", f"http://127.0.0.1:{server.server_port}/")
    yield pages, asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("item", "paper"), [
    ("2501.12948", "2501.12948"), ("arXiv:2501.12948v1", "2501.12948v1"), ("cs/0112017", "cs/0112017"),
    ("https://arxiv.org/abs/2412.19437", "2412.19437"), ("https://arxiv.org/pdf/2412.19437v2.pdf", "2412.19437v2"),
    ("paper.pdf", ""), ("2501", ""), ("https://example.org/abs/2501.12948", ""),
])
def test_arxiv_ids(item, paper):
    assert arxiv_id(item) == paper


def test_a_paper_is_downloaded_once_and_whole(tmp_path, arxiv):
    pages, asked = arxiv
    data = pdf_pages.grid(tmp_path / "grid.pdf").read_bytes()
    pages["/pdf/2501.12948"] = 200, data, {}
    cache = tmp_path / "cache"
    source = locate("2501.12948", cache)
    assert source.path.read_bytes() == data and source.slug == "arxiv-2501-12948" and source.arxiv == "2501.12948"
    assert locate("arXiv:2501.12948", cache) == source and asked == ["/pdf/2501.12948"]
    assert [p.name for p in cache.iterdir()] == ["2501.12948.pdf"]


@pytest.mark.parametrize(("answer", "words"), [
    (None, "arXiv has no paper 2501.00001"), ((503, b"", {}), "refused 2501.00001"),
    ((200, b"<html>Please wait</html>", {}), "something that is not a PDF"),
    ((200, b"%PDF-1.7 and then", {"Content-Length": "5000"}), "broke off after 17 of 5000 bytes"),
])
def test_bad_answers_are_sentences_and_leave_nothing_behind(tmp_path, arxiv, answer, words):
    if answer:
        arxiv[0]["/pdf/2501.00001"] = answer
    with pytest.raises(UserError, match=words) as error:
        locate("2501.00001", tmp_path / "cache")
    assert error.value.hint and not list((tmp_path / "cache").iterdir())


def test_no_network_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("ARXIV_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be downloaded") as error:
        locate("2501.12948", tmp_path)
    assert "network" in error.value.hint


def test_what_is_neither_file_nor_id(tmp_path):
    with pytest.raises(UserError, match="neither a file here nor an arXiv id"):
        locate("missing.pdf", tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        locate(str(tmp_path), tmp_path)


@pytest.mark.parametrize(("name", "make", "words"), [
    ("empty.pdf", lambda p: p.write_bytes(b""), "empty.pdf is empty"),
    ("text.pdf", lambda p: p.write_text("hello"), "text.pdf is not a PDF file"),
    ("cut.pdf", lambda p: p.write_bytes(pdf_pages.grid(p).read_bytes()[:1500]), "cut.pdf is cut off"),
    ("scan.pdf", pdf_pages.scan, "scan.pdf has no text .* looks like a scan"),
    ("locked.pdf", pdf_pages.encrypted, "locked.pdf is encrypted"),
    ("junk.pdf", lambda p: p.write_bytes(b"%PDF-1.7\n" + b"x" * 500 + b"\n%%EOF"), "junk.pdf cannot be read as a PDF"),
])
def test_unreadable_files_are_named(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(UserError, match=words) as error:
        check(tmp_path / name)
    assert error.value.hint


def test_facts(tmp_path):
    facts = check(pdf_pages.two_columns(tmp_path / "two.pdf"))
    assert facts.pages == 3 and facts.heights == (792.0,) * 3 and not facts.blank and len(facts.sha256) == 64
    check(pdf_pages.encrypted(tmp_path / "printing-forbidden.pdf", password=""))
