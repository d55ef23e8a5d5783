"""Optional provider: Landing AI's Agentic Document Extraction, a paid service that reads the page images.

Needs `landingai-ade` and the key in VISION_AGENT_API_KEY; LANDINGAI_ADE_BASE_URL names another server.
The file leaves this machine. Its answer goes through the same assembly as the offline tools' text.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from space.errors import UserError
from train.pdf_flow import Flow
from train.pdf_layout import CAPTION, Piece
from train.pdf_paper import Paper
from train.pdf_source import Facts, Source, split
from train.pdf_words import Lines, plain
from train.table_columns import join

PART_PAGES = 40
"""Pages per request; the service takes at most 100 at once."""
_TEXT_KINDS = {"text", "table", "chunkText", "chunkTable", "title", "chunkTitle", "form", "key_value"}
_TIMEOUT_S = 600.0


def require_landing() -> None:
    """Raises UserError where the key or the client package is missing."""
    if not os.environ.get("VISION_AGENT_API_KEY", "").strip():
        raise UserError("The provider landingai needs a key, and VISION_AGENT_API_KEY is not set.",
                        "Set it to the key from va.landing.ai, or use --provider local.")
    if importlib.util.find_spec("landingai_ade") is None:
        raise UserError("The provider landingai needs a package that is not installed.",
                        "Run `pip install landingai-ade==1.18.1`, or use --provider local.")


def convert_landing(source: Source, facts: Facts, report: Callable[[str], None]) -> Paper:
    """A paper by the service, a few dozen pages per request."""
    from importlib.metadata import version

    from landingai_ade import LandingAIADE

    client = LandingAIADE(timeout=_TIMEOUT_S)
    chunks: list[Any] = []
    failed: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(1, facts.pages + 1, PART_PAGES):
            last = min(first + PART_PAGES - 1, facts.pages)
            report(f"sending pages {first} to {last} of {facts.pages}")
            part = split(source.path, first, last, Path(folder) / f"{source.slug}-{first}.pdf")
            answer = _parse(client, part, source.path.name)
            chunks += answer.chunks or []
            failed += [first + page for page in answer.metadata.failed_pages or []]
    texts = [plain(_bare(chunk.markdown)) for chunk in chunks if chunk.type in _TEXT_KINDS]
    if not texts:
        raise UserError(f"Landing AI found no text in {source.path.name}.", "Try --provider local.")
    title, texts = _title(texts, source.path.stem)
    flow = Flow(Lines(texts), {})
    tables: list[str] = []
    for text in texts:
        for piece in _pieces(text, tables):
            flow.add(piece)
    flow.close()
    remarks = ["left out: " + ", ".join(flow.left_out)] if flow.left_out else []
    if failed:
        remarks.append("pages the service could not read: " + ", ".join(map(str, failed)))
    names = tuple(text for level, text in flow.headings if level == 1)
    return Paper(title, "\n\n".join(flow.blocks), names, tuple(tables), tuple(remarks),
                 f"landingai-ade {version('landingai-ade')}")


def _parse(client: Any, part: Path, name: str) -> Any:
    import landingai_ade as ade

    try:
        return client.parse(document=part)
    except (ade.AuthenticationError, ade.PermissionDeniedError):
        raise UserError("Landing AI refused the key in VISION_AGENT_API_KEY.",
                        "Check it at va.landing.ai (keys of the EU site need LANDINGAI_ADE_ENVIRONMENT=eu).") from None
    except ade.APIStatusError as error:
        hint = "Wait and run it again." if error.status_code in (429, 500, 502, 503, 504) else "Try --provider local."
        if error.status_code == 402:
            hint = "Add credits at va.landing.ai, or use --provider local."
        raise UserError(f"Landing AI could not read {name} (answer {error.status_code}).", hint) from None
    except ade.APIError as error:
        raise UserError(f"Landing AI could not be reached for {name} ({error.message}).",
                        "Check the network, or use --provider local.") from None


def _bare(markdown: str) -> str:
    """The text of a chunk without its anchor, and without descriptions of pictures, which are not the paper's."""
    text = re.sub(r"<a id=['\"][^'\"]*['\"]></a>", "", markdown)
    return re.sub(r"<::.*?::>", "", text, flags=re.S).strip()


