"""A comparison as a file to keep: Markdown, or one HTML page that needs nothing else."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path

from space import cards, evidence, examples, key_facts
from space.chat_words import asked
from space.comparison import Column, Comparison
from space.schema import VARIANTS, Passage

STYLE = Path(__file__).with_name("style.css")
TYPES = {"md": "text/markdown;charset=utf-8", "html": "text/html;charset=utf-8"}


def file(comparison: Comparison, kind: str, link: str) -> dict[str, str]:
    """Name, type and text of the file; `kind` is md | html, `link` the address of the comparison."""
    words = re.findall(r"[a-z0-9]+", comparison.question.lower())
    name = "-".join(words)[:60].strip("-") or "comparison"
    text = as_markdown(comparison, link) if kind == "md" else as_html(comparison, link)
    return {"name": f"{name}.{kind}", "type": TYPES[kind], "text": text}


def as_markdown(comparison: Comparison, link: str) -> str:
    """The whole comparison as Markdown; answers and passages are quoted, so that nothing in them is live."""
    parts = [f"# {_line(comparison.question)}", f"[Open this comparison]({link})"]
    if comparison.earlier:
        parts.append(f"Follow-up, read as: {_line(comparison.full_question)}")
    if source := comparison.source:
        parts.append(f"Recorded on {source.day} from `{source.file}`.")
    parts += [_answer(comparison.columns[key], key) for key in comparison.order]
    if example := comparison.example:
        about = f"({examples.meaning(example)})"
        parts += ["## Reference answer", _quoted(example.reference), about, _facts(comparison)]
    if comparison.passages:
        parts.append("## Passages found")
        parts += [_passage(p, n) for n, p in enumerate(comparison.passages, 1)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answer(column: Column, key: str) -> str:
    answer, done = column.answer, column.answer.done
    lines = [f"## {VARIANTS[key].label}", _quoted(answer.error or answer.text or "(nothing)")]
    if done:
        sampling = column.sampling
        how = f"temperature {sampling.temperature:g}, seed {sampling.seed}" if sampling.temperature else "greedy"
        lines.append(f"{cards.identity_text(done.identity)}. {how}, at most {sampling.max_tokens} tokens; "
                     f"{cards.FINISHES.get(done.finish, done.finish)}. {done.prompt_tokens} tokens read, "
                     f"{done.answer_tokens} written, first after {done.first_token_s:.2f} s, "
                     f"{done.decode_tps:.1f} a second.")
    return "\n\n".join(lines)


def _facts(comparison: Comparison) -> str:
    example = comparison.example
    if not example or not example.key_facts:
        return ""
    head = ["Key fact", *(VARIANTS[key].label for key in comparison.order)]
    rows = [[_cell(fact), *("yes" if key_facts.contains(fact, comparison.columns[key].answer.text) else "no"
                            for key in comparison.order)] for fact in example.key_facts]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _passage(passage: Passage, number: int) -> str:
    read = f"\n\nRead by the model:\n\n{_quoted(passage.excerpt)}" if passage.excerpt else ""
    return (f"### {number}. {_line(passage.title)}: {_line(passage.heading)}\n\nscore {passage.score:.2f}, "
            f"cosine {passage.cosine:.2f}, `{passage.id}`\n\n{_quoted(passage.text)}{read}")


def _line(text: str) -> str:
    return escape(re.sub(r"([\\`*_\[\]#|])", r"\\\1", " ".join(text.split())), quote=False)


def _quoted(text: str) -> str:
    """Text as a quotation; markup in it is shown, not obeyed."""
    return "\n".join("> " + escape(line, quote=False) for line in text.splitlines() or [""])


def _cell(text: str) -> str:
    return _line(text)


def as_html(comparison: Comparison, link: str) -> str:
    """The cards, the reference and the passages as one page with its own styles and no script."""
    columns = "".join(f'<div class="column">{cards.card(comparison, n)}</div>' for n in range(len(comparison.order)))
    base = link.split("?")[0]
    body = f'<div id="columns" data-view="found">{columns}</div><div id="below">{evidence.below(comparison)}</div>'
    body = body.replace('href="?', f'href="{escape(base)}?')
    title = escape(comparison.question)
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_style()}</style></head>'
            f'<body class="gradio-container"><main>{asked(comparison)}<p>'
            f'<a href="{escape(link)}">Open this comparison</a></p>{body}</main></body></html>')


@cache
def _style() -> str:
    """The page's style sheet, its dark values for readers whose system is dark."""
    css = STYLE.read_text(encoding="utf-8")
    dark = re.search(r"\.dark \{(.*?)\}", css, re.S)
    page = ("body { margin: 0; font: 16px/1.5 ui-sans-serif, system-ui, sans-serif; } main { padding: 1.5rem; } "
            "#columns { display: flex; flex-wrap: wrap; } #columns > .column { flex: 1 1 280px; } "
            "a { color: var(--accent); } body *, body { box-sizing: border-box; }")
    media = f"@media (prefers-color-scheme: dark) {{ :root {{{dark[1]}}} }}" if dark else ""
    return f"{css}\n{media}\n{page}"
