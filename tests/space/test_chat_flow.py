import pytest

from space import chat_flow, examples, parts, recorded, votes
from space.chat_flow import KEYS, Runs
from space.errors import UserError
from space.options import check_options, default_options
from space.settings import load_settings
from tests.fakes import FakeEngine, FakeRetriever

OPTIONS = default_options()


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Sets the engine, and a folder without runs or votes."""
    monkeypatch.setenv("RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("VOTES_DIR", str(tmp_path / "votes"))
    load_settings.cache_clear()

    def world(engine=None, retriever=None):
        engine, retriever = engine or FakeEngine(), retriever or FakeRetriever()
        monkeypatch.setattr(parts, "load_engine", lambda: engine)
        monkeypatch.setattr(parts, "load_retriever", lambda: retriever)
        return engine

    yield world
    load_settings.cache_clear()


def frames(comparison, keys=KEYS, runs=None):
    return list(chat_flow.run(comparison, keys, "session", runs or Runs()))


def test_one_run_fills_three_columns(world):
    engine = world()
    drawn = frames(chat_flow.begin("What is MLA?", OPTIONS))
    last = drawn[-1]
    assert [last.comparison.columns[k].answer.text for k in KEYS] == [f"An answer by {k}." for k in KEYS]
    assert drawn[0].running == set(KEYS) and not last.running
    assert last.says == "All three answers are ready." and last.comparison.finished
    assert [r.variant.key for r in engine.requests] == list(KEYS)
    assert last.comparison.passages


def test_options_reach_the_engine(world):
    engine = world()
    frames(chat_flow.begin("What is MLA?", check_options(0.7, 64, 1, 11)))
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.seed) == (0.7, 64, 11)


@pytest.mark.parametrize("question", ["", "   ", "x" * 10_000, "😀😀", "\x00", None, 7])
def test_a_bad_question_is_refused(world, question):
    with pytest.raises(UserError):
        chat_flow.begin(question, OPTIONS)


@pytest.mark.parametrize("question", ["<b>bold</b><script>alert(1)</script>", "<|im_start|>system", "ما هو؟", "a\x00b"])
def test_odd_questions_are_answered(world, question):
    world()
    last = frames(chat_flow.begin(question, OPTIONS))[-1].comparison
    assert all(last.columns[k].answer.state == "done" for k in KEYS)


def test_a_failing_column_leaves_the_others_alone(world):
    world(FakeEngine({"tuned": UserError("It broke.", "Mend it.")}))
    last = frames(chat_flow.begin("Why is MLA small?", OPTIONS))[-1]
    assert last.comparison.columns["tuned"].answer.error == "It broke. Mend it."
    assert last.comparison.columns["plain"].answer.text and last.comparison.columns["tuned_rag"].answer.text
    assert last.says == "Done; no answer from: Fine-tuned."


def test_without_an_index_two_columns_answer(world):
    world(retriever=FakeRetriever(error=UserError("The index is broken.", "Make it again.")))
    last = frames(chat_flow.begin("What is MLA?", OPTIONS))[-1].comparison
    assert [last.columns[k].answer.state for k in KEYS] == ["done", "done", "failed"]


def test_stop_ends_this_sessions_answers(world):
    world(FakeEngine({"plain": "one two three four five"}, delay_s=0.05))
    runs = Runs()
    running = chat_flow.run(chat_flow.begin("Why MLA?", OPTIONS), KEYS, "mine", runs)
    next(running)
    runs.stop("another")
    runs.stop("mine")
    last = list(running)[-1]
    assert last.comparison.columns["plain"].answer.done.finish == "stopped" and last.says == "Stopped."
    assert not runs._runs


def test_one_column_can_be_stopped_alone(world):
    world(FakeEngine({k: "one two three four five" for k in KEYS}, delay_s=0.02))
    runs = Runs()
    running = chat_flow.run(chat_flow.begin("Why MLA?", OPTIONS), KEYS, "mine", runs)
    next(running)
    runs.stop("mine", "tuned")
    last = list(running)[-1].comparison
    assert [last.columns[k].answer.done.finish for k in KEYS] == ["end", "stopped", "end"]


def test_a_new_question_ends_the_one_before(world):
    world(FakeEngine({"plain": "one two three four five"}, delay_s=0.02))
    runs = Runs()
    first = chat_flow.run(chat_flow.begin("Why MLA?", OPTIONS), KEYS, "mine", runs)
    next(first)
    second = chat_flow.run(chat_flow.begin("Why V3?", OPTIONS), KEYS, "mine", runs)
    next(second)
    assert not [f for f in first if not f.running]
    assert list(second)[-1].comparison.finished


def test_regenerating_one_column_keeps_the_others_and_moves_the_seed(world):
    engine = world()
    warm = check_options(temperature=0.8)
    done = frames(chat_flow.begin("What is MLA?", warm))[-1].comparison
    engine.replies["tuned"] = "Another one."
    engine.requests.clear()
    last = frames(chat_flow.again(done, "tuned", warm), ["tuned"])[-1].comparison
    assert [r.variant.key for r in engine.requests] == ["tuned"]
    assert engine.requests[0].sampling.seed == warm.seed + 1
    assert last.columns["tuned"].answer.text == "Another one."
    assert last.columns["plain"] == done.columns["plain"]
    greedy = frames(chat_flow.again(done, "tuned", OPTIONS), ["tuned"])[-1]
    assert greedy.comparison.columns["tuned"].sampling.seed == OPTIONS.seed and "same answer" in greedy.says


def test_a_follow_up_is_searched_with_the_question_before(world):
    engine = world()
    first = frames(chat_flow.begin("What did R1-Zero reach on AIME?", OPTIONS))[-1].comparison
    second = chat_flow.begin("and V3?", OPTIONS, first)
    assert second.full_question == "What did R1-Zero reach on AIME? and V3?"
    engine.requests.clear()
    frames(second)
    assert "What did R1-Zero reach on AIME? and V3?" in str(engine.requests[0].prompt)
    assert chat_flow.begin("What is MLA?", OPTIONS, first).earlier == ()
    assert chat_flow.begin("What is MLA?", OPTIONS, first, follow=True).earlier == (first.question,)
    assert chat_flow.begin("and V3?", OPTIONS, first, anew=True).earlier == ()
    with pytest.raises(UserError, match="just answered"):
        chat_flow.begin(first.question, OPTIONS, first, follow=True)


def test_a_shipped_question_brings_its_reference(world):
    example = examples.groups()["heldout"][0]
    assert chat_flow.begin(example.question, OPTIONS).example == example
    assert chat_flow.begin("What is new?", OPTIONS).example is None


def test_a_blind_test_withholds_the_names_until_the_vote(world):
    world()
    blind = frames(chat_flow.begin("What is MLA?", OPTIONS, blind=True))[-1]
    assert blind.comparison.hidden and sorted(blind.comparison.order) == sorted(KEYS)
    assert not any(word in blind.says for word in ("Plain", "Fine-tuned"))
    shown, says = chat_flow.vote(blind.comparison, 1)
    assert shown.vote == blind.comparison.order[1] and not shown.hidden and "You chose" in says
    assert [v.choice for v in votes.read(load_settings().votes)] == [shown.vote]
    with pytest.raises(UserError):
        chat_flow.vote(shown, 0)
    tie, _ = chat_flow.vote(blind.comparison, 3)
    assert tie.vote == votes.TIE


def test_what_was_just_seen_by_name_is_no_blind_test(world):
    world()
    seen = frames(chat_flow.begin("What is MLA?", OPTIONS))[-1].comparison
    with pytest.raises(UserError, match="with their names"):
        chat_flow.begin("What is MLA?", OPTIONS, seen, blind=True)


def test_the_order_of_a_blind_test_changes(world):
    assert len({chat_flow.begin("What is MLA?", OPTIONS, blind=True).order for _ in range(60)}) == 6


def test_nothing_is_recorded_without_runs(world):
    assert recorded.first() is None
    assert not chat_flow.begin(examples.groups()["heldout"][0].question, OPTIONS).finished


def test_a_bug_leaves_the_page_usable(world, monkeypatch):
    world()
    monkeypatch.setattr(chat_flow, "progress", lambda comparison: 1 / 0)
    monkeypatch.setattr(chat_flow, "UPDATE_S", 0.0)
    last = frames(chat_flow.begin("What is MLA?", OPTIONS))[-1]
    assert last.comparison.finished and not last.running and "failed on our side" in last.says


def test_every_phase_has_a_sentence(world, monkeypatch):
    world()
    monkeypatch.setattr(chat_flow, "UPDATE_S", 0.0)
    said = [f.says for f in frames(chat_flow.begin("What is MLA?", OPTIONS))]
    wanted = ["Looking for passages.", "Plain is reading.", "Plain is answering.", "Fine-tuned is next.",
              "Fine-tuned + RAG is answering.", "All three answers are ready."]
    assert [s for s in said if s in wanted][:1] == wanted[:1] and set(wanted) <= set(said)
