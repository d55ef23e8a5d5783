import random
import re

from train.figures import changed


def change(facts, question, answer, *sentences, seed=1):
    return changed(facts, question, answer, sentences, random.Random(seed))


def test_a_figure_is_changed_alike_wherever_it_stands():
    answer, (right, other) = change(["37B"], "How many?", "It has 37B of 671B.", "V3: 37B active.", "37B or 1.37B?")
    new = re.match(r"It has ([1-9]\d)B of 671B\.$", answer)[1]
    assert new != "37" and right == f"V3: {new}B active." and other == f"{new}B or 1.37B?"


def test_the_form_of_a_number_stays():
    for seed in range(50):
        answer, _ = change(["0.25", "E4M3", "1,024"], "?", "0.25, E4M3 and 1,024.", "0.25 E4M3 1,024", seed=seed)
        assert re.fullmatch(r"0\.[1-9]\d, E[1-9]M[1-9] and [1-9],0\d\d\.", answer) and answer != "0.25, E4M3 and 1,024."


def test_what_the_question_names_or_only_one_side_tells_stays():
    same = ("V3 has 61 layers.", ["V3 has 61 layers."])
    assert change(["61"], "Why 61 layers?", same[0], *same[1]) == same
    told = ("Sixty-one.", ["It has 61 layers."])
    assert change(["61 layers"], "How deep?", told[0], *told[1]) == told
    assert change(["61"], "How deep?", "61.", "It is deep.") == ("61.", ["It is deep."])
    assert change(["layers"], "What?", "layers.", "Of layers.") == ("layers.", ["Of layers."])
