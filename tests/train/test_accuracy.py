"""The metric accuracy: which option a model would choose."""

from types import SimpleNamespace

import pytest

from train.accuracy import accuracy
from train.arc_rows import ArcQuestion, choices, rows

torch = pytest.importorskip("torch")


class Model(torch.nn.Module):
    """Its loss is the mean of the labelled ids / 100, so the cost of an option is the sum of its answer's ids."""

    def __init__(self):
        super().__init__()
        self.device = torch.device("cpu")
        self.modes = []

    def forward(self, input_ids, attention_mask, labels):
        self.modes.append(self.training)
        assert input_ids.shape == attention_mask.shape == labels.shape and not torch.is_grad_enabled()
        asked = labels[:, 1:]
        return SimpleNamespace(loss=asked[asked != -100].float().mean() / 100)


def option(*answer):
    ids = [1, 2, *answer]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100, -100, *answer]}


def test_the_option_that_costs_least_in_sum_is_chosen():
    model = Model().train()
    questions = [([option(50), option(9, 9, 9)], 1),  # 27 < 50, though longer
                 ([option(10, 90), option(60)], 0),  # 100 > 60: wrong, though its mean is lower
                 ([option(7), option(7)], 0)]  # equal: the first
    assert accuracy(model, questions) == pytest.approx(2 / 3)
    assert model.training and not any(model.modes)


def test_a_question_is_one_row_for_each_option_with_the_same_prompt():
    question = ArcQuestion("q", "Easy", "Which is iron?", ("a leaf", "a nail", "a cloud"), 1)
    [choice] = choices([question])
    assert [row.answer for row in choice.rows] == ["A. a leaf", "B. a nail", "C. a cloud"]
    assert len({row.prompt for row in choice.rows}) == 1 and [choice.rows[choice.right]] == rows([question])
