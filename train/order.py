"""The order in which a run reads its rows: fixed by seed and epoch alone.

The trainer's own samplers draw from the global random state, so the order changes with the number of
processes and, after a resume in the middle of an epoch, some rows come twice and others never. Here
an epoch is a list of rows that every process and every start computes alike; processes take turns
with the batches of that list.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from space.errors import UserError

GROUP = 50
"""Batches that are drawn at random before their rows are sorted by length."""


def epoch_order(lengths: Sequence[int], batch: int, seed: int, epoch: int, by_length: bool) -> list[int]:
    """Places of the rows in one epoch. `batch` is the number of rows of one optimizer step.

    With `by_length`, groups of GROUP batches are sorted and cut into batches of like length, which
    saves padding; the batches then come in random order, so that long and short ones mix. The batch
    with the longest row comes first: if memory does not suffice, that shows at once.
    """
    rng = random.Random(f"{seed}-{epoch}")
    places = list(range(len(lengths)))
    rng.shuffle(places)
    if not by_length:
        return places
    size = batch * max(min(len(places) // (batch * 4), GROUP), 1)
    batches: list[list[int]] = []
    rest: list[int] = []
    for start in range(0, len(places), size):
        group = sorted(places[start:start + size], key=lambda place: -lengths[place])
        cut = [group[i:i + batch] for i in range(0, len(group), batch)]
        if len(cut[-1]) < batch:  # only in the last group; it has to stay the last batch
            rest = cut.pop()
        batches += cut
    rng.shuffle(batches)
    if batches:
        longest = max(range(len(batches)), key=lambda b: max(lengths[p] for p in batches[b]))
        batches.insert(0, batches.pop(longest))
    return [place for one in batches for place in one] + rest


class EpochOrder:
    """A sampler for a data loader: yields `epoch_order` of the epoch that `epoch` names."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, by_length: bool) -> None:
        self.epoch = 0
        self._lengths, self._batch, self._seed, self._by_length = lengths, batch, seed, by_length

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(epoch_order(self._lengths, self._batch, self._seed, self.epoch, self._by_length))


def share(batch: int, accumulation: int, processes: int) -> tuple[int, int]:
    """Rows a device reads at once, and how often before each step, so that `processes` together read
    the batch x accumulation rows of the recipe in every step.

    Raises UserError where they cannot be shared out evenly.
    """
    whole = batch * accumulation
    own = whole // processes
    if own * processes != whole:
        raise UserError(f"The {whole} rows of a step cannot be shared by {processes} processes.",
                        f"Start a number of processes that divides {whole}, or change batch_size in the recipe.")
    times = next(n for n in range(-(-own // batch), own + 1) if own % n == 0)
    return own // times, times
