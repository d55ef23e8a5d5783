"""Programs among the users of a load test: they ask the documented endpoint through gradio_client."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Any

import httpx

PATIENCE_S = 400.0
"""A reply that takes longer is a problem of its own."""


@dataclass(frozen=True)
class Reply:
    """How one call ended: `answered`, `late` (the time limit was over), `refused` or `left`. `text` is what
    came back, `answers` the answers' texts alone, `retry_s` the pause that a refusal asked for, and `left_at`
    when the program gave up (monotonic)."""

    end: str
    text: str = ""
    answers: str = ""
    retry_s: float = 0.0
    left_at: float = 0.0


class Program:
    """One client with an address of its own. Its calls block: run them in a thread."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # the client looks at both
        from gradio_client import Client

        self._client = Client(url, headers=headers, verbose=False, analytics_enabled=False, download_files=False,
                              httpx_kwargs={"trust_env": False, "timeout": PATIENCE_S}, max_workers=2)

    def ask(self, question: str, stay_s: float | None = None) -> Reply:
        """Ask and wait; with `stay_s`, call the question off if it has no answer by then."""
        job = self._client.submit(question, api_name="/ask")
        try:
            return _reply(job.result(timeout=stay_s or PATIENCE_S))
        except CancelledError:  # the client's word for an answer that never came
            raise ValueError("the answer was lost on the way") from None
        except NotYet:
            if not stay_s:
                raise
            while not job.communicator.event_id and not job.done():  # it has to have a name to be called off by
                time.sleep(0.01)
            left_at = time.monotonic()
            job.cancel()
            return Reply("left", left_at=left_at)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 429:
                raise
            return Reply("refused", str(error), retry_s=float(error.response.headers["retry-after"]))
        except ValueError as error:  # AppError: a sentence of the app
            if busy := re.search(r"Please try again in about (\d+) second", str(error)):
                return Reply("refused", str(error), retry_s=float(busy[1]))
            raise

    def close(self) -> None:
        self._client.close()


def _reply(result: dict[str, Any]) -> Reply:
    """What the endpoint's result means (space/api.py)."""
    answers = result["answers"]
    late = any(a["finish"] == "deadline" or "The time limit of" in a["error"] for a in answers)
    if broken := [a["error"] for a in answers if a["error"] and not late]:
        raise ValueError(broken[0])
    return Reply("late" if late else "answered", json.dumps(result), " | ".join(a["text"] for a in answers))
