"""What an answer carries between its turns: how its tokens are picked, and its memory while it is put aside."""

from __future__ import annotations

from typing import Any

from space.schema import Sampling
from space.weights import library


class Sampler:
    """How the tokens of one answer are picked; it carries the state of its random numbers."""

    def __init__(self, sampling: Sampling) -> None:
        c = self._c = library()
        self.chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if sampling.temperature <= 0:
            c.llama_sampler_chain_add(self.chain, c.llama_sampler_init_greedy())
        else:
            c.llama_sampler_chain_add(self.chain, c.llama_sampler_init_top_p(sampling.top_p, 1))
            c.llama_sampler_chain_add(self.chain, c.llama_sampler_init_temp(sampling.temperature))
            c.llama_sampler_chain_add(self.chain, c.llama_sampler_init_dist(sampling.seed))

    def close(self) -> None:
        if self.chain:
            self._c.llama_sampler_free(self.chain)
            self.chain = None


class State:
    """The memory of one answer outside its lane: `size` bytes of keys and values of `length` tokens."""

    def __init__(self, data: Any, size: int, length: int) -> None:
        self.data, self.size, self.length = data, size, length
