"""The engine for ZeroGPU: the same three columns by transformers on a GPU that is lent for each question.

ENGINE=transformers switches it on (`python -m space.deploy --hardware zero-a10g` sets that). ZeroGPU runs a
decorated function in a process that is forked for it: what goes in and out is pickled, so token ids go in and
text comes out, and the model is loaded before the page is launched. A question that is stopped gives its GPU
back when its answers end, as the host offers no way to end them earlier; their length is bounded.

Without ZeroGPU the very same code runs on the CPU, or on a GPU of one's own.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

from space import models, references
from space.engine import Request
from space.errors import UserError
from space.gpu_model import GpuModel, Row, Step
from space.schema import (
    AnswerDone,
    AnswerEvent,
    AnswerFailed,
    ModelIdentity,
    PromptReading,
    TextDelta,
)

log = logging.getLogger(__name__)

START_S, TOKEN_S = 6.0, 0.06
"""What is declared to ZeroGPU for a question: a start, and a time for each token of the longest answer."""
_loaded: list[GpuModel] = []


def seconds(rows: Sequence[Row]) -> int:
    """How long the GPU is asked for. The declared time is taken from the visitor's daily share."""
    return round(START_S + TOKEN_S * max(r.sampling.max_tokens for r in rows))


def _generate(rows: Sequence[Row]) -> Iterator[Step]:
    """Runs on the GPU, perhaps in a forked process, on the model that was loaded before."""
    yield from _loaded[0].generate(rows)


def on_zero_gpu() -> bool:
    """Whether this is a ZeroGPU Space."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def switched_on() -> bool:
    """Whether this engine answers, and not llama.cpp."""
    return os.environ.get("ENGINE", "").strip() == "transformers"


def decorated(function: Callable[[Sequence[Row]], Iterator[Step]]) -> Callable[[Sequence[Row]], Iterator[Step]]:
    """The function as ZeroGPU wants it; as it is where the host's package `spaces` is absent."""
    if not on_zero_gpu() and importlib.util.find_spec("spaces") is None:
        return function
    import spaces  # before anything touches CUDA

    return spaces.GPU(duration=seconds)(function)


class TransformersEngine:
    """See space.engine.Engine. `base_hf` and the adapter are those of the profile."""

    def __init__(self, profile: models.Profile, context_tokens: int) -> None:
        self._profile = profile
        self._context_tokens = context_tokens
        self._identities: dict[bool, ModelIdentity] = {}
        self._lock = threading.Lock()
        self._run = decorated(_generate)

    def loading(self) -> str:
        """See Engine.loading."""
        return "" if self._identities else f"Loading {self._profile.label}."

    def warm(self) -> None:
        """Load the model. On ZeroGPU before the page is launched: the host moves the weights then."""
        if self._identities:
            return
        with self._lock:
            if self._identities:
                return
            profile = self._profile
            if not profile.base_hf:
                raise UserError(f"The profile {profile.name} names no weights for transformers.",
                                "Set BASE_HF to hf:OWNER/NAME or file:FOLDER.")
            base = references.resolve(profile.base_hf)
            adapter = references.resolve(profile.adapter) if profile.adapter else None
            _loaded[:] = [GpuModel(base, adapter, _device())]
            self._identities = {tuned: models.identify_folder(profile, base, _loaded[0].kind,
                                                              adapter if tuned else None) for tuned in (False, True)}

    def stream(self, requests: Sequence[Request], stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """See Engine.stream. All requests are answered in one batch."""
        pending = {r.variant.key: r for r in requests}
        try:
            self.warm()
            rows = self._rows(requests)
            for row in rows:
                yield PromptReading(row.key, len(row.tokens))
            yield from self._answer(rows, pending, stop)
        except UserError as error:
            yield from (AnswerFailed(key, str(error)) for key in pending)
        except Exception as error:
            log.exception("answering failed")
            yield from (AnswerFailed(key, _said(error)) for key in pending)

    def _rows(self, requests: Sequence[Request]) -> list[Row]:
        rows = [Row(r.variant.key, _loaded[0].encode(r.prompt), r.variant.tuned, r.sampling) for r in requests]
        for row in rows:
            if row.tuned and not _loaded[0].has_adapter:
                raise UserError(f"No fine-tuned adapter is set for {self._profile.label}.",
                                "Set ADAPTER to hf:OWNER/REPO/adapter.gguf.")
            if len(row.tokens) + row.sampling.max_tokens > self._context_tokens:
                raise UserError(f"The question and its passages fill {len(row.tokens)} tokens; with the answer that is "
                                f"more than the {self._context_tokens} the model can hold.", "Ask a shorter question.")
        return rows

    def _answer(self, rows: Sequence[Row], pending: dict[str, Request],
                stop: threading.Event | None) -> Iterator[AnswerEvent]:
        """Fold the steps into events; takes each finished answer out of `pending`."""
        started = time.monotonic()
        first: dict[str, float] = {}
        by_key = {r.key: r for r in rows}
        steps = self._run(rows)
        with nullcontext() if on_zero_gpu() else self._lock:  # one batch at a time where none is forked for it
            for step in steps:
                now = time.monotonic() - started
                first.setdefault(step.key, now)
                if step.key not in pending:
                    continue
                if step.text:
                    yield TextDelta(step.key, step.text)
                finish = step.finish or self._ended(pending[step.key], stop, now)
                if finish:
                    del pending[step.key]
                    yield self._done(by_key[step.key], step, finish, first[step.key], now)
                if not pending:
                    return

    @staticmethod
    def _ended(request: Request, stop: threading.Event | None, now: float) -> str:
        """stopped or deadline where an answer must end before its own end."""
        if (stop and stop.is_set()) or (request.stop and request.stop.is_set()):
            return "stopped"
        return "deadline" if now > request.deadline_s else ""

    def _done(self, row: Row, step: Step, finish: str, first_s: float, now: float) -> AnswerDone:
        decode_s = now - first_s
        return AnswerDone(
            row.key, finish, prompt_tokens=len(row.tokens), answer_tokens=step.tokens, cached_tokens=0, queued_s=0.0,
            first_token_s=round(first_s, 3),
            decode_tps=round(step.tokens / decode_s, 2) if step.tokens > 1 and decode_s > 0 else 0.0,
            identity=self._identities[row.tuned])


def _device() -> str:
    import torch

    return "cuda" if on_zero_gpu() or torch.cuda.is_available() else "cpu"


def _said(error: Exception) -> str:
    """A refusal of the host (its own gr.Error: quota, no GPU free) in its words, else that it is our fault."""
    words = str(getattr(error, "message", "")) if type(error).__module__.startswith(("gradio", "spaces")) else ""
    return f"No GPU could be had: {words}" if words else "This answer failed on our side. Please ask again."
