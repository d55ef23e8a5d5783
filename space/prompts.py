"""All prompt text, in one place: used by the chat, the evaluation and the training rows.

A prompt is a tuple of pieces. Pieces with `control` are scaffold and are tokenised with special
tokens on; the others carry what a person or a document wrote and are tokenised with special
tokens off, so that a typed `<|im_start|>` stays plain text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

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
    """A stretch of prompt text and whether control tokens inside it are live; `passages` are the ranges of characters
    in it that are passages, without their numbers, and `question` is the character at which the question begins
    behind them."""

    text: str
    control: bool
    passages: tuple[tuple[int, int], ...] = ()
    question: int = 0


def user_text(question: str, passages: Sequence[Passage] = ()) -> str:
    """The user's turn: the question alone, or behind the numbered passages; where passages carry
    excerpts, behind these alone."""
    if not passages:
        return question
    blocks = [f"[{n}] {body}" for n, body in enumerate(_bodies(passages), 1)]
    gap = "\n" if any(p.excerpt for p in passages) else "\n\n"
    return f"Passages:\n{gap.join(blocks)}\n\n{READ}\nQuestion: {question}"


def _bodies(passages: Sequence[Passage]) -> list[str]:
    """What stands behind the number of each passage that is read."""
    if any(p.excerpt for p in passages):
        return [f"{p.title}: {p.excerpt}" for p in passages if p.excerpt]
    return [f"{p.title}: {p.heading}\n{p.text}" for p in passages]


def _ranges(text: str, passages: Sequence[Passage]) -> tuple[tuple[int, int], ...]:
    """Where in `text` the passages stand, in characters."""
    ranges, at = [], 0
    for body in _bodies(passages):
        start = text.find(body, at)
        at = start + len(body)
        ranges.append((start, at))
    return tuple(ranges)


def with_options(question: str, options: Sequence[str]) -> str:
    """A multiple-choice question with its options lettered, as one text for the user's turn."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter and the text of the right option."])


def build(question: str, passages: Sequence[Passage] = ()) -> tuple[Piece, ...]:
    """The ChatML prompt up to and including the assistant's opening."""
    text = user_text(question, passages)
    return (
        Piece(f"<|im_start|>system\n{SYSTEM}{END}\n<|im_start|>user\n", control=True),
        Piece(text, control=False, passages=_ranges(text, passages), question=len(text) - len(question)),
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
    return [token for tokens in tokenized(pieces, tokenize) for token in tokens]


def tokenized(pieces: Sequence[Piece], tokenize: Tokenize) -> list[list[int]]:
    """Token ids of each piece."""
    return [tokenize(piece.text, piece.control) for piece in pieces]


def tokens_before_question(pieces: Sequence[Piece], parts: Sequence[Sequence[int]],
                           piece: Callable[[int], bytes]) -> int:
    """How many tokens of a prompt with passages are the same whatever is asked of these; arguments as below."""
    before = 0
    for part, tokens in zip(pieces, parts, strict=True):
        if part.passages:
            ends = _ends(tokens, piece)
            return before + bisect_right(ends, _bytes_before(part, part.question))
        before += len(tokens)
    return 0


def passage_tokens(pieces: Sequence[Piece], parts: Sequence[Sequence[int]],
                   piece: Callable[[int], bytes]) -> list[tuple[int, int]]:
    """For each passage of a prompt the range of its tokens in the whole, without those that it shares with what stands
    around it; `parts` are the tokens of each piece, `piece` gives the bytes of a token."""
    found, before = [], 0
    for part, tokens in zip(pieces, parts, strict=True):
        if part.passages:
            ends = _ends(tokens, piece)
            starts = [0, *ends]
            for first, last in part.passages:
                begin, end = _bytes_before(part, first), _bytes_before(part, last)
                inside = bisect_left(starts, begin), bisect_right(ends, end)
                found.append((before + inside[0], before + max(inside)))
        before += len(tokens)
    return found


def _ends(tokens: Sequence[int], piece: Callable[[int], bytes]) -> list[int]:
    """How many bytes of text the tokens are up to and with each."""
    return list(accumulate(len(piece(token)) for token in tokens))


def _bytes_before(part: Piece, character: int) -> int:
    return len(part.text[:character].encode("utf-8", "replace"))


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
