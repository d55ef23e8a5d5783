"""Lanes: contexts on weights, with or without an adapter, where several answers have their places.

All lanes share one copy of the weights. Each place is a sequence with a
memory of its own (llama.cpp's `kv_unified` is off), so that position n lies in cell n whatever the
others do, and an answer comes out bit for bit as if it were alone. Three rules keep it so:
a prompt is read in pieces of two tokens or more (one alone runs through other kernels, whose sums
differ); what is kept of a prompt for later was read, not written; and answers are written in one
batch only as many together as `width` says, which is measured, not assumed.

A lane belongs to one thread at a time (space/workers.py says whose); lanes on the same weights may work side by side.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.kv_blocks import Block, from_state, to_state
from space.sampler import Sampler, State
from space.weights import Weights, expect_errors, library

BATCH = 512
"""Prompt tokens handed to llama.cpp at a time, at most: its own default."""
GRAIN = 4
"""Prompts are cut at multiples of this, as llama.cpp's repacked kernels take tokens by fours."""
MAX_WIDTH = 3
"""Answers in one batch, at most. On two cores the work is bound by arithmetic: of a 3B q4_k_m file
two together gave 1.10 times the tokens of one, three 1.15, and eight 0.77; of a 135M q4_1 file two
gave 0.8 times. So each lane measures its own width when it is primed."""
PROBES, TRIES = 6, 9
WORTH = 1.03
"""A wider batch is taken for at least so many times the tokens."""


class Stopped(Exception):
    """The reading of a prompt was given up because the caller asked for it."""


