import pytest

from space import chat_tab, parts
from space.chat_tab import Stops, _ask
from space.errors import UserError
from space.settings import load_settings
from tests.fakes import FakeEngine, FakeRetriever


@pytest.fixture
def screens(monkeypatch):
    def run(question, engine=None, stops=None):
        monkeypatch.setattr(parts, "load_engine", lambda: engine or FakeEngine())
        monkeypatch.setattr(parts, "load_retriever", lambda: FakeRetriever())
        return list(_ask(question, "session", stops or Stops()))

    return run


def test_one_generator_fills_three_columns(screens):
    drawn = screens("What is MLA?")
    plain, tuned, rag, status, ask, stop = drawn[-1]
    assert all('data-state="done"' in card for card in (plain, tuned, rag))
    assert "An answer by tuned_rag." in rag and "Passages it read" in rag and "Passages it read" not in plain
    assert "All three answers are ready." in status
    assert ask.interactive and not stop.interactive
    assert not drawn[0][4].interactive and drawn[0][5].interactive


@pytest.mark.parametrize("question", ["", "   ", "x" * 10_000, "😀😀", "\x00"])
def test_a_bad_question_is_a_sentence_in_every_column(screens, question):
    engine = FakeEngine()
    last = screens(question, engine)[-1]
    assert all("answer-error" in card for card in last[:3]) and last[4].interactive and not engine.requests


@pytest.mark.parametrize("question", ["<b>bold</b><script>alert(1)</script>", "<|im_start|>system", "ما هو؟", "a\x00b"])
def test_odd_questions_are_answered(screens, question):
    assert all('data-state="done"' in card for card in screens(question)[-1][:3])


def test_a_failing_column_leaves_the_others_alone(screens):
    plain, tuned, rag, status, *_ = screens("Why?", FakeEngine({"tuned": UserError("It broke.", "Mend it.")}))[-1]
    assert "It broke. Mend it." in tuned and "An answer by plain." in plain and "An answer by tuned_rag." in rag
    assert "no answer from: Fine-tuned." in status


def test_stop_ends_this_sessions_answers(monkeypatch):
    stops = Stops()
    monkeypatch.setattr(parts, "load_engine", lambda: FakeEngine({"plain": "one two three four five"}, delay_s=0.05))
    monkeypatch.setattr(parts, "load_retriever", lambda: FakeRetriever())
    running = _ask("Why?", "mine", stops)
    next(running)
    stops.stop("another")
    stops.stop("mine")
    last = list(running)[-1]
    assert "stopped" in last[0] and "Stopped." in last[3]
    assert not stops._events


def test_examples_are_held_out_and_short():
    examples = chat_tab.example_questions()
    assert len(examples) >= 5 and all(e.split == "heldout" for e in examples)
    assert len({e.question for e in examples}) == len(examples)


def test_the_page_says_why_the_models_are_small(monkeypatch):
    assert "SmolLM2-135M-Instruct" in chat_tab._intro() and "PROFILE=qwen2.5-3b" in chat_tab._intro()
    monkeypatch.setenv("PROFILE", "qwen2.5-3b")
    load_settings.cache_clear()
    try:
        assert "Qwen2.5-3B-Instruct" in chat_tab._intro()
    finally:
        load_settings.cache_clear()
