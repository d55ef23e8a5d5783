"""AI2 ARC (school science, multiple choice) as training rows.

    ARC_DIR=FOLDER python -m train.run train/recipes/smollm2-135m-arc.toml

ARC_DIR holds ARC-Easy-train.jsonl, ARC-Challenge-test.jsonl and so on; without it (and without
REAL_DATA_DIR/arc) the files of allenai/ai2_arc come from the Hugging Face Hub. What is trained on is cut
80/10/10 from ARC's own training and validation parts. ARC's test parts are never trained on, and a
question that stands in them word for word is left out, so that accuracy there stays comparable.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from space.json_text import parse_json
from train.accuracy import Choice
from train.rows import Row

SETS = ("Easy", "Challenge")
REPO = "allenai/ai2_arc"
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


@dataclass(frozen=True)
class ArcQuestion:
    """One question; `answer` is the place of the right option, `subset` is Easy or Challenge."""

    id: str
    subset: str
    question: str
    options: tuple[str, ...]
    answer: int


def load(*parts: str) -> list[ArcQuestion]:
    """The questions of ARC's own parts (train, validation, test), both sets.

    Raises UserError where none of these parts is there, or a line is no ARC row.
    """
    folder = _folder()
    places = [(subset, part) for part in parts for subset in SETS]
    if not folder:
        return [question for subset, part in places for question in _from_hub(subset, part)]
    paths = [(subset, folder / f"ARC-{subset}-{part}.jsonl") for subset, part in places]
    found = [question for subset, path in paths if path.is_file() for question in read(path, subset)]
    if not found:
        raise UserError(f"{folder} holds no ARC questions of the part {parts[0]}.",
                        f"Put ARC-Easy-{parts[0]}.jsonl or ARC-Challenge-{parts[0]}.jsonl there, or correct ARC_DIR.")
    return found


def read(path: Path, subset: str) -> list[ArcQuestion]:
    """The questions of a JSONL file, in either of the forms that ARC is passed around in."""
    questions = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not a text file in UTF-8.", "Get it again.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            questions.append(_question(parse_json(line), subset))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"Line {number} of {path.name} is not an ARC row ({error!r}).",
                            "It needs id, question, choices, labels and answerKey.") from None
    return questions


def split(pool: Iterable[ArcQuestion], unseen: Iterable[ArcQuestion], seed: int,
          limit: int = 0) -> dict[str, list[ArcQuestion]]:
    """`limit` questions (0: all) of the pool, cut 80/10/10 into train, dev and test.

    Questions with the same words stay together; those that `unseen` also holds are left out. The
    same input and seed give the same cut, whatever the order of the files.
    """
    kept_out = {_key(q) for q in unseen}
    same: dict[str, list[ArcQuestion]] = defaultdict(list)
    for question in pool:
        if _key(question) not in kept_out:
            same[_key(question)].append(question)
    keys = sorted(same)
    random.Random(seed).shuffle(keys)
    chosen = [q for key in keys for q in sorted(same[key], key=lambda q: (q.subset, q.id))][:limit or None]
    cut: dict[str, list[ArcQuestion]] = {part: [] for part in SHARES}
    ends = (round(len(chosen) * SHARES["train"]), round(len(chosen) * (SHARES["train"] + SHARES["dev"])))
    part, last = "train", ""
    for place, question in enumerate(chosen):
        if _key(question) != last:  # a question keeps to the part in which its first copy fell
            part = "train" if place < ends[0] else "dev" if place < ends[1] else "test"
        cut[part].append(question)
        last = _key(question)
    return cut


def training_cut(seed: int, limit: int = 0) -> dict[str, list[ArcQuestion]]:
    """The cut that a recipe with these values trains on."""
    return split(load("train", "validation"), load("test"), seed, limit)


def rows(questions: Iterable[ArcQuestion]) -> list[Row]:
    """Chat rows: the question with its lettered options, and the right letter with its text."""
    return [choice.rows[choice.right] for choice in choices(questions)]


def choices(questions: Iterable[ArcQuestion]) -> list[Choice]:
    """Each question as the rows of all its options."""
    found = []
    for q in questions:
        prompt = prompts.build(prompts.with_options(q.question, q.options))
        found.append(Choice(tuple(Row(f"arc-{q.subset.lower()}-{q.id}", prompt, f"{letter}. {option}")
                                  for letter, option in zip(prompts.LETTERS, q.options, strict=False)), q.answer))
    return found


def identity(cut: Mapping[str, Sequence[ArcQuestion]]) -> dict[str, Any]:
    """Counts of the parts, and a hash of what was trained on and chosen by."""
    text = "\n".join(f"{part} {q!r}" for part in ("train", "dev") for q in cut[part])
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), **{part: len(cut[part]) for part in cut}}


def _folder() -> Path | None:
    named = os.environ.get("ARC_DIR", "").strip()
    if named:
        if not Path(named).is_dir():
            raise UserError(f"ARC_DIR={named} is not a folder.", "Correct it, or unset it to use the Hub.")
        return Path(named)
    beside = Path(os.environ.get("REAL_DATA_DIR", "").strip() or ".") / "arc"
    return beside if os.environ.get("REAL_DATA_DIR", "").strip() and beside.is_dir() else None


def _from_hub(subset: str, part: str) -> list[ArcQuestion]:
    import httpx
    import pyarrow.parquet
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(REPO, f"ARC-{subset}/{part}-00000-of-00001.parquet", repo_type="dataset")
        table = pyarrow.parquet.read_table(path).to_pylist()
    except (httpx.TransportError, OSError, RuntimeError, pyarrow.ArrowException) as error:
        raise UserError(f"ARC's {part} part could not be fetched from the Hugging Face Hub.",
                        "Try again, or set ARC_DIR to a folder with ARC-Easy-train.jsonl and its like.") from error
    return [_question(row, subset) for row in table]


def _question(row: dict[str, Any], subset: str) -> ArcQuestion:
    choices = row["choices"]
    nested = isinstance(choices, dict)  # the Hub's form: {"text": [...], "label": [...]}
    options, labels = (choices["text"], choices["label"]) if nested else (choices, row["labels"])
    if len(options) != len(labels) or not 2 <= len(options) <= len(prompts.LETTERS):
        raise ValueError(f"{len(options)} options, {len(labels)} labels")
    if not all(isinstance(text, str) and text.strip() for text in (row["question"], *options)):
        raise ValueError("an empty question or option")
    return ArcQuestion(str(row["id"]), subset, row["question"].strip(), tuple(text.strip() for text in options),
                       [str(label) for label in labels].index(str(row["answerKey"])))


def _key(question: ArcQuestion) -> str:
    return re.sub(r"\W+", " ", question.question.lower()).strip()
