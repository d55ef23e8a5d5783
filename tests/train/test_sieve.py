"""Each filter removes what it is for, and counts it."""

from dataclasses import replace

import pytest

from space.corpus import Document
from space.schema import Evidence, Example, Passage
from train import sieve

FACT = "In its second year the Atlas railway carried 640 passengers from the harbour to the glacier and back again."
DOCUMENT = Document("atlas", {"title": "Atlas"}, FACT + "\n")
GOOD = Example("atlas-s01", "How many passengers took the Atlas railway in its second year?", FACT,
               (Evidence("atlas", FACT),), ("640",), "number", "")


class OnePassage:
    """A retriever that always finds the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        return (Passage("atlas#1", self.text, "atlas", "Atlas", "Railway"),)


@pytest.mark.parametrize("change, name", [
    ({"reference": "640 passengers."}, sieve.LENGTH),
    ({"question": "How many passengers does the passage count?"}, sieve.ALONE),
    ({"question": "What does the context say of passengers?"}, sieve.ALONE),
    ({"question": ""}, sieve.ALONE),
    ({"evidence": (Evidence("atlas", "It carried 641 passengers."),)}, sieve.EVIDENCE),
    ({"evidence": ()}, sieve.EVIDENCE),
    ({"key_facts": ()}, sieve.FACTS),
    ({"question": "Did the Atlas railway carry 640 passengers?"}, sieve.FACTS),
])
def test_a_row_with_a_fault_is_removed_under_its_name(change: dict, name: str) -> None:
    result = sieve.sift([replace(GOOD, **change)], [DOCUMENT], [])
    assert not result.kept and result.removed == {name: 1}


def test_the_round_trip_wants_the_own_passage() -> None:
    assert sieve.sift([GOOD], [DOCUMENT], [], OnePassage(FACT)).kept == [GOOD]
    assert sieve.sift([GOOD], [DOCUMENT], [], OnePassage("Bananas.")).removed == {sieve.FOUND: 1}


def test_what_is_asked_already_is_removed_whoever_asked_it() -> None:
    again = replace(GOOD, id="atlas-s02", question="In its second year, how many passengers took the Atlas railway?")
    assert sieve.sift([GOOD, again], [DOCUMENT], []).kept == [GOOD]
    assert sieve.sift([GOOD], [DOCUMENT], [again]).removed == {sieve.NEW: 1}
