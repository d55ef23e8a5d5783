import random

import pytest

from eval.corrupt import change_name, change_number, contradict
from space.key_facts import abstains, contains
from space.questions import load_examples
from train.evidence import numbers

OTHERS = ["DeepSeek-V3 was trained on 14.8T tokens with 2048 GPUs and DualPipe.", "FlashMLA reaches 660 TFLOPS."]


@pytest.mark.parametrize("seed", range(20))
def test_a_changed_number_is_another_number_of_the_same_kind(seed):
    wrong = change_number("It was trained on 8.1T tokens.", OTHERS, random.Random(seed))
    assert wrong.startswith("It was trained on ") and wrong.endswith("T tokens.")
    assert not contains("8.1T", wrong) and len(numbers(wrong)) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_changed_name_comes_from_elsewhere(seed):
    wrong = change_name("FlashMLA is a library for decoding.", OTHERS, random.Random(seed))
    assert wrong != "FlashMLA is a library for decoding." and "library for decoding" in wrong
    assert "FlashMLA" not in wrong


@pytest.mark.parametrize("text, wrong", [
    ("It is fast.", "It is not fast."), ("It does not fit.", "It does fit."), ("It cannot fit.", "It can fit."),
    ("Costs went up with higher load.", "Costs went up with lower load.")])
def test_the_sense_is_turned(text, wrong):
    assert wrong in {contradict(text, [], random.Random(seed)) for seed in range(20)}


@pytest.mark.parametrize("change", [change_number, change_name, contradict])
def test_where_there_is_nothing_to_change_there_is_no_wrong_answer(change):
    assert change("yes", [], random.Random(1)) == "" and change("", OTHERS, random.Random(1)) == ""


@pytest.mark.parametrize("change", [change_number, change_name, contradict])
def test_every_shipped_reference_is_really_changed_and_the_same_way_each_time(change):
    changed = 0
    for example in load_examples():
        if example.kind == "unanswerable":
            continue
        wrong = change(example.reference, OTHERS, random.Random(example.id))
        assert wrong == change(example.reference, OTHERS, random.Random(example.id)) != example.reference
        changed += bool(wrong)
        assert not abstains(wrong) or abstains(example.reference)
    assert changed > 150
