"""The text of a PDF in reading order, with opendataloader-pdf (a Java program inside a pip package)."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import UserError
from train.pdf_source import Facts, split
from train.pdf_words import plain

CHUNK_PAGES = 60
"""A longer paper is read in pieces: memory stays bounded and the wait is visible."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Element:
    """A block of text, or a picture or drawn table (then `text` is what stands inside it).

    `kind` is heading, text, item, table or image; `box` is x0, top, x1, bottom in points from the
    page's top left; `size` the letter height; lines of `text` are kept.
    """

    page: int
    kind: str
    box: Box
    text: str
    font: str = ""
    size: float = 0.0
    cells: tuple[tuple[str, ...], ...] = ()

    @property
    def bold(self) -> bool:
        name = self.font.split("+")[-1].lower()
        return any(mark in name for mark in ("bold", "-medi", "black", "heavy", "cmbx", "demi"))


def require_java() -> None:
    """Raises UserError where there is no Java runtime."""
    if not shutil.which("java"):
        raise UserError("Reading a PDF here needs a Java runtime (11 or newer), and there is no `java`.",
                        "Install one: `apt install default-jre-headless` (Debian, Ubuntu), "
                        "`brew install openjdk` (macOS), or Temurin from adoptium.net.")


def read_elements(path: Path, facts: Facts, report: Callable[[str], None]) -> list[Element]:
    """All elements of a PDF, in reading order."""
    found: list[Element] = []
    with tempfile.TemporaryDirectory() as folder:
        for first in range(1, facts.pages + 1, CHUNK_PAGES):
            last = min(first + CHUNK_PAGES - 1, facts.pages)
            report(f"text, pages {first} to {last} of {facts.pages}")
            part = Path(folder) / f"part{first}.pdf"
            if facts.pages > CHUNK_PAGES:
                split(path, first, last, part)
            else:
                shutil.copyfile(path, part)
            tree = _run(part, Path(folder), path.name)
            found += [e for node in tree.get("kids", []) for e in _elements(node, first - 1, facts.heights)]
    return found


def _run(part: Path, folder: Path, name: str) -> dict[str, Any]:
    import opendataloader_pdf

    quiet = io.StringIO()
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            opendataloader_pdf.convert(str(part), output_dir=str(folder), format="json", image_output="off",
                                       keep_line_breaks=True, quiet=True)
    except subprocess.CalledProcessError as error:
        said = f"{error.stdout or ''} {error.stderr or ''}"
        if "UnsupportedClassVersionError" in said:
            raise UserError("The Java runtime here is too old to read PDFs.", "Install Java 11 or newer.") from None
        last = [line.strip() for line in said.splitlines() if line.strip()][-1:] or ["no message"]
        raise UserError(f"The text of {name} could not be read ({last[0][:200]}).",
                        "Save the PDF anew, for example with `qpdf in.pdf out.pdf`.") from None
    result = folder / f"{part.stem}.json"
    if not result.is_file():
        raise UserError(f"The text of {name} could not be read (no result).",
                        "Save the PDF anew, for example with `qpdf in.pdf out.pdf`.")
    return json.loads(result.read_text(encoding="utf-8"))


def _elements(node: dict[str, Any], offset: int, heights: tuple[float, ...]) -> Iterator[Element]:
    kind = node.get("type", "")
    if kind in ("list", "text block") or (kind == "list item" and "content" not in node):
        for child in node.get("list items", []) + node.get("kids", []):
            yield from _elements(child, offset, heights)
        return
    if kind in ("header", "footer") or "bounding box" not in node:
        return
    page = node["page number"] + offset
    x0, low, x1, high = node["bounding box"]
    height = heights[min(page, len(heights)) - 1]
    box = (x0, height - high, x1, height - low)
    if kind == "table":
        rows = tuple(tuple(_inner(cell) for cell in row["cells"]) for row in node["rows"])
        inside = "\n".join(filter(None, (" ".join(filter(None, row)) for row in rows)))
        yield Element(page, "table", box, inside, cells=rows)
    elif kind == "image":
        yield Element(page, "image", box, "")
    else:
        names = {"heading": "heading", "list item": "item"}
        text = plain(node.get("content", "")).strip()
        if text:
            yield Element(page, names.get(kind, "text"), box, text, node.get("font", ""),
                          float(node.get("font size") or 0))
        for child in node.get("kids", []):
            yield from _elements(child, offset, heights)


def _inner(node: dict[str, Any]) -> str:
    """The text inside a table cell, on one line."""
    own = plain(node.get("content", "")).replace("\n", " ").strip()
    children = node.get("kids", []) + node.get("list items", [])
    return " ".join(filter(None, [own, *map(_inner, children)]))
