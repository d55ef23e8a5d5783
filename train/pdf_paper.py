"""A converted paper, and the file that space.corpus reads."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from train.pdf_source import Facts, Source

_COMMON = ("abstract", "introduction", "conclusion", "conclusions", "appendix", "appendices", "related work")


@dataclass(frozen=True)
class Paper:
    """Markdown below the title, main headings, labels of the tables, remarks for the user, the tools used."""

    title: str
    markdown: str
    headings: tuple[str, ...]
    tables: tuple[str, ...]
    remarks: tuple[str, ...]
    converter: str


def compose(paper: Paper, source: Source, facts: Facts) -> str:
    """Front matter, title and sections."""
    origin = f"https://arxiv.org/abs/{source.arxiv}" if source.arxiv else source.path.name
    names = [re.sub(r"^(?:\d[\d.]*|[A-Z][\d.]*)\s|\s+", " ", name).strip() for name in paper.headings]
    covers = [name for name in names if name.lower() not in _COMMON]
    meta = {"title": paper.title, "source": f"{paper.title} ({origin})"}
    if source.arxiv:
        meta["arxiv"] = source.arxiv
    meta |= {"covers": "; ".join(covers) or paper.title, "pages": str(facts.pages), "pdf_sha256": facts.sha256,
             "converter": paper.converter}
    clean = {key: " ".join(value.replace('"', "'").split()) for key, value in meta.items()}
    head = "\n".join(f'{key}: "{value}"' for key, value in clean.items())
    return f"---\n{head}\n---\n# {paper.title}\n\n{paper.markdown}\n"


def write(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that no half file is ever seen."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
