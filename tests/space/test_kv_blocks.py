"""Keys and values taken out of llama.cpp and put back, against what it computes itself."""

import numpy as np
import pytest

from space.kv_blocks import Block, Rope, from_state, to_state
from space.lane import Lane
from space.weights import Weights

TEXT = "Mixture-of-Experts layers route 8 of 256 experts for each token."


def block(start, tokens, layers=2, width=4, seed=1):
    chance = np.random.default_rng(seed)
    return Block(start, chance.normal(size=(layers, tokens, width)).astype(np.float16),
                 chance.normal(size=(layers, width, tokens)).astype(np.float16))


def same(a, b):
    return a.start == b.start and (a.keys == b.keys).all() and (a.values == b.values).all()


def test_parts_and_what_stands_behind_them():
    whole = block(3, 10)
    assert same(whole.part(3, 7).then(whole.part(7, 13)), whole)
    assert whole.part(5, 9).size == 4 * 2 * 4 * 2 * 2
    with pytest.raises(ValueError, match="among 3 to 13"):
        whole.part(2, 5)
    with pytest.raises(ValueError, match="cannot stand behind"):
        whole.part(3, 5).then(whole.part(6, 9))


@pytest.mark.parametrize("halves", [False, True])
def test_turning_there_and_back_is_nothing_and_steps_add_up(halves):
    rope = Rope(2, 8, 10_000.0, halves)
    keys = block(0, 5, width=16).keys
    assert np.abs(rope.turn(rope.turn(keys, 40), -40).astype(float) - keys).max() < 0.01
    assert np.abs(rope.turn(rope.turn(keys, 3), 4).astype(float) - rope.turn(keys, 7)).max() < 0.01
    assert np.abs(rope.turn(keys, 7).astype(float) - keys).max() > 0.5


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="not one sequence"):
        from_state(b"\0" * 12)


@pytest.fixture(scope="module")
def lane(base_gguf):
    return Lane(Weights(base_gguf), 256, 2, places=2)


@pytest.mark.model
def test_what_is_taken_and_put_back_is_the_same_bit_for_bit(lane):
    tokens = lane.weights.tokenize(TEXT, False)
    lane.clear()
    lane.read(0, tokens)
    taken = lane.take(0, len(tokens))
    lane.read(1, tokens[:4])
    lane.put(1, taken.part(4, len(tokens)))
    assert same(lane.take(1, len(tokens)), taken)
    state = lane.save(0)
    assert to_state(taken, bytes(state.data))[12:] != b"" and same(from_state(bytes(lane.save(1).data)), taken)
    lane.write({0: tokens[0]})
    wanted = lane._logits(0).copy()
    lane.write({1: tokens[0]})
    assert (lane._logits(0) == wanted).all()


@pytest.mark.model
def test_moved_keys_are_those_that_llama_cpp_computes_there(lane):
    """In the first layer keys depend on the token and its position alone."""
    tokens, lead = lane.weights.tokenize(TEXT, False), lane.weights.tokenize("Another text, before it. " * 3, False)
    assert lane.weights.rope == Rope(3, 64, 100_000.0, False)
    lane.clear()
    lane.read(0, tokens)
    lane.read(1, [*lead, *tokens])
    here = lane.take(0, len(tokens))
    there = lane.take(1, len(lead) + len(tokens)).part(len(lead), len(lead) + len(tokens))
    moved = here.moved(len(lead), lane.weights.rope)
    assert moved.start == there.start
    assert np.abs(moved.keys[0].astype(float) - there.keys[0]).max() < 0.02
    assert np.abs(here.keys[0].astype(float) - there.keys[0]).max() > 1
