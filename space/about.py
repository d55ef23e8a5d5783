"""The about page: docs/about.md with what the files here add to it, and the project's documents for reading."""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from space import models, references
from space.errors import UserError
from space.gguf_header import read_header
from space.markup import blocks
from space.questions import PARTS, load_examples
from space.run_log import number, read_adapters
from space.settings import ROOT, load_settings

NAMES = {"train": "training", "dev": "dev", "heldout": "held-out", "paraphrase": "paraphrases of training questions"}


def page(root: Path = ROOT) -> str:
    """The whole page without the documents."""
    path = root / "docs" / "about.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    added = {"What this is": _counts, "Which model, and why": _model}
    drawn = ""
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        more = added[heading]() if heading in added else ""
        first, last = ("", more) if heading == "What this is" else (more, "")
        drawn += f"<section><h2>{escape(heading)}</h2>{first}{_read(blocks(body, links=True), root)}{last}</section>"
    return f'<div class="page-head"><h1>About</h1></div><div class="about">{drawn}</div>'


def _counts() -> str:
    """How many questions there are, by part."""
    try:
        counts = Counter(e.split for e in load_examples())
    except UserError as error:
        return f"<p>{escape(str(error))}</p>"
    named = ", ".join(f"{counts[part]} {NAMES[part]}" for part in PARTS if counts[part])
    return f"<p>The questions that ship: {named}.</p>"


def _model() -> str:
    """The base that runs and the adapters that are here, as their files say."""
    profile = models.load_profile(load_settings().profile)
    return blocks(f"This app now runs **{profile.label}**{_size(profile.base)}.\n\n{_adapters()}")


def _size(reference: str) -> str:
    """Architecture, layers, quantisation and size of a file that is here; nothing of one that would be downloaded."""
    if reference.startswith("hf:"):
        return ""
    try:
        path = references.resolve(reference)
        header = read_header(path)
    except (UserError, OSError):
        return ""
    size_mb = path.stat().st_size / 1e6
    return f" ({header.architecture}, {header.layers} layers, {header.quantization}, {size_mb:.0f} MB)"


def _adapters() -> str:
    """A line of Markdown for each adapter."""
    try:
        cards = read_adapters()
    except UserError as error:
        return str(error)
    lines = []
    for adapter in cards:
        minutes = number(adapter.card.get("minutes"))
        made = f", made in {minutes:g} minutes on {adapter.card.get('hardware', 'a machine')}" if minutes else ""
        lines.append(f"- Adapter `{adapter.name}`: {adapter.file_mb or 0:g} MB on {adapter.card.get('base')}{made}")
    return "\n".join(lines)


def _read(html: str, root: Path) -> str:
    """`html` with the names of documents in it as links that open them here."""
    keys = {str(path.relative_to(root)): key for key, (_, path) in documents(root).items()}
    return re.sub(r"<code>([\w./-]+\.md)</code>",
                  lambda found: _opens(keys[found[1]], found[0]) if found[1] in keys else found[0], html)


def _opens(key: str, html: str) -> str:
    """A link that the page follows without loading itself anew."""
    return f'<a href="?{escape(urlencode({"tab": "about", "read": key}))}" data-read="{escape(key)}">{html}</a>'


def documents(root: Path = ROOT) -> dict[str, tuple[str, Path]]:
    """The documents of the project: key in the URL -> (title, file)."""
    paths = [*sorted((root / "docs").glob("*.md")), *sorted((root / "docs" / "decisions").glob("*.md")),
             root / "train" / "README.md", root / "assets" / "qa" / "README.md", root / "CHANGELOG.md"]
    found = {}
    for path in paths:
        if path.is_file():
            title = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)
            key = str(path.relative_to(root).with_suffix("")).removeprefix("docs/")
            found[key] = (title[1].replace("`", "") if title else key, path)
    return found


def document_list() -> str:
    """Links to the documents, which the page opens without loading itself anew."""
    items = "".join(f"<li>{_opens(key, escape(title))}</li>" for key, (title, _) in documents().items()
                    if key != "about")
    return f'<nav class="doc-links" aria-label="Documents of the project"><h2>Documents</h2><ul>{items}</ul></nav>'


def document(key: str, root: Path = ROOT) -> str:
    """A document of the project as HTML. Raises UserError where there is no such document."""
    held = documents(root).get(key)
    if held is None:
        raise UserError(f"There is no document {key[:80]!r}.", "Pick one from the list.")
    path = held[1].relative_to(root)
    return (f'<article class="doc-page" tabindex="-1" data-read="{escape(key)}"><p class="hint"><code>'
            f"{escape(str(path))}</code></p>{_read(blocks(held[1].read_text(encoding='utf-8'), links=True), root)}"
            "</article>")
