"""llama.cpp through llama-cpp-python's C API: weights, and lanes that answer with them.

`Weights` is one memory-mapped GGUF file. A `Lane` is a context on weights, with or without an
adapter: the plain lane and the tuned lane share one copy of the weights. Nothing here is safe to
call from two threads; the engine's one worker owns all of it.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from space.schema import Sampling

log = logging.getLogger(__name__)

BATCH = 512
"""Prompt tokens handed to llama.cpp at a time, its own default."""


class Stopped(Exception):
    """The reading of a prompt was given up because the caller asked for it."""


_kept: list[Any] = []


@cache
def _library() -> Any:
    """llama.cpp, started once, with its own log lines sent to ours."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on a busy machine
    import llama_cpp.llama_cpp as library

    @library.llama_log_callback
    def forward(level: int, text: bytes, _data: object) -> None:
        if level == 4:  # GGML_LOG_LEVEL_ERROR
            log.warning("llama.cpp: %s", text.decode("utf-8", "replace").strip())

    library.llama_backend_init()
    library.llama_log_set(forward, None)
    _kept.append(forward)  # ctypes keeps no reference of its own
    return library


class Weights:
    """One GGUF model file, memory-mapped, with its vocabulary."""

    def __init__(self, path: Path) -> None:
        self._c = _library()
        params = self._c.llama_model_default_params()
        params.load_mode = self._c.LLAMA_LOAD_MODE_MMAP
        params.n_gpu_layers = 0
        self.model = self._c.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise UserError(f"llama.cpp cannot load {path.name}.",
                            "The file may be damaged; download or export it again.")
        self.vocab = self._c.llama_model_get_vocab(self.model)
        self.vocab_size: int = self._c.llama_vocab_n_tokens(self.vocab)
        template = self._c.llama_model_chat_template(self.model, None)
        if prompts.TEMPLATE_MARK.encode() not in (template or b""):
            raise UserError(f"{path.name} has no ChatML chat template.",
                            "Use a model of the Qwen2.5 or SmolLM2 family.")

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`; control tokens inside it are live only with `special`."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        buffer = (self._c.llama_token * size)()
        count = self._c.llama_tokenize(self.vocab, data, len(data), buffer, size, False, special)
        if count < 0:
            raise UserError("The text could not be tokenised.", "Shorten the question.")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of one token; control tokens give none."""
        buffer = ctypes.create_string_buffer(256)
        count = self._c.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
        return buffer.raw[:max(count, 0)]

    def is_end(self, token: int) -> bool:
        return bool(self._c.llama_vocab_is_eog(self.vocab, token))


class Lane:
    """A context on `weights`, one sequence at a time, with the adapter's file if one is given."""

    def __init__(self, weights: Weights, context_tokens: int, threads: int,
                 adapter: Path | None = None) -> None:
        c = self._c = _library()
        self.weights = weights
        self.context_tokens = context_tokens
        params = c.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = c.llama_init_from_model(weights.model, params)
        if not self._context:
            raise UserError("There is not enough memory for the model's context.",
                            "Set CONTEXT_TOKENS to a smaller number.")
        self._memory = c.llama_get_memory(self._context)
        self._position = 0
        self._sampler: Any = None
        if adapter:
            self._attach(adapter)

    def _attach(self, adapter: Path) -> None:
        c = self._c
        handle = c.llama_adapter_lora_init(self.weights.model, str(adapter).encode())
        if not handle:
            raise UserError(f"The adapter {adapter.name} does not fit this base model.",
                            "Make it anew with `make train`.")
        handles = (c.llama_adapter_lora_p_ctypes * 1)(handle)
        if c.llama_set_adapters_lora(self._context, handles, 1, (ctypes.c_float * 1)(1.0)):
            raise UserError(f"The adapter {adapter.name} could not be switched on.",
                            "Make it anew with `make train`.")

    def read(self, tokens: Sequence[int], should_stop: Callable[[], bool]) -> None:
        """Forget what was read before and read a prompt. Raises Stopped within milliseconds
        after `should_stop` turns true."""
        c = self._c
        c.llama_memory_clear(self._memory, True)
        self._position = 0
        abort = c.ggml_abort_callback(lambda _data: should_stop())
        c.llama_set_abort_callback(self._context, abort, None)
        try:
            for start in range(0, len(tokens), BATCH):
                self._decode(tokens[start:start + BATCH])
        finally:
            # Only while reading: a Python call for every graph node would slow decoding down.
            c.llama_set_abort_callback(self._context, c.ggml_abort_callback(), None)

    def sample_with(self, sampling: Sampling) -> None:
        """Choose how `next_token` picks from here on."""
        c = self._c
        if self._sampler:
            c.llama_sampler_free(self._sampler)
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if sampling.temperature <= 0:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
        else:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(sampling.top_p, 1))
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(sampling.temperature))
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(sampling.seed))
        self._sampler = chain

    def next_token(self) -> int:
        """Pick a token after what was read and written so far."""
        return self._c.llama_sampler_sample(self._sampler, self._context, -1)

    def write(self, token: int) -> None:
        """Append one token of the answer."""
        self._decode([token])

    def score(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each continuation of the prompt (natural logarithm, summed over its
        tokens in float64). The prompt is read once; what a continuation added to the memory is
        dropped before the next. Afterwards the lane must `read` before it writes again.

        Raises UserError where the prompt and its longest continuation do not fit the context.
        """
        if not prompt or not all(continuations):
            raise ValueError("a prompt and its continuations need at least one token each")
        size = len(prompt) + max(map(len, continuations), default=0)
        if size > self.context_tokens:
            raise UserError(f"A question with its longest option fills {size} tokens, more than the "
                            f"{self.context_tokens} the model can hold.", "Set CONTEXT_TOKENS to a larger number.")
        self.read(prompt, lambda: False)
        first = self._log_probabilities(-1)  # its own array: the next decode overwrites the logits
        sums = []
        for tokens in continuations:
            total = float(first[tokens[0]])
            # The last token need not be read, but one token alone runs through other kernels than a
            # batch, with sums that differ by up to 0.1: at least two are read where there are two.
            read = tokens[:max(len(tokens) - 1, 2)] if len(tokens) > 1 else ()
            for start in range(0, len(read), BATCH):
                part = read[start:start + BATCH]
                self._decode(part, every=True)
                total += sum(float(self._log_probabilities(row)[after])
                             for row, after in enumerate(tokens[start + 1:start + 1 + len(part)]))
            sums.append(total)
            self._forget_after(len(prompt))
        return sums

    def _log_probabilities(self, row: int) -> Any:
        """Log-softmax, in float64, of the logits behind token `row` of the last batch (-1: its last)."""
        import numpy as np

        logits = self._c.llama_get_logits_ith(self._context, row)
        values = np.ctypeslib.as_array(logits, (self.weights.vocab_size,)).astype(np.float64)
        values -= values.max()
        return values - np.log(np.exp(values).sum())

    def _forget_after(self, position: int) -> None:
        """Drop from the memory what was read behind the first `position` tokens."""
        if not self._c.llama_memory_seq_rm(self._memory, 0, position, -1):
            raise RuntimeError("this model's memory cannot be cut back to a position")
        self._position = position

    def _decode(self, tokens: Sequence[int], every: bool = False) -> None:
        """Read tokens behind the others; logits of the last one, or of `every` one."""
        c = self._c
        count = len(tokens)
        batch = c.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for i, token in enumerate(tokens):
                batch.token[i] = token
                batch.pos[i] = self._position + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = 0
                batch.logits[i] = every or i == count - 1
            status = c.llama_decode(self._context, batch)
        finally:
            c.llama_batch_free(batch)
        if status == 2:
            raise Stopped
        if status:
            raise RuntimeError(f"llama_decode returned {status}")
        self._position += count
