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


READING = replace(RECIPE, rag_rows=3, rag_sentences=3, missing_share=0.0)
PROSE = Passage("d#1", "It rains. Of all answers, the answer is 42. It rains again.", "d", "t", "h")
TABLE = Passage("d#1", "| what | answer |\n|---|---|\n| all | the answer is 42 |", "d", "t", "h")


def behind_sentences(recipe, passage, examples=EXAMPLES[:20]):
    rows = training_rows(examples, recipe, FakeRetriever([passage, *OTHERS]))
    return [r for r in rows if r.prompt[1].text.startswith("Passages")]


def test_rows_with_sentences_carry_one_two_and_three_of_them_with_the_right_one_among_them():
    rows = behind_sentences(READING, PROSE)
    texts = [r.prompt[1].text for r in rows]
    assert len(rows) == 60 and all("the answer is 42." in t for t in texts)
    assert {t.count("It rains") for t in texts} == {0, 1, 2}
    assert all(r.answer == "The answer is 42." for r in rows)


def test_a_recipe_may_teach_to_quote_the_sentence_that_tells():
    quoting = replace(READING, rag_answer="quote")
    assert {r.answer for r in behind_sentences(quoting, PROSE)} == {"Of all answers, the answer is 42."}
    reference = {"The answer is 42."}
    assert {r.answer for r in behind_sentences(quoting, TABLE)} == reference, "a row of a table is no sentence"
    lacking = [replace(e, key_facts=("42", "43")) for e in EXAMPLES[:20]]
    assert {r.answer for r in behind_sentences(quoting, PROSE, lacking)} == reference, "the quote lacks a key fact"


def test_a_recipe_may_carry_two_sentences_in_every_row_and_draw_the_wrong_one():
    drawing = replace(READING, rag_sentences=2, rag_drawn=True)
    texts = [r.prompt[1].text for r in behind_sentences(drawing, PROSE)]
    wrong = [[part for part in ("It rains.", "It rains again.", "Other fact") if part in text] for text in texts]
    assert all("the answer is 42." in text for text in texts) and {len(parts) for parts in wrong} == {1}
    assert len({parts[0] for parts in wrong}) == 3


def test_a_recipe_may_change_the_figures_alike_in_sentence_and_answer():
    changing = replace(READING, rag_sentences=2, changed_share=0.5)
    rows = behind_sentences(changing, PROSE)
    figures = [r.answer.removeprefix("The answer is ").rstrip(".") for r in rows]
    assert all(f"the answer is {figure}." in r.prompt[1].text for figure, r in zip(figures, rows, strict=True))
    assert 15 <= sum(figure != "42" for figure in figures) <= 45
    assert behind_sentences(changing, PROSE) == rows
    alone = [r for r in training_rows(EXAMPLES[:20], changing, FakeRetriever([PROSE])) if "Passages" not in str(r)]
    assert {r.answer for r in alone} == {"The answer is 42."}
