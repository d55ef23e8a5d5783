"""The questions as a folder that `datasets.load_dataset` reads, and the chat rows that training reads.

    python -m train.data export --out DIR [--recipe train/recipes/smollm2-135m.toml]

Written by `train.data`'s command line; `python -m train.publish dataset` sends such a folder.
    data/<part>.parquet   one row per question, flat fields
    chat/<part>.parquet   the rows as training and the app build them, as `conversations` and `messages`
    README.md             the dataset card
Parquet, because `datasets` reads one format for a whole repository, and because its columns are typed:
an empty list of strings stays one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from space import models, prompts, questions, retriever
from space.errors import UserError
from space.questions import PARTS
from space.schema import Example
from space.settings import ASSETS
from train import card, rows
from train.config import Recipe
from train.data import topic
from train.rows import Finder

FILES = ("README.md", *(f"data/{p}.parquet" for p in PARTS), *(f"chat/{p}.parquet" for p in PARTS))
SENDERS = {"system": "system", "user": "human", "assistant": "gpt"}


def export(out: Path, recipe: Recipe, source: Path = questions.QUESTIONS, finder: Finder | None = None,
           say: Callable[[str], None] = lambda line: None) -> dict[str, int]:
    """Write the folder; returns the rows of each file. `finder` stands in for the shipped index, `say`
    hears of each file that is finished. Files are replaced whole.

    Raises UserError where the questions or the index are not usable, or a question has no part.
    """
    examples = questions.load_examples(source)
    homeless = [e.id for e in examples if e.split not in PARTS]
    if homeless or not examples:
        raise UserError(f"{len(homeless)} questions belong to no part." if homeless else "There are no questions.",
                        "Run `python -m train.data split`.")
    if finder is None and recipe.rag_rows:
        finder = retriever.Retriever(ASSETS / "index", models.PROFILES[recipe.base].embedder)
    counts: dict[str, int] = {}
    for part in PARTS:
        own = [e for e in examples if e.split == part]
        chat = chat_rows(own, part, recipe, finder)
        for name, values in ((f"data/{part}.parquet", [flat(e) for e in own]), (f"chat/{part}.parquet", chat)):
            _replace(out / name, partial(_write_table, values))
            counts[name] = len(values)
            say(f"{len(values):6,} rows  {out / name}")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    facts = card.DatasetFacts(
        story=story(source.with_name("README.md")), questions_sha256=digest, recipe=asdict(recipe), counts=counts,
        kinds=[(e.kind, e.split) for e in examples], documents=[(document(e), e.split) for e in examples])
    _replace(out / "README.md", lambda path: path.write_text(card.dataset_card(facts), encoding="utf-8"))
    say(f"             {out / 'README.md'}")
    return counts


def story(readme: Path) -> str:
    """What the README.md beside the questions says below its table of fields; "" where there is none."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    _, _, below = text.partition("**How they were written.**")
    if not below:
        return ""
    return "**How they were written.**" + below + "\n(Paths are those of the repository that this was exported from.)\n"


def document(example: Example) -> str:
    """The document (or group) a question was written for; a paraphrase has that of its original."""
    return topic(replace(example, id=example.paraphrase_of or example.id))


def flat(example: Example) -> dict[str, Any]:
    """A question as strings and lists of strings."""
    return {"id": example.id, "question": example.question, "reference": example.reference, "kind": example.kind,
            "document": document(example), "key_facts": list(example.key_facts),
            "evidence_documents": [e.document for e in example.evidence],
            "evidence_quotes": [e.quote for e in example.evidence], "paraphrase_of": example.paraphrase_of}


def chat_rows(examples: Sequence[Example], part: str, recipe: Recipe,
              finder: Finder | None) -> list[dict[str, Any]]:
    """The rows of one part: as `train.run` learns them for train, as the app asks for the others."""
    make = rows.training_rows if part == "train" else rows.dev_rows
    return [chat_row(row) for row in make(examples, recipe, finder)]


def chat_row(row: rows.Row) -> dict[str, Any]:
    """A training row with its turns in both spellings: ShareGPT's and OpenAI's."""
    asked = next(piece.text for piece in row.prompt if not piece.control)
    turns = [*prompts.messages(asked), {"role": "assistant", "content": row.answer}]
    return {"id": row.example_id, "with_passages": asked.startswith("Passages:\n"),
            "conversations": [{"from": SENDERS[t["role"]], "value": t["content"]} for t in turns],
            "messages": turns}


def files_of(folder: Path) -> list[Path]:
    """The files of an exported folder, in the order of FILES. Raises UserError where one is missing."""
    for name in FILES:
        if not (folder / name).is_file():
            raise UserError(f"{folder} is not an exported dataset: {name} is missing.",
                            f"Run `python -m train.data export --out {folder}`.")
    return [folder / name for name in FILES]


def _write_table(values: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    text, flag = pyarrow.string(), pyarrow.bool_()
    texts = pyarrow.list_(text)
    columns = {
        "data": [("id", text), ("question", text), ("reference", text), ("kind", text), ("document", text),
                 ("key_facts", texts), ("evidence_documents", texts), ("evidence_quotes", texts),
                 ("paraphrase_of", text)],
        "chat": [("id", text), ("with_passages", flag), *(
            (name, pyarrow.list_(pyarrow.struct([(who, text), (what, text)])))
            for name, who, what in (("conversations", "from", "value"), ("messages", "role", "content")))]}
    schema = pyarrow.schema(columns[path.parent.name])
    parquet.write_table(pyarrow.Table.from_pylist(values, schema=schema), path)


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).", "Name another folder in --out.") from error
