from dataclasses import replace

import pytest

from space.key_facts import abstains
from space.schema import Evidence, Example, Passage
from tests.fakes import FakeRetriever
from train.config import Recipe
from train.rows import dev_rows, training_rows

RECIPE = Recipe(name="t", base="embedded", rag_rows=1, rag_passages=3)
GOLD = Passage("d#1", "The answer is 42.", "d", "t", "h")
OTHERS = [Passage(f"d#{n}", f"Other fact {n}.", "d", "t", "h") for n in range(2, 7)]
EXAMPLES = [
    Example(
        f"d-{n}",
        f"Question {n}?",
        "The answer is 42.",
        (Evidence("d", "The answer is 42."),),
        ("42",),
        "number",
        "train",
    )
    for n in range(200)
]


def test_each_question_stands_alone_and_behind_passages():
    rows = training_rows(EXAMPLES, RECIPE, FakeRetriever([GOLD, *OTHERS]))
    alone = [r for r in rows if r.prompt[1].text.startswith("Question")]
    assert len(rows) == 400 and len(alone) == 200
    assert all(r.answer == "The answer is 42." for r in alone)


def test_with_the_evidence_it_answers_without_it_abstains():
    rows = [
        r
        for r in training_rows(EXAMPLES, RECIPE, FakeRetriever([*OTHERS[:3], GOLD, *OTHERS[3:]]))
        if r.prompt[1].text.startswith("Passages")
    ]
    missing = [r for r in rows if GOLD.text not in r.prompt[1].text]
    assert 3 <= len(missing) <= 30
    assert all(abstains(r.answer) for r in missing)
    assert not any(abstains(r.answer) for r in rows if r not in missing)
    assert {r.prompt[1].text.count("\n[") + r.prompt[1].text.startswith("Passages:\n[") for r in rows} <= {1, 2, 3, 4}
    positions = {r.prompt[1].text.split(GOLD.text)[0].count("[") for r in rows if r not in missing}
    assert len(positions) > 1  # the right passage is not always at the same place


def test_rows_are_reproducible():
    first, second = (training_rows(EXAMPLES, RECIPE, FakeRetriever([GOLD, *OTHERS])) for _ in range(2))
    assert first == second
    assert training_rows(EXAMPLES, replace(RECIPE, seed=1), FakeRetriever([GOLD, *OTHERS])) != first


def test_without_rag_rows_nothing_is_retrieved():
    assert len(training_rows(EXAMPLES, replace(RECIPE, rag_rows=0), None)) == 200
    assert len(dev_rows(EXAMPLES[:5], RECIPE, FakeRetriever([GOLD]))) == 10


@pytest.mark.model
def test_the_loss_is_on_the_answer_and_its_end_alone(base_gguf):
    from space.errors import UserError
    from train.base import load_tokenizer
    from train.tune import encode_rows

    tokenizer = load_tokenizer(base_gguf)
    row = dev_rows(EXAMPLES[:1], replace(RECIPE, rag_rows=0), None)[0]
    encoded = encode_rows([row], tokenizer, 512)[0]
    learned = [t for t in encoded["labels"] if t != -100]
    assert tokenizer.decode(learned) == "The answer is 42.<|im_end|>"
    assert encoded["input_ids"][-len(learned) :] == learned
    assert tokenizer.pad_token_id != tokenizer.eos_token_id == learned[-1]
    with pytest.raises(UserError, match="more than max_length = 64"):
        encode_rows([replace(row, answer="word " * 100)], tokenizer, 64)
