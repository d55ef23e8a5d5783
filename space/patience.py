"""HTTP to the Hub with bounded patience: waits as long as the Hub asks, but not for ever.

huggingface_hub retries some requests and not others, and waits any time that a Retry-After names.
This client, put in place of its own, sends every request again that can be; uploads of open files,
which the library rewinds and sends again itself, pass through. When patience ends, the error
is a UserError, which the library does not retry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from space.errors import UserError

TRIES = 5
CONNECT_TRIES = 2
LONGEST_WAIT_S = 120
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
RETRIED = (408, 429, 500, 502, 503, 504)
AGAIN = "Run the same command again later; files that arrived are not sent twice."


class PatientClient(httpx.Client):
    """An httpx client that tells `say` before each wait."""

    def __init__(self, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep,
                 **options: Any) -> None:
        super().__init__(timeout=TIMEOUT, follow_redirects=True, **options)
        self._say = say
        self._sleep = sleep

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Raises UserError where the Hub asks for too long a wait or fails TRIES times."""
        replayable = isinstance(request.stream, httpx.ByteStream)
        trouble = ""
        for tried in range(1, TRIES + 1):
            wait_s = 2.0 ** (tried - 1)
            try:
                response = super().send(request, **options)
            except httpx.TransportError as error:
                if not replayable:
                    raise
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and tried >= CONNECT_TRIES:
                    raise UserError(f"{request.url.host} could not be reached ({error}).",
                                    "Check the network, then run the same command again.") from error
                trouble = f"the connection to {request.url.host} broke ({error})"
            else:
                if response.status_code not in RETRIED:
                    return response
                wait_s = retry_after(response.headers, wait_s)
                if wait_s > LONGEST_WAIT_S:
                    response.close()
                    raise UserError(f"The Hub asks to wait {wait_s:.0f} s before the next request "
                                    f"({response.status_code}).", AGAIN)
                if not replayable:
                    return response
                response.close()
                trouble = f"the Hub answered {response.status_code}"
            if tried < TRIES:
                self._say(f"{trouble}; trying again in {wait_s:.0f} s ({tried} of {TRIES - 1})")
                self._sleep(wait_s)
        raise UserError(f"{trouble[0].upper()}{trouble[1:]}, {TRIES} times in a row.", AGAIN)


def retry_after(headers: httpx.Headers, otherwise_s: float) -> float:
    """The seconds that a Retry-After header names. One with a date counts as `otherwise_s`."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isdigit() else otherwise_s


@contextmanager
def patient_session(say: Callable[[str], None]) -> Iterator[None]:
    """Let huggingface_hub send through a PatientClient inside this block."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook

    set_client_factory(lambda: PatientClient(say, event_hooks={"request": [hf_request_event_hook]}))
    try:
        yield
    finally:
        set_client_factory(default_client_factory)
