"""The order of the rows: every process and every start computes it alike."""

import pytest

from space.errors import UserError
from train.order import EpochOrder, epoch_order, share

LENGTHS = [(n * 37) % 101 + 5 for n in range(203)]


@pytest.mark.parametrize("by_length", [True, False])
def test_every_row_once_and_by_seed_and_epoch_alone(by_length):
    order = epoch_order(LENGTHS, 8, 3407, 0, by_length)
    assert sorted(order) == list(range(203))
    assert order == epoch_order(LENGTHS, 8, 3407, 0, by_length)
    assert order != epoch_order(LENGTHS, 8, 3407, 1, by_length) != epoch_order(LENGTHS, 8, 1, 1, by_length)


def padded(order, batch):
    return sum(max(LENGTHS[p] for p in order[i : i + batch]) * len(order[i : i + batch]) for i in range(0, 203, batch))


def test_grouping_saves_padding_and_mixes_long_with_short():
    grouped, free = (epoch_order(LENGTHS, 8, 3407, 0, by_length) for by_length in (True, False))
    assert padded(grouped, 8) < 0.75 * padded(free, 8)
    heads = [max(LENGTHS[p] for p in grouped[i : i + 8]) for i in range(0, 200, 8)]
    assert heads != sorted(heads, reverse=True) and heads[0] == max(heads)


def test_few_rows_make_one_short_batch():
    assert sorted(epoch_order([9, 3, 4], 8, 1, 0, True)) == [0, 1, 2]


def test_a_sampler_follows_the_epoch_it_is_told():
    sampler = EpochOrder(LENGTHS, 8, 3407, True)
    first = list(sampler)
    sampler.epoch = 1
    assert len(sampler) == 203 and list(sampler) == epoch_order(LENGTHS, 8, 3407, 1, True) != first


@pytest.mark.parametrize(
    "batch, accumulation, processes, expected",
    [
        (8, 1, 1, (8, 1)),
        (8, 1, 2, (4, 1)),
        (2, 4, 1, (2, 4)),
        (2, 4, 2, (2, 2)),
        (2, 4, 8, (1, 1)),
        (3, 4, 2, (3, 2)),
        (3, 2, 2, (3, 1)),
        (4, 3, 2, (3, 2)),
    ],
)
def test_processes_share_the_rows_of_a_step(batch, accumulation, processes, expected):
    own, times = share(batch, accumulation, processes)
    assert (own, times) == expected and own * times * processes == batch * accumulation and own <= batch


def test_rows_that_cannot_be_shared_are_refused():
    with pytest.raises(UserError, match="8 rows of a step cannot be shared by 3 processes.*divides 8"):
        share(8, 1, 3)
