"""llama.cpp through llama-cpp-python's C API: the library, and the weights of one GGUF file.

Weights may be used by several threads once they are loaded; adapters are loaded by one at a time.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from space.kv_blocks import Rope

log = logging.getLogger(__name__)

_kept: list[Any] = []
_this_thread = threading.local()


def expect_errors(yes: bool) -> bool:
    """Whether llama.cpp is about to complain in this thread that we stop it, which is no news; returns `yes`."""
    _this_thread.errors_expected = yes
    return yes


@cache
def library() -> Any:
    """llama.cpp, started once, with its own log lines sent to ours."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on a busy machine
    import llama_cpp.llama_cpp as library

    @library.llama_log_callback
    def forward(level: int, text: bytes, _data: object) -> None:
        if level == 4 and not getattr(_this_thread, "errors_expected", False):  # GGML_LOG_LEVEL_ERROR
            log.warning("llama.cpp: %s", text.decode("utf-8", "replace").strip())

    library.llama_backend_init()
    library.llama_log_set(forward, None)
    _kept.append(forward)  # ctypes keeps no reference of its own
    return library


class Weights:
    """One GGUF model file, memory-mapped, with its vocabulary."""

    def __init__(self, path: Path) -> None:
        self._c = library()
        params = self._c.llama_model_default_params()
        params.load_mode = self._c.LLAMA_LOAD_MODE_MMAP
        params.n_gpu_layers = 0
        self.model = self._c.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise UserError(f"llama.cpp cannot load {path.name}.",
                            "The file may be damaged; download or export it again.")
        self._adapters: dict[Path, Any] = {}
        self.vocab = self._c.llama_model_get_vocab(self.model)
        self.vocab_size: int = self._c.llama_vocab_n_tokens(self.vocab)
        template = self._c.llama_model_chat_template(self.model, None)
        if prompts.TEMPLATE_MARK.encode() not in (template or b""):
            raise UserError(f"{path.name} has no ChatML chat template.",
                            "Use a model of the Qwen2.5 or SmolLM2 family.")

    def adapter(self, path: Path) -> Any:
        """llama.cpp's handle of an adapter on these weights, one for all contexts. Raises UserError."""
        if path not in self._adapters:
            handle = self._c.llama_adapter_lora_init(self.model, str(path).encode())
            if not handle:
                raise UserError(f"The adapter {path.name} does not fit this base model.",
                                "Make it anew with `make train`.")
            self._adapters[path] = handle
        return self._adapters[path]

    @property
    def state_bytes_per_token(self) -> int:
        """Keys and values, in float16, that a context keeps for each token."""
        c, model = self._c, self.model
        width = c.llama_model_n_embd(model) // max(c.llama_model_n_head(model), 1)
        return 2 * 2 * c.llama_model_n_layer(model) * c.llama_model_n_head_kv(model) * width

    @cached_property
    def rope(self) -> Rope | None:
        """How its keys carry their position; None where that is neither llama's nor Qwen2's plain way."""
        c, model = self._c, self.model
        kinds = {c.LLAMA_ROPE_TYPE_NORM: False, c.LLAMA_ROPE_TYPE_NEOX: True}
        kind = c.llama_model_rope_type(model)
        if kind not in kinds or c.llama_model_rope_freq_scale_train(model) != 1.0:
            return None
        width = c.llama_model_n_embd(model) // max(c.llama_model_n_head(model), 1)
        base = float(self._said(f"{self._said('general.architecture')}.rope.freq_base") or 10_000)
        return Rope(c.llama_model_n_head_kv(model), width, base, kinds[kind])

    def _said(self, key: str) -> str:
        """A value of the file's header, "" where it has none."""
        buffer = ctypes.create_string_buffer(256)
        count = self._c.llama_model_meta_val_str(self.model, key.encode(), buffer, 256)
        return buffer.value.decode() if count >= 0 else ""

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
