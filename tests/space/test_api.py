import pytest

from space import api, parts
from space.errors import UserError
from tests.fakes import FakeEngine, FakeRetriever


@pytest.fixture
def engine(monkeypatch):
    engine = FakeEngine({"tuned": UserError("It broke.", "Mend it.")})
    monkeypatch.setattr(parts, "load_engine", lambda: engine)
    monkeypatch.setattr(parts, "load_retriever", FakeRetriever)
    return engine


def test_the_answers_come_as_plain_values(engine):
    given = api.ask(" What is  MLA? ")
    assert given["question"] == "What is MLA?"
    plain, tuned, rag = given["answers"]
    assert (plain["variant"], plain["text"]) == ("plain", "An answer by plain.")
    assert (plain["error"], plain["finish"]) == ("", "end")
    assert plain["model"]["sha256"] == "ab" * 32 and plain["decode_tps"] == 50.0 and plain["passages"] == []
    assert tuned["error"] == "It broke. Mend it." and tuned["model"] is None and tuned["finish"] is None
    assert rag["passages"] == [given["passages"][0]["id"]] == ["doc#1"]
    named = set(api.DESCRIPTION.replace(":", ",").replace("{", ",").replace("}", ",").replace("[", ",").replace(
        "]", ",").replace(" ", "").split(","))
    assert {*given, *plain, *plain["model"], *given["passages"][0]} <= named


def test_variants_and_settings_are_used(engine):
    given = api.ask("What is MLA?", ["plain_rag", "plain", "plain"], 0.5, 32, 1, 5)
    assert [a["variant"] for a in given["answers"]] == ["plain_rag", "plain"]
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.seed) == (0.5, 32, 5)


@pytest.mark.parametrize("given", [{"question": ""}, {"question": None}, {"question": "x" * 9999},
                                   {"question": "a", "variants": ["best"]}, {"question": "a", "temperature": 9},
                                   {"question": "a", "max_tokens": "many"}, {"question": "a", "seed": float("nan")}])
def test_what_cannot_be_asked_is_a_sentence(engine, given):
    with pytest.raises(UserError):
        api.ask(**given)
    assert not engine.requests
