"""llama.cpp at training time: a GGUF quantised, and the greedy tokens of one, for the proof of parity."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from space.errors import UserError


def quantize(source: Path, out: Path, threads: int, importance: Mapping[str, Any] | None = None) -> Path:
    """Write `source`, a float16 GGUF, as q4_k_m. Tensors whose rows are no multiple of 256 fall back to
    q5_0 or q8_0, as llama.cpp's own tool does. `importance` holds, by tensor name, how much each column matters
    (float32; train/importance.py); without it all matter alike."""
    import llama_cpp

    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # else a line for every tensor that falls back
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, threads
    listed = _importance_list(importance or {})  # kept by this name until the call is over: llama.cpp reads it
    if importance:
        params.imatrix = ctypes.cast(listed, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    part = out.with_name(out.name + ".part")
    if llama_cpp.llama_model_quantize(str(source).encode(), str(part).encode(), ctypes.byref(params)):
        part.unlink(missing_ok=True)
        raise UserError(f"llama.cpp could not quantise {source.name}.", "See that the disk has room for the result.")
    os.replace(part, out)
    return out


def _importance_list(importance: Mapping[str, Any]) -> Any:
    """llama.cpp's list of (name, values, size); an entry without a name ends it."""
    import llama_cpp
    import numpy as np

    listed = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, values) in zip(listed, importance.items(), strict=False):
        held = np.ascontiguousarray(values, dtype=np.float32)
        entry.name, entry.size = name.encode(), held.size
        entry.data = np.ctypeslib.as_ctypes(held)
    return listed


def greedy(model: Path, prompts: Sequence[Sequence[int]], max_tokens: int, threads: int,
           adapter: Path | None = None) -> list[list[int]]:
    """The likeliest tokens after each prompt, one by one, up to the end token (kept) or `max_tokens`."""
    import llama_cpp

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    longest = max(len(prompt) for prompt in prompts) + max_tokens
    llm = llama_cpp.Llama(str(model), lora_path=str(adapter) if adapter else None, n_ctx=longest + 8, n_batch=512,
                          n_threads=threads, n_threads_batch=threads, verbose=False)
    answers: list[list[int]] = []
    for prompt in prompts:
        llm.reset()
        tokens: list[int] = []
        for token in llm.generate(list(prompt), top_k=1, temp=0.0, repeat_penalty=1.0):
            tokens.append(int(token))
            if token == llm.token_eos() or len(tokens) == max_tokens:
                break
        answers.append(tokens)
    llm.close()
    return answers
