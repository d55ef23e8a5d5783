from dataclasses import replace

from eval.retrieval import facts_in_sentences, sentence_table
from space.schema import Evidence, Example, Passage
from tests.fakes import FakeRetriever

PASSAGE = Passage("d#1", "It rains. The answer is 42. Or else it is 43.", "d", "t", "h")
ONE = Example("d-1", "What is it?", "42", (Evidence("d", "The answer is 42."),), ("42",), "number", "dev")
BOTH = replace(ONE, id="d-2", key_facts=("42", "43"))


def test_an_example_counts_from_the_sentence_that_completes_its_key_facts():
    assert facts_in_sentences([ONE, BOTH], FakeRetriever((PASSAGE,)), 3, 4) == [0, 0.5, 1, 1]


def test_the_table_has_a_column_a_sentence():
    head, _, row = sentence_table([0.5, 1])
    assert head == "| best sentences | 1 | 2 |" and "0.500 | 1.000" in row
