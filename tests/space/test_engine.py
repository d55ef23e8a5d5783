"""The real engine on the embedded models."""

import threading
import time
from dataclasses import replace

import pytest

from space import models, prompts
from space.answer import answer_all
from space.engine import LocalEngine, Request
from space.questions import load_examples
from space.references import sha256_of
from space.scheduler import Scheduler
from space.schema import PLAIN, TUNED, TUNED_RAG, PromptReading, Sampling, TextDelta
from space.settings import load_settings

pytestmark = pytest.mark.model
GREEDY = Sampling(max_tokens=60)
QUESTIONS = [
    "What is reinforcement learning?",
    "What pass@1 did DeepSeek-R1-Zero reach on AIME 2024?",
    "Explain MLA in one sentence.",
    "Hi!",
]


def request(variant, question, sampling=GREEDY, passages=(), **options):
    return Request(variant, prompts.build(question, passages), sampling, **options)


def answers(engine, *requests, stop=None):
    return answer_all(engine.stream(requests, stop), [r.variant for r in requests])


@pytest.mark.parametrize("variant", [PLAIN, TUNED])
def test_greedy_answers_equal_llama_cpp_pythons_own(engine, retriever, base_gguf, adapter_gguf, variant):
    """Token for token what `Llama(base)` and `Llama(base, lora_path=adapter)` write."""
    from llama_cpp import Llama

    llama = Llama(
        str(base_gguf),
        n_ctx=2048,
        n_threads=load_settings().thread_count,
        n_threads_batch=load_settings().thread_count,
        verbose=False,
        lora_path=str(adapter_gguf) if variant.tuned else None,
    )
    cases = [(q, ()) for q in QUESTIONS] + [(QUESTIONS[1], retriever.search(QUESTIONS[1], 3))]
    for question, passages in cases:
        wanted = llama.create_chat_completion(prompts.messages(question, passages), temperature=0.0, max_tokens=60)
        choice = wanted["choices"][0]
        got = answers(engine, request(variant, question, passages=passages))[variant.key]
        assert got.text == choice["message"]["content"].strip()
        assert got.done.prompt_tokens == wanted["usage"]["prompt_tokens"]
        assert got.done.finish == {"stop": "end", "length": "length"}[choice["finish_reason"]]
    llama.close()


def test_many_at_once_get_the_answers_they_get_alone(engine, retriever):
    """Lanes, batches, turns and parking change nothing that is written: thirty questions with their own passages."""
    wanted = [request(v, e.question, Sampling(max_tokens=24), retriever.search(e.question, 2) if v.retrieves else ())
              for n, e in enumerate(load_examples(part="dev")[:30]) for v in ((PLAIN, TUNED, TUNED_RAG)[n % 3],)]
    alone = [answers(engine, one)[one.variant.key].text for one in wanted]
    together = {}

    def ask(number):
        together[number] = answers(engine, wanted[number])[wanted[number].variant.key].text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[n] for n in range(len(wanted))] == alone


def test_the_system_prompt_is_read_once_and_the_rest_again_unless_the_owner_asks_again(engine):
    question, once = QUESTIONS[0] * 4, Sampling(max_tokens=8)
    first, second, other = (answers(engine, request(PLAIN, question, once, owner=owner))["plain"]
                            for owner in ("ann", "ann", "bob"))
    assert first.text == second.text == other.text
    assert second.done.cached_tokens > first.done.cached_tokens == other.done.cached_tokens > 0
    assert 4 <= second.done.prompt_tokens - second.done.cached_tokens < 8


def test_columns_are_what_they_say(engine, base_gguf, adapter_gguf):
    got = answers(engine, request(PLAIN, QUESTIONS[0]), request(TUNED, QUESTIONS[0]))
    plain, tuned = got["plain"].done.identity, got["tuned"].done.identity
    assert plain.sha256 == tuned.sha256 == sha256_of(base_gguf)
    assert plain.quantization == "Q4_1" and plain.layers == 30 and not plain.adapter
    assert tuned.adapter_sha256 == sha256_of(adapter_gguf)
    assert got["plain"].text != got["tuned"].text


