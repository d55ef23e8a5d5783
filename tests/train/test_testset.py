"""The parts of the ragas side that need no ragas."""

from types import SimpleNamespace

from train.ragas_parts import ReversibleTokenizer
from train.testset import known_personas, shared_entities


def test_the_tokenizer_gives_back_what_it_was_given() -> None:
    text = "  3FS, the Fire-Flyer File System:\n\n| Naïve | 6.6 TiB/s |\n" + "DeepSeek-V3 \U0001f600 " * 400
    tokenizer = ReversibleTokenizer()
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert len(tokens) > 1000  # nothing is cut off at the embedder's length
    assert tokenizer.decode(tokens[:5]) == text[:len(tokenizer.decode(tokens[:5]))]


def test_passages_are_tied_by_the_same_name_not_by_a_similar_one() -> None:
    assert shared_entities([["DeepSeek-V2", "MLA"], ["DeepSeek-V3"], ["mla"]]) == [(0, 2, ["MLA"])]


def test_what_most_passages_name_ties_nothing() -> None:
    assert shared_entities([["3FS", "USRBIO"], ["3FS"], ["3FS"], ["3FS", "USRBIO"]]) == [(0, 3, ["USRBIO"])]


def test_invented_personas_are_left_out() -> None:
    given = SimpleNamespace(personas=[SimpleNamespace(name="Student")], themes=["loss"])
    assert known_personas(SimpleNamespace(mapping={"Student": ["loss"], "Pirate": ["gold"]}), given).mapping == {
        "Student": ["loss"]}
    assert known_personas(SimpleNamespace(mapping={"Pirate": ["gold"]}), given).mapping == {"Student": ["loss"]}
