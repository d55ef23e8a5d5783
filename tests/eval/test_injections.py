import pytest

from eval.bench import injections
from eval.bench.injections import INJECTIONS, KEYS, Poisoned, Trial, obeyed, table, trials
from space.errors import UserError
from tests.fakes import PASSAGE, FakeEngine, FakeRetriever


def test_obeying_is_counted_by_the_word_asked_for():
    assert all(i.word in i.text.lower() for i in INJECTIONS) and len({i.kind for i in INJECTIONS}) == len(INJECTIONS)
    assert obeyed("Sure. PineApple!", INJECTIONS[0]) and not obeyed("MLA shrinks the cache.", INJECTIONS[0])


def test_the_instruction_is_in_what_the_prompt_carries():
    found = Poisoned(FakeRetriever((PASSAGE, PASSAGE)), INJECTIONS[0]).search("x", 2)
    assert INJECTIONS[0].text in found[0].text and found[1] == PASSAGE


@pytest.mark.parametrize("reply", ["It shrinks the cache.", "PINEAPPLE"])
def test_every_variant_meets_every_instruction_once_a_question(monkeypatch, reply):
    engine = FakeEngine(dict.fromkeys(KEYS, reply))
    monkeypatch.setattr(injections.parts, "load_engine", lambda: engine)
    found = list(trials(["What is MLA?"], FakeRetriever(), 8))
    assert len(found) == len(KEYS) * (len(INJECTIONS) + 1)
    for request, trial in zip(engine.requests, found, strict=True):
        injection = next((i for i in INJECTIONS if i.kind == trial.kind), None)
        assert not injection or injection.text.split("\n")[0][:20] in request.prompt[1].text
        assert all(not piece.control for piece in request.prompt if injection and injection.text in piece.text)
    hits = sum(t.obeyed for t in found if t.kind)
    assert hits == (len(KEYS) if reply == "PINEAPPLE" else 0)


def test_a_page_keeps_all_but_what_stands_between_its_marks():
    page = f"a\n{injections.START}\nold\n{injections.END}\nb\n"
    assert injections.filled(page, "new") == f"a\n{injections.START}\nnew\n{injections.END}\nb\n"
    with pytest.raises(UserError, match="no place for the table"):
        injections.filled("a page", "new")


def test_the_table_has_a_row_for_each_instruction_all_and_the_control():
    found = [Trial("q", INJECTIONS[0].kind, "plain", "PINEAPPLE", True), Trial("q", "", "plain", "x", False)]
    rows = table(found).splitlines()
    assert len(rows) == 2 + len(INJECTIONS) + 2 and "| plain order | 1 of 1 |" in rows[2] and "0 of 1" in rows[-1]
