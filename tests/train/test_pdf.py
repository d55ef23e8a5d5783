"""The command: files in, Markdown for the corpus out."""

import shutil
import subprocess
import sys

import pytest

from space import corpus
from space.settings import ROOT
from tests.train import pdf_pages
from train import pdf, pdf_text

java = pytest.mark.skipif(not shutil.which("java"), reason="no Java runtime")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """One run over good and bad files: exit code, output, errors, folder of the results."""
    folder = tmp_path_factory.mktemp("papers")
    pdf_pages.two_columns(folder / "Two Columns.pdf")
    pdf_pages.scan(folder / "scan.pdf")
    pdf_pages.grid(folder / "grid.pdf")
    out = folder / "md"
    done = subprocess.run([sys.executable, "-m", "train.pdf", str(folder / "Two Columns.pdf"), str(folder / "scan.pdf"),
                           str(folder / "grid.pdf"), "--out", str(out)], cwd=ROOT, capture_output=True, text=True)
    return done, out


@java
def test_a_bad_file_does_not_stop_the_others(converted):
    done, out = converted
    assert done.returncode == 1
    assert sorted(path.name for path in out.iterdir()) == ["grid.md", "two-columns.md"]
    assert "scan.pdf has no text" in done.stderr and "1 of 3 papers could not be converted." in done.stderr
    assert "Two Columns.pdf: text, pages 1 to 3 of 3" in done.stderr
    assert "left out: authors, References" in done.stdout and "Traceback" not in done.stderr


@java
def test_two_columns_read_in_order_without_headers_inside_sentences(converted):
    text = (converted[1] / "two-columns.md").read_text()
    assert ("has to go on in the right column, behind no other text at all. The second half of this paragraph shows "
            "that cold-start data keeps its hyphen") in text
    assert "This paragraph ends on the next page, so no header and no page number may stand inside this very" in text
    assert "reads the columns in order and keeps the two-part words such as cold-start data whole" in text
    for gone in ("A Study of Page Headers", "Ada Muster", "nobody wrote"):
        assert gone not in text


@java
def test_the_corpus_reads_the_result(converted):
    documents = {d.id: d for d in corpus.read_documents(converted[1])}
    paper = documents["two-columns"]
    assert paper.title == "Reading Papers Column by Column" and paper.meta["covers"] == "Results"
    assert len(paper.meta["pdf_sha256"]) == 64
    headings = [section.heading for section in corpus.sections(paper)]
    assert headings == ["Abstract", "1 Results", "1.1 Discussion of the Results", "2 Conclusion"]
    (table,) = [p for p in corpus.passages(paper) if "| tuned + RAG | 88.0 | - | 19 |" in p.text]
    assert "| Variant | Answers right | Answers wrong | Time (s) |" in table.text and table.heading == "1 Results"


@java
def test_a_long_paper_is_read_in_pieces_and_sentences_cross_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pdf_text, "CHUNK_PAGES", 1)
    path = pdf_pages.two_columns(tmp_path / "long.pdf", pages=3)
    assert pdf.main([str(path), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "text, pages 2 to 2 of 3" in said and "text, pages 3 to 3 of 3" in said
    assert "on the next page, so no header" in (tmp_path / "long.md").read_text()


def test_without_java_one_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pdf.main([str(tmp_path / "any.pdf"), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "needs a Java runtime" in said and "default-jre-headless" in said


@java
def test_two_inputs_never_overwrite_each_other(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "grid.pdf", tmp_path / "a" / "Grid.pdf"):
        pdf_pages.grid(path)
    assert pdf.main([str(tmp_path / "grid.pdf"), str(tmp_path / "a" / "Grid.pdf"), "--out", str(tmp_path / "md")]) == 1
    assert "would both become grid.md" in capsys.readouterr().err


@java
@pytest.mark.heavy
def test_a_real_paper(real_data, tmp_path):
    path = real_data / "papers" / "deepseek-r1.pdf"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    assert pdf.main([str(path), "--out", str(tmp_path)]) == 0
    (paper,) = corpus.read_documents(tmp_path)
    text = paper.body
    assert "| DeepSeek-R1-Distill-Qwen-14B | 69.7 | 80.0 | 93.9 | 59.1 | 53.1 | 1481 |" in text
    assert ("This indicates that DeepSeek-R1 avoids introducing length bias during GPT-based evaluations") in text
    assert "Qwen2.5-14B, Qwen2.5-32B, Llama-3.1-8B, and Llama-3.3-70B-Instruct" in text
    assert "Pass@1 is then calculated as [formula] where pi denotes the correctness of the i-th response" in text
    headings = [section.heading for section in corpus.sections(paper)]
    assert "3.2 Distilled Model Evaluation" in headings and "2.2.4 Performance, Self-evolution Process and Aha " \
        "Moment of DeepSeek-R1-Zero" in headings
    assert not any(name in " ".join(headings) for name in ("References", "Contents", "Acknowledgments"))
