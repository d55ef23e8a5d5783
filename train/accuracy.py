"""Accuracy on multiple-choice questions while a model is trained: the metric of the ARC recipes.

Each option is an answer as the training rows have it, letter, text and end token; the one with the lowest summed
loss (the highest log-likelihood) is the model's choice. `eval.arc` measures the same of the exported GGUF, on ARC's
test part and without letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.rows import Row

Encoded = dict[str, list[int]]
"""`input_ids`, `attention_mask`, `labels` (-100 where no loss is taken), all of one length."""


@dataclass(frozen=True)
class Choice:
    """A question with its options: one row for each, the same prompt in all, and the place of the right one."""

    rows: tuple[Row, ...]
    right: int


def accuracy(model: Any, questions: Sequence[tuple[Sequence[Encoded], int]]) -> float:
    """Share of the questions, each (options as token ids, place of the right one), whose right option costs the
    model least; of equals the first is chosen. The model is left in the mode in which it was."""
    import torch

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            costs = [[_cost(model, option) for option in options] for options, _ in questions]
    finally:
        model.train(training)
    hits = [of.index(min(of)) == right for of, (_, right) in zip(costs, questions, strict=True)]
    return sum(hits) / len(hits)


def _cost(model: Any, option: Encoded) -> float:
    """Minus the log-likelihood of the labelled tokens, in nats: the model's own loss is their mean."""
    import torch

    batch = {key: torch.tensor([values], device=model.device) for key, values in option.items()}
    targets = sum(label != -100 for label in option["labels"][1:])
    return float(model(**batch).loss) * targets
