"""What several answers in one batch cost and change, on the embedded model."""

import pytest

from space import prompts
from space.lane import MAX_WIDTH, Lane
from space.weights import Weights

pytestmark = pytest.mark.model
TOKENS = (500, 700, 900)


@pytest.fixture(scope="module")
def weights(base_gguf):
    return Weights(base_gguf)


def test_without_an_adapter_company_changes_no_bit(weights):
    lane = Lane(weights, 256, 1, places=3)
    for place, text in enumerate(("One", "A longer text than that.", "The last one of the three texts, longer still.")):
        lane.read(place, weights.tokenize(text, False))
    lengths = list(lane._lengths)
    alone = []
    for place, token in enumerate(TOKENS):
        lane.write({place: token})
        alone.append(lane._logits(0).copy())
        lane.cut(place, lengths[place])
    lane.write(dict(enumerate(TOKENS)))
    assert all((lane._logits(row) == alone[row]).all() for row in range(3))


def test_the_width_is_measured_and_one_with_an_adapter(weights, base_gguf, adapter_gguf):
    scaffold = weights.tokenize(prompts.build("")[0].text, True)
    for adapter, widths in ((None, range(1, MAX_WIDTH + 1)), (adapter_gguf, (1,))):
        lane = Lane(weights, 256, 1, adapter, places=3)
        lane.prime(scaffold)
        assert lane.width in widths and lane._lengths == [len(scaffold)] * 3


def test_the_number_of_threads_is_measured_and_changes_no_bit(weights):
    scaffold = weights.tokenize(prompts.build("")[0].text, True)
    lanes = [Lane(weights, 256, threads) for threads in (1, 2, 4)]
    logits = []
    for lane, allowed in zip(lanes, ((1,), (1, 2), (2, 4)), strict=True):
        lane.prime(scaffold)
        assert lane.threads in allowed and lane._lengths == [len(scaffold)]
        lane.write({0: TOKENS[0]})
        logits.append(lane._logits(0).copy())
    assert (logits[0] == logits[1]).all() and (logits[0] == logits[2]).all()
