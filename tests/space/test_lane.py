"""Scores of continuations, against llama-cpp-python's own evaluation of the whole text."""

import math

import pytest

from space.errors import UserError
from space.lane import Lane
from space.sampler import Sampler
from space.schema import Sampling
from space.weights import Weights

pytestmark = pytest.mark.model
QUESTIONS = [
    ("Which of these is a source of light?", ["the Sun", "ice", "a closed wooden door in the cellar of the house"]),
    ("What do plants take from the air to make food?", ["carbon dioxide", "iron", "salt water", "11.5 °C"]),
]


@pytest.fixture(scope="module")
def lane(base_gguf):
    return Lane(Weights(base_gguf), context_tokens=512, threads=2)


def cases(lane):
    tokenize = lane.weights.tokenize
    for question, options in QUESTIONS:
        yield tokenize(f"Question: {question}\nAnswer:", False), [tokenize(f" {o}", False) for o in options]


def test_scores_equal_those_of_each_whole_text_read_from_scratch(lane, base_gguf):
    import numpy as np
    from llama_cpp import Llama

    llama = Llama(str(base_gguf), n_ctx=512, n_threads=2, n_threads_batch=2, logits_all=True, verbose=False)
    lengths = set()
    for prompt, options in cases(lane):
        for tokens, score in zip(options, lane.score(prompt, options), strict=True):
            llama.reset()
            llama.eval([*prompt, *tokens])
            logits = np.array(llama.scores[: llama.n_tokens], dtype=np.float64)
            wanted = sum(
                logits[n - 1, token] - np.logaddexp.reduce(logits[n - 1]) for n, token in enumerate(tokens, len(prompt))
            )
            assert score == pytest.approx(wanted, abs=1e-3)
            lengths.add(len(tokens))
    llama.close()
    assert 1 in lengths and 2 in lengths and max(lengths) > 5


def test_prompts_and_options_longer_than_a_batch_score_the_same(lane, monkeypatch):
    text = lane.weights.tokenize("The Sun gives light. Plants need it. " * 8, False)[:70]
    prompt, options = text[:30], [text[30:], text[30:34]]
    wanted = lane.score(prompt, options)
    monkeypatch.setattr("space.lane.BATCH", 16)
    assert lane.score(prompt, options) == pytest.approx(wanted, abs=1e-3)


def test_the_order_of_the_options_changes_nothing(lane):
    prompt, options = next(cases(lane))
    scores = lane.score(prompt, options)
    assert lane.score(prompt, options[::-1])[::-1] == pytest.approx(scores, abs=1e-6)
    assert lane.score(prompt, options[:1]) == pytest.approx(scores[:1], abs=1e-6)


def test_first_tokens_share_one_distribution(lane):
    prompt, _ = next(cases(lane))
    total = sum(math.exp(s) for s in lane.score(prompt, [[t] for t in range(lane.weights.vocab_size)]))
    assert total == pytest.approx(1.0, abs=1e-9)


def test_a_lane_answers_after_scoring_as_before(lane):
    def answer(prompt):
        sampler = Sampler(Sampling())
        lane.cut(0, 0)
        lane.read(0, prompt)
        tokens = []
        for _ in range(8):
            tokens.append(lane.sample(0, sampler))
            lane.write({0: tokens[-1]})
        sampler.close()
        return tokens

    (first, options), (second, others) = cases(lane)
    before = answer(first)
    lane.score(second, others)
    assert answer(first) == before
    assert lane.score(second, others) == lane.score(second, others)


def test_what_cannot_be_scored_is_said(lane):
    with pytest.raises(UserError, match="513 tokens, more than the 512"):
        lane.score([1] * 500, [[1] * 13, [2]])
    with pytest.raises(ValueError, match="at least one token"):
        lane.score([1], [[]])
