"""The questions of AI2 ARC (Clark et al., 2018, arXiv:1803.05457) from local JSONL files.

One file per set and split, ARC-Easy-test.jsonl and so on, with the columns `id`, `question`,
`choices` and `labels` (two lists), `answerKey`; or `choices` as the Hub's allenai/ai2_arc has it,
{"text": [...], "label": [...]}.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from space.errors import UserError
from space.json_text import parse_json

SETS = {"easy": "Easy", "challenge": "Challenge"}
SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class ArcQuestion:
    """A question with its options; `gold` is the place of the right one."""

    id: str
    set: str  # easy | challenge
    question: str
    options: tuple[str, ...]
    gold: int


def find_folder(named: Path | None) -> Path:
    """The folder of the ARC files: the one named, else `arc` inside REAL_DATA_DIR."""
    if named is not None:
        folder = named
    elif base := os.environ.get("REAL_DATA_DIR", "").strip():
        folder = Path(base) / "arc"
    else:
        raise UserError("The ARC questions do not come with this program.",
                        "Name the folder of ARC-Easy-test.jsonl and the others with --data DIR.")
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder} with ARC questions.",
                        "Name the folder of ARC-Easy-test.jsonl and the others with --data DIR.")
    return folder


def load(folder: Path, name: str, split: str) -> list[ArcQuestion]:
    """The questions of the set `name` (easy | challenge) in file order.

    Raises UserError for a missing file and for a line that is no ARC question.
    """
    path = folder / f"ARC-{SETS[name]}-{split}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(p.name for p in folder.glob("ARC-*.jsonl"))) or "none"
        raise UserError(f"{path.name} cannot be read in {folder}.",
                        f"Choose --set and --split of a file that is there ({there}).") from error
    questions = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            questions.append(_question(parse_json(line), name))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"Line {number} of {path.name} is not an ARC question.",
                            "It needs id, question, choices, labels and an answerKey among the labels.") from None
    if not questions:
        raise UserError(f"{path.name} holds no questions.", "Get the file anew.")
    return questions


def _question(row: dict, name: str) -> ArcQuestion:
    choices = row["choices"]
    options, labels = (choices["text"], choices["label"]) if isinstance(choices, dict) else (choices, row["labels"])
    if len(options) != len(labels) or len(options) < 2 or not all(option.strip() for option in options):
        raise ValueError
    return ArcQuestion(str(row["id"]), name, row["question"].strip(), tuple(option.strip() for option in options),
                       labels.index(row["answerKey"]))
