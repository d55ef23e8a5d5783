"""Metrics that need no judge: key facts and abstention."""

from __future__ import annotations

from space import key_facts
from space.schema import Answer, Example


def score(example: Example, answer: Answer) -> dict[str, float]:
    """Scores 0 or 1 of one answer. `key_facts` (all of them are in the answer) exists for answerable
    questions only, `right_abstention` for unanswerable ones, `wrong_abstention` for answerable ones."""
    abstained = float(key_facts.abstains(answer.text))
    if example.kind == "unanswerable":
        return {"right_abstention": abstained}
    return {"key_facts": float(all(key_facts.hits(example.key_facts, answer.text))),
            "wrong_abstention": abstained}
