"""The local generator, with an engine whose answers are given."""

from collections.abc import Iterator, Sequence

import pytest

from space import prompts
from space.engine import Request
from space.schema import AnswerEvent, AnswerFailed, Passage, TextDelta
from train.local_questions import LocalWriter, opening_for
from train.units import Unit, UnitFailed

FACT = "In its second year the Atlas railway carried 640 passengers from the harbour to the glacier and back again."
TEXT = f"{FACT} It is red. Nobody in all the years since then has ever found out who it was that painted it."
UNIT = Unit("atlas/1", "atlas", (Passage("atlas#1", TEXT, "atlas", "Atlas", "Railway"),), 3, 7)


class ScriptedEngine:
    """Answers every request with the same text, or fails."""

    def __init__(self, text: str, fails: bool = False) -> None:
        self.text, self.fails = text, fails
        self.prompts: list[str] = []

    def stream(self, requests: Sequence[Request], stop: object = None) -> Iterator[AnswerEvent]:
        for request in requests:
            self.prompts.append(prompts.text(request.prompt))
            key = request.variant.key
            yield AnswerFailed(key, "The model is gone.") if self.fails else TextDelta(key, self.text)


def test_a_sentence_with_a_number_becomes_a_row() -> None:
    engine = ScriptedEngine("did the Atlas railway carry in its second year? And more")
    rows = LocalWriter({"atlas": TEXT}, engine).write(UNIT)
    assert len(rows) == 1  # the other sentences are short or state no number
    row = rows[0].row
    assert row.question == "How many passengers did the Atlas railway carry in its second year?"
    assert (row.id, row.reference, row.key_facts, row.kind) == ("atlas-s07", FACT, ("640",), "number")
    assert row.evidence[0].quote == FACT
    assert engine.prompts[0].endswith("<|im_start|>assistant\nHow many passengers")


def test_a_question_that_gives_the_answer_away_has_no_key_fact() -> None:
    rows = LocalWriter({"atlas": TEXT}, ScriptedEngine("are 640 passengers?")).write(UNIT)
    assert rows[0].row.key_facts == ()


def test_a_failed_answer_fails_the_unit() -> None:
    with pytest.raises(UnitFailed, match="gone"):
        LocalWriter({"atlas": TEXT}, ScriptedEngine("", fails=True)).write(UNIT)


@pytest.mark.parametrize("fact, answer, opening", [
    ("It rose by 15% in May.", "15%", "What percentage of"), ("It came in 2024.", "2024", "In which year"),
    ("It has 37 layers.", "37", "How many layers"), ("It reads 6.6 TiB/s.", "6.6", "What is the")])
def test_the_opening_fits_the_number(fact: str, answer: str, opening: str) -> None:
    assert opening_for(fact, answer) == opening