def test_same_seed_same_answer_other_seed_other_answer(engine):
    hot = Sampling(temperature=1.0, seed=1, max_tokens=40)
    first, second = (answers(engine, request(PLAIN, QUESTIONS[0], hot))["plain"].text for _ in range(2))
    other = answers(engine, request(PLAIN, QUESTIONS[0], replace(hot, seed=2)))["plain"].text
    assert first == second != other


def long_question(tokens=1700):
    return " ".join(f"word{n % 10}" for n in range(tokens // 3))


def test_stop_works_while_the_prompt_is_read(engine):
    answers(engine, request(PLAIN, "Hi!"))  # loaded
    began = time.monotonic()
    stop = threading.Event()
    finish = ""
    for event in engine.stream([request(PLAIN, long_question())], stop):
        if isinstance(event, PromptReading):
            stop.set()
            began = time.monotonic()
        finish = getattr(event, "finish", finish)
    stopped_s = time.monotonic() - began
    whole = answers(engine, request(PLAIN, long_question(), Sampling(max_tokens=1)))["plain"].done.first_token_s
    assert finish == "stopped"
    assert stopped_s < whole / 4
    assert answers(engine, request(PLAIN, QUESTIONS[3]))["plain"].done.finish in ("end", "length")


def test_stopping_one_answer_leaves_the_others_alone(engine):
    stop = threading.Event()
    stop.set()
    got = answers(engine, request(PLAIN, long_question(), stop=stop), request(TUNED, "Hi!", Sampling(max_tokens=4)))
    assert got["plain"].done.finish == "stopped" and got["plain"].done.answer_tokens == 0
    assert got["tuned"].done.finish in ("end", "length") and not engine.loading()


def test_a_deadline_ends_the_answer(engine):
    done = answers(engine, request(PLAIN, long_question(), deadline_s=0.05))["plain"].done
    assert done.finish == "deadline" and done.answer_tokens == 0


def test_closing_a_stream_frees_the_engine_within_a_second(engine):
    answers(engine, request(PLAIN, "Hi!"))  # loaded
    stream = engine.stream([request(v, QUESTIONS[0], Sampling(max_tokens=1000)) for v in (PLAIN, TUNED)])
    next(event for event in stream if isinstance(event, TextDelta))
    stream.close()
    began = time.monotonic()
    done = answers(engine, request(PLAIN, "Hi!", Sampling(max_tokens=1)))["plain"].done
    assert done.queued_s < 1 and time.monotonic() - began < 30


def test_too_long_a_prompt_is_a_sentence(engine):
    got = answers(engine, request(PLAIN, long_question(9000)))["plain"]
    assert got.state == "failed" and "more than the 2048" in got.error


def test_a_missing_adapter_switches_off_the_tuned_columns_only(tmp_path):
    profile = replace(models.PROFILES["embedded"], adapter=f"file:{tmp_path / 'none.gguf'}")
    got = answers(LocalEngine(profile, 512, 2), request(PLAIN, "Hi!"), request(TUNED, "Hi!"))
    assert got["plain"].state == "done"
    assert got["tuned"].state == "failed" and "make train" in got["tuned"].error


def test_a_dead_worker_is_noticed_and_replaced(engine, monkeypatch):
    def die(scheduler):
        raise SystemExit

    answers(engine, request(PLAIN, "Hi!"))  # loaded
    monkeypatch.setattr(Scheduler, "turn", die)
    got = answers(engine, request(PLAIN, "Hi!"))["plain"]
    assert got.state == "failed" and "ask again" in got.error
    monkeypatch.undo()
    assert answers(engine, request(PLAIN, "Hi!"))["plain"].state == "done"


def test_the_tuned_model_ends_its_answers_itself(engine):
    ends = []
    for example in load_examples(part="dev")[::12]:
        done = answers(engine, request(TUNED, example.question, Sampling(max_tokens=200)))["tuned"].done
        ends.append(done.finish)
    assert ends.count("end") == len(ends)
