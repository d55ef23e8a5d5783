"""Follow-up questions: "and V3?" is read together with the question before it.

The columns are given one question text, made of the earlier questions and the new one; answers are never
part of it. docs/decisions/006-follow-up-questions.md says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TURNS = 2
"""Earlier questions that are read with a follow-up: the first one and the last one."""
_OPENING = re.compile(r"(?:and|or|but|also|what about|how about|what of|same for)\b|(?:why|how come|since when)\W*$",
                      re.I)


def is_follow_up(question: str) -> bool:
    """Whether a question plainly leans on the one before it: "and V3?", "what about MATH-500?", "why?"."""
    return _OPENING.match(question.strip()) is not None


def remembered(earlier: Sequence[str], question: str) -> tuple[str, ...]:
    """The questions to keep for the next follow-up: the one that opened the topic, and the newest."""
    turns = [*earlier, question]
    return tuple(turns if len(turns) <= TURNS else [turns[0], *turns[-(TURNS - 1):]])


def full_question(earlier: Sequence[str], question: str, limit: int) -> str:
    """What is searched and asked: the earlier questions and this one, at most `limit` characters; where
    they are too long together, the newest question comes first and the older ones are left out."""
    kept: list[str] = [question]
    for turn in reversed(earlier):
        if len(" ".join([turn, *kept])) > limit:
            break
        kept.insert(0, turn)
    return " ".join(kept)
