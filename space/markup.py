"""A small, safe part of Markdown as HTML: headings, paragraphs, lists, pipe tables, code, bold, links.

Everything is escaped first, so no tag, attribute or script of the text becomes live. Links are made only where
the caller says so, and only to http and https; documents of the corpus are not asked to bring any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^(#{1,6}) +(\S.*)$")
_ITEM = re.compile(r"^\s*(?:[-*+]|(\d{1,9})[.)]) +(.*)$")
_RULE = re.compile(r":?-+:?")


def blocks(text: str, links: bool = False, top: int = 2) -> str:
    """`text` as HTML; its `#` headings begin at level `top`, and `links` lets http(s) links through."""
    return "".join(_block(kind, lines, links, top) for kind, lines in _cut(text))


def inline(text: str, links: bool = False) -> str:
    """One paragraph's text: escaped, with `code`, **bold** and, if asked, [links](https://…)."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(f"<code>{escape(piece[1:-1])}</code>" if n % 2 else _marks(piece, links)
                   for n, piece in enumerate(pieces))


def _marks(text: str, links: bool) -> str:
    marked = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
    if links:
        marked = re.sub(r"\[([^\]\n]+)\]\((https?://[^\s()<>]+)\)",
                        r'<a href="\2" target="_blank" rel="noopener noreferrer">\1</a>', marked)
    return marked


def _cut(text: str) -> Iterator[tuple[str, list[str]]]:
    """The blocks in order, each with its kind: code, heading, table, list or text."""
    kind = ""
    lines: list[str] = []
    for line in text.splitlines():
        if kind == "code":
            if _FENCE.match(line):
                yield kind, lines
                kind, lines = "", []
            else:
                lines.append(line)
            continue
        here = _kind(line, kind)
        if here != kind or here == "heading":
            if lines:
                yield kind, lines
            kind, lines = here, []
        if here not in ("", "code"):
            lines.append(line)
    if lines:
        yield kind, lines


def _kind(line: str, before: str) -> str:
    """What a line is; `before` is the kind of the line above it."""
    if not line.strip():
        return ""
    if _FENCE.match(line):
        return "code"
    if _HEADING.match(line):
        return "heading"
    if line.lstrip().startswith("|"):
        return "table"
    if _ITEM.match(line) or before == "list":
        return "list"
    return "text"


def _block(kind: str, lines: list[str], links: bool, top: int) -> str:
    if kind == "code":
        return f'<pre class="scroll" tabindex="0"><code>{escape(chr(10).join(lines))}</code></pre>'
    if kind == "heading" and (found := _HEADING.match(lines[0])):
        level = min(len(found[1]) + top - 1, 6)
        return f"<h{level}>{inline(found[2].rstrip(), links)}</h{level}>"
    if kind == "table":
        return _table(lines, links)
    if kind == "list":
        return _list(lines, links)
    return f"<p>{inline(' '.join(line.strip() for line in lines), links)}</p>"


def _list(lines: list[str], links: bool) -> str:
    items: list[str] = []
    for line in lines:
        found = _ITEM.match(line)
        if found:
            items.append(found[2])
        else:
            items[-1] += " " + line.strip()
    first = _ITEM.match(lines[0])
    tag = "ol" if first and first[1] else "ul"
    return f"<{tag}>" + "".join(f"<li>{inline(item, links)}</li>" for item in items) + f"</{tag}>"


def _table(lines: list[str], links: bool) -> str:
    rows = [_cells(line) for line in lines]
    rows = [row for row in rows if not all(_RULE.fullmatch(cell) or not cell for cell in row)]
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{inline(cell, links)}</th>' for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{inline(cell, links)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(line: str) -> list[str]:
    """The cells of a table row; a bar behind a backslash belongs to its cell."""
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]