class Lane:
    """A context on `weights` with `places` sequences of `context_tokens` each, with the adapter's
    file if one is given. What is measured of the machine when a lane is primed is taken over from a lane `like` it."""

    def __init__(self, weights: Weights, context_tokens: int, threads: int, adapter: Path | None = None,
                 places: int = 1, like: Lane | None = None) -> None:
        c = self._c = library()
        self.weights = weights
        self.context_tokens = context_tokens
        self.places = places
        self.threads, self.width = threads, 1
        self._all_threads, self._limit, self._like = threads, threads, like
        params = c.llama_context_default_params()
        params.n_ctx = context_tokens * places
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = places
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = c.llama_init_from_model(weights.model, params)
        if not self._context:
            raise UserError("There is not enough memory for the model's context.",
                            "Set CONTEXT_TOKENS to a smaller number.")
        self._memory = c.llama_get_memory(self._context)
        self._batch = c.llama_batch_init(BATCH, 0, 1)
        self._lengths = [0] * places
        self._rows: dict[int, int] = {}  # place -> row of its logits in the last batch
        self.adapted = adapter is not None
        if adapter:
            self._attach(adapter)

    def _attach(self, adapter: Path) -> None:
        c = self._c
        handles = (c.llama_adapter_lora_p_ctypes * 1)(self.weights.adapter(adapter))
        if c.llama_set_adapters_lora(self._context, handles, 1, (ctypes.c_float * 1)(1.0)):
            raise UserError(f"The adapter {adapter.name} could not be switched on.",
                            "Make it anew with `make train`.")

    def prime(self, tokens: Sequence[int]) -> float:
        """Read the prompt that all share once, copy it to every place, and find the width. Returns how many seconds
        the reading took."""
        self.clear()
        began = time.monotonic()
        self.read(0, tokens)
        read_s = time.monotonic() - began
        for place in range(1, self.places):
            # Between places llama.cpp copies the whole memory, and not before the next batch.
            self._c.llama_memory_seq_cp(self._memory, 0, place, -1, -1)
            self._lengths[place] = len(tokens)
        if self._like:
            self.threads, self.width = self._like.threads, self._like.width
        else:
            self.threads = self._best_threads(tokens[-1], len(tokens))
            self._set_threads()
            self.width = self._best_width(tokens, len(tokens))
        self._set_threads()
        return max(read_s, 1e-6)

    def limit_threads(self, limit: int) -> bool:
        """Use at most so many threads from now on, as other lanes work at the same time. The logits are the same.
        Returns whether these are all that the lane was given."""
        if limit != self._limit:
            self._limit = limit
            self._set_threads()
        return limit >= self._all_threads

    def _set_threads(self) -> None:
        self._c.llama_set_n_threads(self._context, min(self.threads, self._limit),
                                    min(self._all_threads, self._limit))

    def _best_threads(self, token: int, length: int) -> int:
        """How many threads write fastest here: all that were given, or half of them. A token is little work for each
        and many waits for one another, which cost more than they gain where two share a core, or where a host gives
        its cores by turns. Prompts are read with all of them. The logits are the same."""
        if self._all_threads < 2:
            return self._all_threads
        times: dict[int, list[float]] = {self._all_threads: [], self._all_threads // 2: []}
        for threads in list(times) * TRIES:
            self._c.llama_set_n_threads(self._context, threads, self._all_threads)
            self.cut(0, length)
            began = time.monotonic()
            self.write({0: token})
            times[threads].append(time.monotonic() - began)
        self.cut(0, length)
        return min(times, key=lambda threads: statistics.median(times[threads]))

    def _best_width(self, tokens: Sequence[int], length: int) -> int:
        """How many answers a batch is to write: as many as give most tokens for the CPU time here, among the
        widths at which each of some tokens gets the very logits it gets alone. CPU time, as others may be busy
        on the machine while this is measured."""
        if self.adapted:  # its float16 matrices go through other kernels in company: logits differ by up to 0.9
            return 1
        probes = list(dict.fromkeys(tokens))[:PROBES]
        alone: dict[int, Any] = {}
        best, best_rate = 1, 0.0
        for width in range(1, min(MAX_WIDTH, self.places) + 1):
            least_s = float("inf")
            for first in range(len(probes)):
                team = [probes[(first + place) % len(probes)] for place in range(width)]
                self._cut_all(length)
                began = time.process_time()
                self.write(dict(enumerate(team)))
                least_s = min(least_s, time.process_time() - began)
                if width == 1:
                    alone[team[0]] = self._logits(0).copy()
                elif not all((self._logits(row) == alone[token]).all() for row, token in enumerate(team)):
                    self._cut_all(length)
                    return best
            rate = width / max(least_s, 1e-9)
            if rate > best_rate * WORTH:
                best, best_rate = width, rate
        self._cut_all(length)
        return best

    def _cut_all(self, length: int) -> None:
        for place in range(self.places):
            self.cut(place, min(length, self._lengths[place]))

    def clear(self) -> None:
        """Forget everything."""
        self._c.llama_memory_clear(self._memory, True)
        self._lengths = [0] * self.places

    def read(self, place: int, tokens: Sequence[int], should_stop: Callable[[], bool] | None = None,
             picked: bool = True) -> None:
        """Read prompt tokens behind what the place holds; `picked` says whether a token is to be picked behind the
        last of them, as what that takes is not computed otherwise. Raises Stopped within milliseconds after
        `should_stop` turns true; the place then holds a part of them that ends where a batch does."""
        c = self._c
        if should_stop:
            abort = c.ggml_abort_callback(lambda _data: expect_errors(should_stop()))
            c.llama_set_abort_callback(self._context, abort, None)
        try:
            for start in range(0, len(tokens), BATCH):
                part = tokens[start:start + BATCH]
                last = picked and start + BATCH >= len(tokens)
                self._decode([(place, token) for token in part], {len(part) - 1} if last else set())
        finally:
            # Only while reading: a Python call for every graph node would slow writing down.
            c.llama_set_abort_callback(self._context, c.ggml_abort_callback(), None)
            expect_errors(False)

    def write(self, tokens: Mapping[int, int]) -> None:
        """Append one token to each of several places, in one batch."""
        self._decode(list(tokens.items()), set(range(len(tokens))))

    def sample(self, place: int, sampler: Sampler) -> int:
        """Pick a token behind what the place read or wrote in the last batch."""
        return self._c.llama_sampler_sample(sampler.chain, self._context, self._rows[place])

    def cut(self, place: int, length: int) -> None:
        """Forget what the place holds behind its first `length` tokens."""
        if not self._c.llama_memory_seq_rm(self._memory, place, length, -1):
            raise RuntimeError("this model's memory cannot be cut back to a position")
        self._lengths[place] = length

    def save(self, place: int) -> State:
        """What the place holds, to go on with it later and elsewhere."""
        c = self._c
        size = c.llama_state_seq_get_size(self._context, place)
        data = (ctypes.c_uint8 * size)()
        if c.llama_state_seq_get_data(self._context, data, size, place) != size:
            raise RuntimeError("the state of an answer could not be saved")
        return State(data, size, self._lengths[place])

    def load(self, place: int, state: State) -> None:
        """Put back into any place what `save` took."""
        self.cut(place, 0)
        if self._c.llama_state_seq_set_data(self._context, state.data, state.size, place) != state.size:
            raise RuntimeError("the state of an answer could not be put back")
        self._lengths[place] = state.length

    def take(self, place: int, end: int) -> Block:
        """Keys and values of the first `end` tokens that the place holds."""
        state = self.save(place)
        return from_state(bytes(state.data)).part(0, end)

    def put(self, place: int, block: Block) -> None:
        """Put a block right behind what the place holds."""
        state = self.save(place)
        held = bytes(state.data)
        data = to_state(from_state(held).then(block), held)
        self.load(place, State((ctypes.c_uint8 * len(data)).from_buffer_copy(data), len(data), block.end))

    def score(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each continuation of the prompt (natural logarithm, summed over its
        tokens in float64), in place 0. The prompt is read once; what a continuation added to the
        memory is dropped before the next.

        Raises UserError where the prompt and its longest continuation do not fit the context.
        """
        if not prompt or not all(continuations):
            raise ValueError("a prompt and its continuations need at least one token each")
        size = len(prompt) + max(map(len, continuations), default=0)
        if size > self.context_tokens:
            raise UserError(f"A question with its longest option fills {size} tokens, more than the "
                            f"{self.context_tokens} the model can hold.", "Set CONTEXT_TOKENS to a larger number.")
        self.cut(0, 0)
        self.read(0, prompt)
        first = self._log_probabilities(-1)  # its own array: the next decode overwrites the logits
        sums = []
        for tokens in continuations:
            total = float(first[tokens[0]])
            # The last token need not be read, but one token alone runs through other kernels than a
            # batch, with sums that differ by up to 0.1: at least two are read where there are two.
            read = tokens[:max(len(tokens) - 1, 2)] if len(tokens) > 1 else ()
            for start in range(0, len(read), BATCH):
                part = read[start:start + BATCH]
                self._decode([(0, token) for token in part], set(range(len(part))))
                total += sum(float(self._log_probabilities(row)[after])
                             for row, after in enumerate(tokens[start + 1:start + 1 + len(part)]))
            sums.append(total)
            self.cut(0, len(prompt))
        return sums

    def _logits(self, row: int) -> Any:
        """The logits behind token `row` of the last batch (-1: its last), valid until the next."""
        import numpy as np

        logits = self._c.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(logits, (self.weights.vocab_size,))

    def _log_probabilities(self, row: int) -> Any:
        """Log-softmax, in float64, of the logits behind token `row` of the last batch."""
        import numpy as np

        values = self._logits(row).astype(np.float64)
        values -= values.max()
        return values - np.log(np.exp(values).sum())

    def _decode(self, tokens: Sequence[tuple[int, int]], wanted: set[int]) -> None:
        """Read tokens, each behind the others of its place; logits of the rows in `wanted`."""
        batch, lengths = self._batch, list(self._lengths)
        batch.n_tokens = len(tokens)
        for row, (place, token) in enumerate(tokens):
            batch.token[row] = token
            batch.pos[row] = lengths[place]
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = place
            batch.logits[row] = row in wanted
            lengths[place] += 1
        status = self._c.llama_decode(self._context, batch)
        if status:
            for place in {place for place, _ in tokens}:
                self.cut(place, self._lengths[place])
            if status == 2:
                raise Stopped
            raise RuntimeError(f"llama_decode returned {status}")
        self._lengths = lengths
        self._rows = {tokens[row][0]: row for row in wanted}
