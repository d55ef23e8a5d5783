"""Quotes and key facts picked by rule."""

from space.schema import Evidence, Passage
from train import evidence

BODY = """# Atlas

## Speed

Atlas reads 6.6 TiB/s from 180 storage nodes
under load. It was built by Meridian Labs for training. Writes are slower.

| Test | Result |
| --- | --- |
| Cold start | 41 seconds |
| Warm start | 8 seconds |
"""
TEXT = ("Atlas reads 6.6 TiB/s from 180 storage nodes under load. It was built by Meridian Labs for training. "
        "Writes are slower.\n\n"
        "| Test | Result |\n| --- | --- |\n| Cold start | 41 seconds |\n| Warm start | 8 seconds |")
PASSAGE = Passage("atlas#1", TEXT, "atlas", "Atlas", "Speed")


def test_a_quote_stands_in_the_document_as_it_is_wrapped_there() -> None:
    score, quote = evidence.best_quote("Under load, 180 nodes give Atlas 6.6 TiB/s.", TEXT, BODY)
    assert quote == "Atlas reads 6.6 TiB/s from 180 storage nodes\nunder load."
    assert quote in BODY and score > 0


def test_a_table_row_can_be_the_quote() -> None:
    assert evidence.best_quote("A warm start takes 8 seconds.", TEXT, BODY)[1] == "| Warm start | 8 seconds |"


def test_nothing_in_common_gives_no_quote() -> None:
    assert evidence.best_quote("Bananas grow quickly.", TEXT, BODY) == (0.0, "")


def test_key_facts_are_numbers_that_the_question_does_not_give_away() -> None:
    quote = "Atlas reads 6.6 TiB/s from 180 storage nodes under load."
    assert evidence.key_facts("How fast is Atlas with 180 nodes?", "With 180 nodes Atlas reads 6.6 TiB/s.",
                              [quote]) == ("6.6",)


def test_names_serve_where_there_is_no_number() -> None:
    quote = "It was built by Meridian Labs for training."
    assert evidence.key_facts("Who built Atlas?", "Atlas was built by Meridian Labs.", [quote]) == ("Meridian Labs",)


def test_a_fact_that_only_the_reference_has_is_none() -> None:
    assert evidence.key_facts("How fast?", "It reads 9.9 TiB/s.", ["It reads 6.6 TiB/s."]) == ()


def test_numbers_keep_their_unit_and_names_with_digits_are_no_numbers() -> None:
    text = "3FS, OpenAI-o1-1217 and DeepSeek-V2 use 8 GPUs, 671B, 1,234 steps, 95% and 128x128."
    assert evidence.numbers(text) == ["8 GPUs", "671B", "1,234", "95%"]
    assert {"3FS", "OpenAI-o1-1217"} <= set(evidence.terms(text))


def test_rows_of_one_and_of_two_passages() -> None:
    other = Passage("beta#1", "Beta reads 2.5 TiB/s from nine nodes.", "beta", "Beta", "Speed")
    bodies = {"atlas": BODY, "beta": other.text}
    one = evidence.make_row("atlas-s01", " Who  built Atlas? ", "Atlas was built by Meridian Labs.", [PASSAGE], bodies)
    assert (one.kind, one.question, one.split) == ("fact", "Who built Atlas?", "")
    two = evidence.make_row("atlas-s02", "Which is faster?", "Atlas reads 6.6 TiB/s and Beta 2.5 TiB/s.",
                            [PASSAGE, other], bodies)
    assert two.kind == "compare"
    assert two.key_facts == ("6.6", "2.5")
    assert two.evidence[1] == Evidence("beta", "Beta reads 2.5 TiB/s from nine nodes.")
