"""The plan of units and the file that remembers them."""

from pathlib import Path

import pytest

from space.chat_client import Usage
from space.corpus import Document
from space.errors import UserError
from space.schema import Evidence, Example
from train.units import Ledger, Unit, Written, plan

SENTENCE = "The Alpha engine number {n} reads {n}00 pages a second on one core. "


def document(name: str, paragraphs: int) -> Document:
    text = "\n\n".join(f"## Part {n}\n\n" + SENTENCE.format(n=n) * 3 for n in range(1, paragraphs + 1))
    return Document(name, {"title": name}, text)


def written(unit: Unit) -> list[Written]:
    return [Written(Example(unit.row_id(n), "Q?", "R.", (Evidence(unit.document, "R."),), ("R",), "fact", ""), "me")
            for n in range(unit.questions)]


def test_the_plan_asks_for_the_size_and_numbers_rows_once() -> None:
    documents = [document("a", 20), document("b", 7), document("c", 1)]
    for size in (1, 5, 30, 56):
        units = plan(documents, size)
        ids = [u.row_id(n) for u in units for n in range(u.questions)]
        assert len(ids) == len(set(ids)) == size
        assert plan(documents, size) == units
    assert max(len(u.passages) for u in plan(documents, 56)) <= 6


def test_a_corpus_that_is_too_small_gives_what_it_has_room_for() -> None:
    assert sum(u.questions for u in plan([document("a", 2)], 1000)) == 8


def test_a_small_size_reads_few_passages() -> None:
    assert len(plan([document("a", 60)], 6)) == 2


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "x.raw.jsonl", {"size": 30})
    made.open()
    return made


def test_whatever_a_kill_left_behind_only_closed_units_count(ledger: Ledger) -> None:
    first, second = plan([document("a", 12)], 12)
    ledger.close_unit(first, written(first), Usage(1, 0, 10, 5))
    good = ledger.path.stat().st_size
    ledger.close_unit(second, written(second), Usage(1, 0, 10, 5))
    whole = ledger.path.read_bytes()
    for cut in range(good, len(whole), 37):
        ledger.path.write_bytes(whole[:cut])
        again = Ledger(ledger.path, ledger.settings)
        again.open()
        assert list(again.done) == [first.key] and again.spent == Usage(1, 0, 10, 5)
        assert ledger.path.stat().st_size == good
        again.close_unit(second, written(second), Usage(1, 0, 10, 5))
        assert ledger.path.read_bytes() == whole


def test_a_failed_unit_stays_open_and_its_cost_is_counted(ledger: Ledger) -> None:
    unit = plan([document("a", 3)], 3)[0]
    ledger.fail_unit(unit, "no answer", Usage(4, 1, 100, 20))
    again = Ledger(ledger.path, ledger.settings)
    again.open()
    assert not again.done and again.spent == Usage(4, 1, 100, 20)


def test_other_settings_and_other_files_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another size"):
        Ledger(ledger.path, {"size": 31}).open()
    stranger = tmp_path / "stranger.raw.jsonl"
    stranger.write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match="not written by this command"):
        Ledger(stranger, {"size": 1}).open()
    assert stranger.read_text() == '{"id": "a"}\n'


def test_a_header_torn_by_a_kill_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.raw.jsonl"
    path.write_text('{"settin')
    Ledger(path, {"size": 1}).open()
    assert path.read_text() == '{"settings": {"size": 1}}\n'
