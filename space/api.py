"""The endpoint for programs: one call, all answers.

    from gradio_client import Client
    Client("http://127.0.0.1:7860").predict("What is MLA?", ["plain", "tuned_rag"], api_name="/ask")
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from space import parts
from space.answer import answer_all, stream_answers
from space.ask import parse_variants
from space.options import check_options
from space.questions import clean_question
from space.schema import CHAT_VARIANTS, Answer
from space.settings import load_settings
from space.visitors import load_visitors

DESCRIPTION = (
    "Ask one question of several variants of the model. variants: any of plain, tuned, tuned_rag, plain_rag (None: the "
    "three columns of the page). temperature 0 to 1.5 (0: always the likeliest word), max_tokens 16 to 400, passages "
    "1 to 5, seed (counts above temperature 0). Returns {question, answers: [{variant, text, error, finish, "
    "prompt_tokens, cached_tokens, answer_tokens, queued_s, first_token_s, decode_tps, model: {file, sha256, base, "
    "architecture, quantization, layers, size_mb, adapter, adapter_sha256}, passages: [id]}], passages: [{id, title, "
    "heading, source, text, excerpt, score, cosine}]}. error is \"\" or a sentence; then finish and model are null.")


def ask(question: object, variants: Sequence[str] | None = None, temperature: object = None, max_tokens: object = None,
        passages: object = None, seed: object = None, session: str = "", event_id: str = "") -> dict[str, Any]:
    """The answers of `variants` as plain values, see DESCRIPTION; `session` is the caller's, who may have so many
    questions running, and `event_id` what this one can be called off by. Raises UserError for what cannot be asked."""
    text = clean_question(question)
    options = check_options(temperature, max_tokens, passages, seed)
    chosen = parse_variants(",".join(map(str, variants))) if variants else list(CHAT_VARIANTS)
    chosen = list(dict.fromkeys(chosen))
    stop, deadline_s = threading.Event(), load_settings().deadline_s
    events = stream_answers(text, chosen, parts.load_engine(), parts.load_retriever(), options.sampling,
                            options.passages, deadline_s, stop)
    events = load_visitors().watch(events, chosen, stop, session, deadline_s, event_id)
    answers = answer_all(events, chosen)
    found = {p.id: p for answer in answers.values() for p in answer.passages}
    return {"question": text, "answers": [_plain(answers[v.key]) for v in chosen],
            "passages": [asdict(p) for p in found.values()]}


def _plain(answer: Answer) -> dict[str, Any]:
    done = asdict(answer.done) if answer.done else {}
    numbers = ("finish", "prompt_tokens", "cached_tokens", "answer_tokens", "queued_s", "first_token_s", "decode_tps")
    return {"variant": answer.variant, "text": answer.text, "error": answer.error,
            **{name: done.get(name) for name in numbers}, "model": done.get("identity"),
            "passages": [p.id for p in answer.passages]}
