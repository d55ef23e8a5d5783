"""Papers as PDF to Markdown for the corpus, with their tables as Markdown tables.

    python -m train.pdf FILE.pdf|ARXIV-ID ... [--out DIR] [--provider local|landingai]

Writes one DIR/<name>.md for each paper: front matter, title, sections. `local` works offline (text with
opendataloader-pdf, which needs a Java runtime; tables with pdfplumber); `landingai` sends the file to
Landing AI's paid service and needs VISION_AGENT_API_KEY. An arXiv id is downloaded first (from
ARXIV_URL, default https://arxiv.org). A paper that fails does not stop the others; the exit code is
then 1. To search the result: python -m train.index --corpus DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.errors import UserError
from space.settings import ROOT
from train import pdf_source
from train.pdf_paper import Paper, compose, write
from train.pdf_source import Facts, Source

if TYPE_CHECKING:
    from train.pdf_flow import Flow

Report = Callable[[str], None]

_TABLE_STEP = 25
"""Pages between two progress lines while tables are read."""


def convert_local(source: Source, facts: Facts, report: Report) -> Paper:
    """A paper by the offline tools."""
    from importlib.metadata import version

    from train import pdf_flow, pdf_layout, pdf_text
    from train.pdf_words import Lines

    elements = pdf_text.read_elements(source.path, facts, report)
    if not any(e.text for e in elements):
        raise UserError(f"No text could be read from {source.path.name}.", "It may be a scan: run OCR on it first.")
    tables, remarks = read_tables(source.path, report)
    body = pdf_layout.body_letters(elements)
    title, end = pdf_flow.title_of(elements, body, source.path.stem)
    start, authors = pdf_flow.front(elements, end, body) if end else (0, False)
    flow = pdf_flow.Flow(Lines(e.text for e in elements), pdf_flow.by_caption(tables))
    for piece in pdf_layout.pieces(elements[start:], tables, facts.heights):
        flow.unplaced(piece.page)
        flow.add(piece)
    flow.close()
    flow.unplaced(facts.pages + 1)
    flow.close()
    names = tuple(text for level, text in flow.headings if level == 1)
    labels = tuple(table.label or "one without a caption" for key, table in flow.tables.items() if key in flow.placed)
    tools = ", ".join(f"{name} {version(name)}" for name in ("opendataloader-pdf", "pdfplumber"))
    return Paper(title, "\n\n".join(flow.blocks), names, labels, (*remarks, *_remarks(flow, facts, authors)), tools)


def _remarks(flow: Flow, facts: Facts, authors: bool) -> list[str]:
    """What the reader of the result should know: pages without text, what was left out, what is no table."""
    lost = [table.label or "one without a caption" for key, table in flow.tables.items() if key not in flow.placed]
    told = {"left out": (["authors"] if authors else []) + flow.left_out,
            "captions without a table of columns": flow.captions,
            "tables of the sections left out": lost}
    remarks = [f"no text on {len(facts.blank)} of {facts.pages} pages"] if facts.blank else []
    return remarks + [f"{what}: {', '.join(names)}" for what, names in told.items() if names]


def read_tables(path: Path, report: Report) -> tuple[list[Any], list[str]]:
    """The tables of all pages, and a remark for each page whose drawing pdfplumber could not follow."""
    import logging

    import pdfplumber

    from train.tables import find_tables

    logging.getLogger("pdfminer").setLevel(logging.ERROR)
    found, remarks = [], []
    with pdfplumber.open(path) as document:
        count = len(document.pages)
        for page in document.pages:
            if page.page_number % _TABLE_STEP == 1:
                report(f"tables, from page {page.page_number} of {count}")
            try:
                found += find_tables(page)
            except Exception as error:  # a foreign parser on a foreign file: one page is lost, and said so
                remarks.append(f"tables of page {page.page_number} not read ({type(error).__name__})")
            page.close()
    return found, remarks


def convert(item: str, options: argparse.Namespace, taken: dict[str, str]) -> str:
    """Convert one argument and write its file; returns the line for the user."""
    began = time.monotonic()
    source = pdf_source.locate(item, options.cache)
    if source.slug in taken:
        raise UserError(f"{item} and {taken[source.slug]} would both become {source.slug}.md.", "Rename one of them.")
    taken[source.slug] = item
    facts = pdf_source.check(source.path)

    def report(step: str) -> None:
        print(f"{source.path.name}: {step}", file=sys.stderr, flush=True)

    if options.provider == "landingai":
        from train.pdf_landing import convert_landing
        paper = convert_landing(source, facts, report)
    else:
        paper = convert_local(source, facts, report)
    if not paper.markdown.strip():
        raise UserError(f"Nothing but a title was found in {source.path.name}.", "Look at the PDF.")
    target = options.out / f"{source.slug}.md"
    write(target, compose(paper, source, facts))
    tables = f"{len(paper.tables)} table{'' if len(paper.tables) == 1 else 's'}"
    if 0 < len(paper.tables) <= 15:
        tables += f" ({', '.join(paper.tables)})"
    done = f"{source.path.name} -> {target}: {facts.pages} pages, {len(paper.markdown.split())} words, {tables}"
    return "; ".join([done, *paper.remarks, f"{time.monotonic() - began:.1f} s"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("papers", nargs="+", metavar="FILE.pdf|ARXIV-ID")
    parser.add_argument("--out", type=Path, default=ROOT / "work" / "papers-md", help="folder of the Markdown files")
    parser.add_argument("--provider", choices=("local", "landingai"), default="local")
    parser.add_argument("--cache", type=Path, default=ROOT / "work" / "papers", help="folder of downloaded PDFs")
    options = parser.parse_args(argv)
    try:
        if options.provider == "landingai":
            from train.pdf_landing import require_landing
            require_landing()
        else:
            from train.pdf_text import require_java
            require_java()
        options.out.mkdir(parents=True, exist_ok=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    failed = 0
    taken: dict[str, str] = {}
    for item in options.papers:
        try:
            print(convert(item, options, taken), flush=True)
        except UserError as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
    if failed:
        print(f"{failed} of {len(options.papers)} papers could not be converted.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
