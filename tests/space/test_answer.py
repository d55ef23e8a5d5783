import threading

import pytest

from space.answer import answer_all, stream_answers
from space.errors import UserError
from space.schema import CHAT_VARIANTS, PLAIN_RAG, AnswerQueued, Sampling
from space.visitors import Visitors
from tests.fakes import PASSAGE, FakeEngine, FakeRetriever


def ask(engine, retriever, question="What is MLA?", variants=CHAT_VARIANTS, **options):
    return answer_all(stream_answers(question, variants, engine, retriever, Sampling(), **options), variants)


def test_only_retrieving_variants_read_passages():
    engine = FakeEngine()
    answers = ask(engine, FakeRetriever(), variants=(*CHAT_VARIANTS, PLAIN_RAG))
    assert {k: bool(a.passages) for k, a in answers.items()} == {
        "plain": False,
        "tuned": False,
        "tuned_rag": True,
        "plain_rag": True,
    }
    texts = {r.variant.key: r.prompt[1].text for r in engine.requests}
    assert texts["plain"] == texts["tuned"] == "What is MLA?"
    assert PASSAGE.text in texts["tuned_rag"] and texts["tuned_rag"] == texts["plain_rag"]


def test_broken_retrieval_costs_the_rag_column_only():
    answers = ask(FakeEngine(), FakeRetriever(error=UserError("There is no search index.", "Build it.")))
    assert {k: a.state for k, a in answers.items()} == {"plain": "done", "tuned": "done", "tuned_rag": "failed"}
    assert answers["tuned_rag"].error == "There is no search index. Build it."


class Slow(FakeRetriever):
    """Its search lasts until `go` is set, as where it fetches the embedder from a slow Hub first."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def search(self, question, k):
        assert self.go.wait(60)
        return super().search(question, k)


def test_a_slow_search_is_waited_for():
    retriever = Slow()
    events = stream_answers("What is MLA?", CHAT_VARIANTS, FakeEngine(), retriever, Sampling())
    assert next(events) == next(events) == AnswerQueued("tuned_rag", 0)
    retriever.go.set()
    answers = answer_all(events, CHAT_VARIANTS)
    assert {a.state for a in answers.values()} == {"done"} and answers["tuned_rag"].passages


def test_a_search_without_end_keeps_the_deadline_and_can_be_stopped():
    retriever, engine, stop = Slow(), FakeEngine(), threading.Event()
    events = stream_answers("What is MLA?", CHAT_VARIANTS, engine, retriever, Sampling(), stop=stop)
    answers = answer_all(Visitors().watch(events, CHAT_VARIANTS, stop, "s", 0.1), CHAT_VARIANTS)
    assert {a.error for a in answers.values()} == {
        "The time limit of 0 s was over before this answer was made. Please ask again later."}
    assert not engine.requests
    events = stream_answers("What is MLA?", CHAT_VARIANTS, engine, retriever, Sampling(), stop=stop)
    assert not list(e for e in events if isinstance(e, AnswerQueued))  # `stop` is set already
    retriever.go.set()


def test_an_unexpected_retrieval_error_shows_no_traceback():
    class Broken(FakeRetriever):
        def search(self, question, k):
            raise RuntimeError("secret detail")

    answers = ask(FakeEngine(), Broken())
    assert answers["tuned_rag"].state == "failed" and "secret" not in answers["tuned_rag"].error
    assert answers["plain"].state == "done"


def test_one_failed_column_leaves_the_others_alone():
    answers = ask(FakeEngine({"tuned": UserError("No adapter.", "Make one.")}), FakeRetriever())
    assert answers["tuned"].error == "No adapter. Make one."
    assert answers["plain"].done and answers["tuned_rag"].done


def test_a_bad_question_is_refused_before_anything_runs():
    engine = FakeEngine()
    with pytest.raises(UserError):
        stream_answers("   ", CHAT_VARIANTS, engine, FakeRetriever(), Sampling())
    assert not engine.requests


def test_one_column_can_be_stopped_alone():
    stop = threading.Event()
    stop.set()
    answers = ask(FakeEngine(), FakeRetriever(), stops={"tuned": stop})
    assert {k: a.done.finish for k, a in answers.items()} == {"plain": "end", "tuned": "stopped", "tuned_rag": "end"}


def test_stop_reaches_the_engine():
    stop = threading.Event()
    stop.set()
    answers = ask(FakeEngine(), FakeRetriever(), stop=stop)
    assert {a.done.finish for a in answers.values()} == {"stopped"}


def test_the_engine_learns_whose_question_it_is():
    engine = FakeEngine()
    ask(engine, FakeRetriever(), owner="ann")
    assert {r.owner for r in engine.requests} == {"ann"}
