from dataclasses import replace

import pytest

from space import vote_card, votes
from space.errors import UserError
from space.settings import load_settings
from tests.space.test_cards import EXAMPLE, compared

BLIND = compared(blind=True, order=("tuned", "plain", "tuned_rag"))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VOTES_DIR", str(tmp_path / "votes"))
    load_settings.cache_clear()
    yield tmp_path / "votes"
    load_settings.cache_clear()


def test_a_vote_is_appended_and_says_nothing_about_the_person(folder):
    votes.record(replace(BLIND, question="My name is Ann"), "plain")
    votes.record(replace(BLIND, example=EXAMPLE), votes.TIE)
    first, second = votes.read(folder)
    assert (first.choice, first.order, first.question) == ("plain", BLIND.order, "")
    assert (second.choice, second.question) == ("tie", "doc-01")
    assert first.models["tuned"] == "ab" * 6 + "+" + "cd" * 6
    text = next(folder.glob("votes-*.jsonl")).read_text()
    assert "Ann" not in text and text.count("\n") == 2 and len(first.day) == 10


def test_lines_that_are_no_votes_are_left_out(folder):
    votes.record(BLIND, "plain")
    with next(folder.glob("votes-*.jsonl")).open("a") as file:
        file.write('{"choice": "plain"}\n[1]\nnull\n{"day": "2026-01-01", "choice": "plain", "order"')
    assert len(list(votes.read(folder))) == 1
    assert not list(votes.read(folder / "nowhere"))


def test_votes_of_earlier_starts_count_once(folder):
    votes.record(BLIND, "plain")
    own = next(folder.glob("votes-*.jsonl"))
    hub = folder / "hub" / "votes"
    hub.mkdir(parents=True)
    (hub / own.name).write_text(own.read_text())
    (hub / "votes-other.jsonl").write_text(own.read_text())
    assert len(list(votes.read(folder))) == 2


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOTES_DIR", str(tmp_path / "file" / "votes"))
    load_settings.cache_clear()
    try:
        with pytest.raises(UserError, match="could not be kept"):
            votes.record(BLIND, "plain")
    finally:
        load_settings.cache_clear()


@pytest.mark.parametrize(  # values of statsmodels' proportion_confint(method="wilson")
    "count, total, low, high",
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1.0), (60, 100, 0.502, 0.6906)],
)
def test_wilson_intervals(count, total, low, high):
    assert votes.wilson(count, total) == pytest.approx((low, high), abs=2e-4)


def test_win_rates_have_counts_and_intervals(folder):
    for choice in ("tuned_rag", "tuned_rag", "tuned_rag", "plain", votes.TIE):
        votes.record(BLIND, choice)
    shares = {s.choice: s for s in votes.tally()}
    assert {k: s.count for k, s in shares.items()} == {"plain": 1, "tuned": 0, "tuned_rag": 3, "tie": 1}
    assert all(s.low <= s.share <= s.high and s.total == 5 for s in shares.values())
    html = vote_card.vote_card()
    assert "5 votes" in html and "60%" in html and html.count("<tr>") == 5


def test_without_votes_the_card_says_how_to_vote(folder):
    assert votes.tally() == () and "There are no votes yet" in vote_card.vote_card()
