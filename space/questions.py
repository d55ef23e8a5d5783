"""Questions: what a visitor may ask, and the shipped questions with their reference answers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from space import sums
from space.errors import UserError
from space.json_text import parse_json
from space.schema import Evidence, Example, Passage
from space.settings import ASSETS, load_settings
from space.shapes import check_shape

QUESTIONS = ASSETS / "qa" / "questions.jsonl"
PARTS = ("train", "dev", "heldout", "paraphrase")
KINDS = ("fact", "number", "explain", "compare", "unanswerable")

_BIDI = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def clean_question(raw: object) -> str:
    """The question as plain text: NFC, no control or text-direction characters, single spaces.

    Raises UserError where it is no text, empty, without a letter or digit, or too long.
    """
    if not isinstance(raw, str):
        raise UserError("The question is not text.", "Type a question.")
    limit = load_settings().max_question_chars
    if len(raw) > limit:
        raise UserError(f"The question has {len(raw):,} characters; at most {limit:,} are read.",
                        "Please shorten it.")
    text = raw.encode("utf-8", "replace").decode("utf-8").translate(_BIDI)
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    text = re.sub(r"\s+", " ", text).strip()
    if not text:
        raise UserError("The question is empty.", "Type a question, or pick one of the examples.")
    if not any(c.isalnum() for c in text):
        raise UserError("There are no words in the question.", "Please ask in words.")
    return text


def load_examples(path: Path = QUESTIONS, part: str = "") -> list[Example]:
    """The examples of a JSONL file, all or those of one part.

    Raises UserError with the line's number where a line is not a valid example, and for a file that is not the one
    the folder's sums name.
    """
    if path.name in sums.names(path.parent):
        sums.check(path.parent, [path.name], "python -m train.data seal")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"The question file {path.name} is missing.", f"Looked for {path}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not a text file in UTF-8 ({error.reason} at byte {error.start}).",
                        "Save it as UTF-8.") from None
    examples = [_example(line, n, path) for n, line in enumerate(lines, 1) if line.strip()]
    return [e for e in examples if not part or e.split == part]


def _example(line: str, number: int, path: Path) -> Example:
    try:
        row = parse_json(line)
        example = check_shape(Example(
            id=row["id"], question=row["question"], reference=row["reference"],
            evidence=tuple(Evidence(e["document"], e["quote"]) for e in row["evidence"]),
            key_facts=tuple(row["key_facts"]), kind=row["kind"], split=row.get("split", ""),
            paraphrase_of=row.get("paraphrase_of", "")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"Line {number} of {path.name} is not a question row ({error!r}).",
                        "Each line is a JSON object as described in assets/qa/README.md.") from None
    if example.kind not in KINDS or example.split not in (*PARTS, ""):
        raise UserError(f"Line {number} of {path.name} has kind {example.kind!r} and split "
                        f"{example.split!r}.", "See assets/qa/README.md for the values.")
    return example


def topic(example: Example) -> str:
    """The document a question belongs to: its id without the running number (`3fs-03`, and its
    paraphrase `3fs-03-p`, belong to `3fs`)."""
    return re.sub(r"-\d+(?:-p)?$", "", example.id)


def evidence_passages(example: Example, passages: Sequence[Passage]) -> list[list[str]]:
    """For each quote of the example, the ids of the passages that hold it (or its beginning, where
    the cut falls inside the quote)."""
    return [_holding(e, [p for p in passages if p.source == e.document]) for e in example.evidence]


def _holding(evidence: Evidence, passages: Iterable[Passage]) -> list[str]:
    quote = squeeze(evidence.quote)
    texts = [(p.id, squeeze(p.text)) for p in passages]
    whole = [id_ for id_, text in texts if quote in text]
    if whole:
        return whole
    first = re.split(r"(?<=[.!?]) ", quote)[0]
    return [id_ for id_, text in texts if first in text]


def squeeze(text: str) -> str:
    """Text with every run of white space as one space."""
    return re.sub(r"\s+", " ", text).strip()
