"""All prompt text, in one place: used by the chat, the evaluation and the training rows.

A prompt is a tuple of pieces. Pieces with `control` are scaffold and are tokenised with special
tokens on; the others carry what a person or a document wrote and are tokenised with special
tokens off, so that a typed `<|im_start|>` stays plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from space.schema import Passage

SYSTEM = "You are a helpful assistant. Answer in one short sentence."
"""Of six wordings the one with which the untouched small model ends most of its answers (docs/experiments.md)."""
READ = "Answer from the passages alone."
END = "<|im_end|>"
TEMPLATE_MARK = "<|im_start|>"
"""A model whose chat template lacks this mark is not a ChatML model and is refused."""
LETTERS = "ABCDEFGH"
"""Names of the options of a multiple-choice question, in their order."""

Tokenize = Callable[[str, bool], list[int]]
"""(text, special tokens on) -> token ids."""


@dataclass(frozen=True)
class Piece:
    """A stretch of prompt text and whether control tokens inside it are live."""

    text: str
    control: bool


def user_text(question: str, passages: Sequence[Passage] = ()) -> str:
    """The user's turn: the question alone, or behind the numbered passages; where passages carry
    excerpts, behind these alone."""
    if not passages:
        return question
    if any(p.excerpt for p in passages):
        lines = [f"[{n}] {p.title}: {p.excerpt}" for n, p in enumerate(passages, 1) if p.excerpt]
        return "Passages:\n" + "\n".join(lines) + f"\n\n{READ}\nQuestion: {question}"
    blocks = [f"[{n}] {p.title}: {p.heading}\n{p.text}" for n, p in enumerate(passages, 1)]
    return "Passages:\n" + "\n\n".join(blocks) + f"\n\n{READ}\nQuestion: {question}"


def with_options(question: str, options: Sequence[str]) -> str:
    """A multiple-choice question with its options lettered, as one text for the user's turn."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter and the text of the right option."])


def build(question: str, passages: Sequence[Passage] = ()) -> tuple[Piece, ...]:
    """The ChatML prompt up to and including the assistant's opening."""
    return (
        Piece(f"<|im_start|>system\n{SYSTEM}{END}\n<|im_start|>user\n", control=True),
        Piece(user_text(question, passages), control=False),
        Piece(f"{END}\n<|im_start|>assistant\n", control=True),
    )


def messages(question: str, passages: Sequence[Passage] = ()) -> list[dict[str, str]]:
    """The same prompt as chat messages, for libraries that apply the template themselves."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": user_text(question, passages)},
    ]


def encode(pieces: Sequence[Piece], tokenize: Tokenize) -> list[int]:
    """Token ids of a prompt; `tokenize` is llama.cpp's or the training tokenizer's."""
    return [token for piece in pieces for token in tokenize(piece.text, piece.control)]


def text(pieces: Sequence[Piece]) -> str:
    """The prompt as one string, for showing; not for tokenising."""
    return "".join(piece.text for piece in pieces)


_CONTROL = re.compile(r"<\|(\w*)\|>")
_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)


def turns(pieces: Sequence[Piece]) -> list[dict[str, str]]:
    """The prompt as chat messages for a server, which tokenises everything with special tokens on: control
    tokens that a person or a document wrote get a space inside, so that they stay text."""
    whole = "".join(p.text if p.control else _CONTROL.sub(r"<| \1 |>", p.text) for p in pieces)
    return [{"role": role, "content": content} for role, content in _TURN.findall(whole)]