def _title(texts: list[str], fallback: str) -> tuple[str, list[str]]:
    """The title, and the text from the abstract on (all of it where no abstract is near)."""
    head = re.match(r"#+\s+(.+)", texts[0])
    title = " ".join(head[1].split()) if head else fallback
    for i, text in enumerate(texts[:15]):
        if re.match(r"#*\s*abstract\b", text, re.I):
            return title, texts[i:]
    rest = texts[0][head.end():].strip() if head else texts[0]
    return title, [rest, *texts[1:]]


def _pieces(text: str, tables: list[str]) -> Iterator[Piece]:
    for part in re.split(r"(<table.*?</table>)", text, flags=re.S):
        if part.startswith("<table"):
            tables.append(f"no. {len(tables) + 1}")
            yield Piece("drawn", 0, "", cells=read_html(part))
            continue
        for block in re.split(r"\n\s*\n|\n(?=#|[-*•] )|(?<=\n)(?=#)", part):
            block = block.strip()
            heading = re.match(r"(#+)\s+(.+)", block)
            if heading:
                number = re.match(r"(\d+(?:\.\d+)*|[A-Z](?:\.\d+)*)\.?\s+(?=[A-Z])", heading[2])
                name = f"{number[1]} {heading[2][number.end():]}" if number else heading[2]
                level = number[1].count(".") + 1 if number else max(len(heading[1]) - 1, 1)
                yield Piece("heading", 0, name, level=level)
                block = block[heading.end():].strip()
            caption = CAPTION.match(block)
            if caption and caption[1][0] in "TF":
                kind = "Table" if caption[1].lower() == "table" else "Figure"
                yield Piece("figure", 0, block[caption.end():], label=f"{kind} {caption[2]}")
            elif re.match(r"[-*•] ", block):
                yield Piece("item", 0, block[2:].strip(), label="•")
            elif block:
                yield Piece("text", 0, block)


class _Cells(HTMLParser):
    """Collects (text, columns, rows, is a header) of the cells of an HTML table, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, int, int, bool]]] = []
        self._cell: tuple[int, int, bool] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            spans = {key: int(value) for key, value in attrs if value and value.isdigit()}
            self._cell = min(spans.get("colspan", 1), 100), min(spans.get("rowspan", 1), 1000), tag == "th"
            self._text = ""
        elif tag == "br":
            self._text += " "

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell and self.rows:
            wide, high, head = self._cell
            self.rows[-1].append((" ".join(self._text.split()), wide, high, head))
            self._cell = None


def read_html(html: str) -> tuple[tuple[str, ...], ...]:
    """An HTML table as rows of equal length: spanning cells repeated, header rows joined into one."""
    parser = _Cells()
    parser.feed(html)
    grid: dict[tuple[int, int], str] = {}
    heads = 0
    for y, row in enumerate(parser.rows):
        x = 0
        for text, wide, high, head in row:
            while (y, x) in grid:
                x += 1
            for dy in range(high):
                for dx in range(wide):
                    grid[y + dy, x + dx] = text
            x += wide
            if (head or (y == 0 and wide > 1)) and heads <= y:
                heads = y + 1 if head else 2
    height, width = len(parser.rows), max((x for _, x in grid), default=-1) + 1
    lines = [tuple(grid.get((y, x), "") for x in range(width)) for y in range(height)]
    heads = min(max(heads, 1), max(height - 1, 1))
    names = tuple(join(list(dict.fromkeys(line[x] for line in lines[:heads]))) for x in range(width))
    return (names, *lines[heads:]) if lines else ()
