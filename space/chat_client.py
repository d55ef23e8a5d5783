"""Ask any OpenAI-compatible endpoint for JSON: bounded retries, and a count of what was spent.

OPENAI_BASE_URL, OPENAI_API_KEY and JUDGE_MODEL (or OPENAI_MODEL) name the endpoint. The openai client
waits as long as a Retry-After header says (up to two minutes), retries 408, 409, 429, 5xx, time-outs
and broken connections with growing pauses, and gives up after `retries`.
"""

from __future__ import annotations

import copy
import os
import threading
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from space.errors import UserError

DEFAULT_MODEL = "gpt-4o-mini"
ASK_AGAIN = 2
"""How often an answer that is not the JSON asked for is asked for again."""

Answer = TypeVar("Answer", bound=BaseModel)


class NoAnswer(Exception):
    """The endpoint gave no usable answer; the sentence says why. Asked again later, it may."""


@dataclass(frozen=True)
class Usage:
    """What the endpoint was asked and what it answered, in calls and tokens."""

    calls: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(a - b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def dollars(self, price_in: float, price_out: float) -> float:
        """Cost at these prices per million tokens."""
        return (self.input_tokens * price_in + self.output_tokens * price_out) / 1e6


@dataclass(frozen=True)
class Endpoint:
    """Where to ask. `base_url` empty is OpenAI itself; times in seconds."""

    base_url: str
    key: str
    model: str
    timeout_s: float = 60.0
    retries: int = 4


def endpoint_from_environment(timeout_s: float, retries: int, otherwise: str) -> Endpoint:
    """Raises UserError where there is no key; `otherwise` names the option that needs none."""
    def read(name: str) -> str:
        return os.environ.get(name, "").strip()

    if not read("OPENAI_API_KEY"):
        raise UserError("There is no OPENAI_API_KEY.",
                        "Export the key of your endpoint (any word, for a server of your own that wants none), "
                        f"or use {otherwise}.")
    model = read("JUDGE_MODEL") or read("OPENAI_MODEL") or DEFAULT_MODEL
    return Endpoint(read("OPENAI_BASE_URL"), read("OPENAI_API_KEY"), model, timeout_s, retries)


class ChatClient:
    """Blocking and thread-safe; `usage` only grows."""

    def __init__(self, endpoint: Endpoint, temperature: float = 0.3) -> None:
        from openai import OpenAI

        self.endpoint = endpoint
        self._client = OpenAI(base_url=endpoint.base_url or None, api_key=endpoint.key,
                              timeout=endpoint.timeout_s, max_retries=endpoint.retries)
        self._options: dict[str, Any] = {
            "temperature": temperature, "max_tokens": 2048, "response_format": {"type": "json_object"}}
        self._lock = threading.Lock()
        self._usage = Usage()

    def counting_anew(self) -> ChatClient:
        """The same client and connections, with a count of its own."""
        other = copy.copy(self)
        other._usage = Usage()
        return other

    @property
    def usage(self) -> Usage:
        with self._lock:
            return self._usage

    def ask(self, prompt: str, form: type[Answer]) -> Answer:
        """The answer as a `form`. Raises NoAnswer where none came, UserError where none can come
        (key refused, model unknown)."""
        first = {"role": "user", "content": prompt}
        messages: list[Any] = [first]
        problem = ""
        for _ in range(1 + ASK_AGAIN):
            text = self._complete(messages)
            try:
                return form.model_validate_json(text[text.find("{"):text.rfind("}") + 1])
            except ValidationError as error:
                problem = str(error.errors()[0]["msg"])
            messages = [first, {"role": "assistant", "content": text or "(nothing)"},
                        {"role": "user", "content": f"That is not the JSON asked for: {problem}. "
                                                    "Answer with the JSON object alone."}]
        raise NoAnswer(f"{1 + ASK_AGAIN} answers in a row were not the JSON asked for ({problem})")

    def _complete(self, messages: list[Any]) -> str:
        """The text of one completion; empty where the response is no completion."""
        import openai

        try:
            response = self._send(messages)
            completion = response.parse()
            text = completion.choices[0].message.content or ""
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise UserError("The endpoint refuses the key.", "Check OPENAI_API_KEY and OPENAI_BASE_URL.") from error
        except openai.NotFoundError as error:
            raise UserError(f"The endpoint does not know the model {self.endpoint.model!r} or the address.",
                            "Check JUDGE_MODEL (or OPENAI_MODEL) and OPENAI_BASE_URL.") from error
        except openai.APITimeoutError as error:
            raise NoAnswer(f"no answer within {self.endpoint.timeout_s:g} s, "
                             f"{1 + self.endpoint.retries} times") from error
        except openai.APIConnectionError as error:
            raise NoAnswer(f"the endpoint cannot be reached ({error.__cause__ or error})") from error
        except openai.APIStatusError as error:
            if getattr(error, "code", "") == "insufficient_quota":
                raise UserError("The account at the endpoint has no credit left.",
                                "Top it up; the same command then goes on.") from error
            raise NoAnswer(f"the endpoint answered {error.status_code} {1 + self.endpoint.retries} times"
                             if error.status_code in (408, 409, 429) or error.status_code >= 500
                             else f"the endpoint answered {error.status_code}: {error.message}") from error
        except (ValueError, AttributeError, IndexError, TypeError):
            self._count(Usage(calls=1))
            return ""
        used = completion.usage
        self._count(Usage(
            calls=1, retries=response.retries_taken,
            input_tokens=used.prompt_tokens if used else sum(len(m["content"]) for m in messages) // 4,
            output_tokens=used.completion_tokens if used else len(text) // 4))
        return text

    def _send(self, messages: list[Any]) -> Any:
        """One request. Options that the endpoint does not know (a reasoning model takes no
        temperature, a small server no response format) are left out from then on."""
        import openai

        while True:
            with self._lock:
                options = dict(self._options)
            try:
                return self._client.chat.completions.with_raw_response.create(
                    model=self.endpoint.model, messages=messages, **options)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                unknown = [name for name in options if name in str(error)]
                if not unknown:
                    raise
                with self._lock:
                    for name in unknown:
                        self._options.pop(name, None)

    def _count(self, usage: Usage) -> None:
        with self._lock:
            self._usage += usage
