"""Settings of the app, each with its one default, read from the environment once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.schema import Sampling

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets"


@dataclass(frozen=True)
class Settings:
    """`profile` names the models; limits are in characters, tokens, passages and seconds; `results` is the folder
    of the evaluation runs that are shown, `votes` the one where votes of the blind test are kept, `votes_dataset`
    the Hub dataset that they are committed to (none: ""); `passage_states` says how passages that were read ahead of
    time are used (space/passage_states.py), `states` is the folder that keeps up to `states_mb` megabytes of them."""

    profile: str = "embedded"
    max_question_chars: int = 1000
    max_tokens: int = Sampling.max_tokens
    passages: int = 3
    sentences: int = -1  # as the profile says; 0: whole passages
    deadline_s: float = 300.0
    context_tokens: int = 2048
    threads: int = 0  # 0: as many as this process may use
    port: int = 7860
    results: Path = ASSETS / "results"
    questions_per_session: int = 2  # one running, one waiting
    questions_per_address: int = 4  # a few people can sit behind one address
    questions_at_once: int = 12  # of everyone, running and waiting
    votes: Path = ROOT / "work" / "votes"
    votes_dataset: str = ""
    passage_states: str = "first"
    states: Path = ROOT / "work" / "passage-states"
    states_mb: int = 300

    @property
    def trust_forwarded(self) -> bool:
        """Whether a proxy of ours stands in front and writes X-Forwarded-For: on a Space, behind a
        Gradio share link, or where TRUST_FORWARDED=1 says so."""
        return any(os.environ.get(name, "") not in ("", "0") for name in ("SPACE_ID", "SHARE", "TRUST_FORWARDED"))

    @property
    def thread_count(self) -> int:
        if self.threads:
            return self.threads
        return max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 1)


_FOLDERS = {"RESULTS_DIR": "results", "VOTES_DIR": "votes", "STATES_DIR": "states"}
_NUMBERS = {
    "MAX_TOKENS": ("max_tokens", 16, 1024),
    "PASSAGES": ("passages", 1, 8),
    "SENTENCES": ("sentences", 0, 12),
    "CONTEXT_TOKENS": ("context_tokens", 512, 32768),
    "THREADS": ("threads", 0, 256),
    "PORT": ("port", 0, 65535),
    "DEADLINE_S": ("deadline_s", 5, 3600),
    "STATES_MB": ("states_mb", 0, 100_000),
    "QUESTIONS_PER_ADDRESS": ("questions_per_address", 1, 64),
    "QUESTIONS_AT_ONCE": ("questions_at_once", 1, 64),
}


@cache
def load_settings() -> Settings:
    """Settings from the environment: PROFILE, VOTES_DATASET, PASSAGE_STATES, the folders in `_FOLDERS` and the
    numbers in `_NUMBERS`.

    Raises UserError for a value that is no whole number inside its bounds.
    """
    values: dict[str, Any] = {}
    for name, (attribute, low, high) in _NUMBERS.items():
        raw = os.environ.get(name, "").strip()
        if not raw:
            continue
        if not re.fullmatch(r"[0-9]{1,9}", raw) or not low <= int(raw) <= high:
            raise UserError(f"{name}={raw!r} is not a whole number from {low} to {high}.",
                            f"Set {name} to such a number or unset it.")
        values[attribute] = int(raw)
    values |= {attribute: Path(raw) for name, attribute in _FOLDERS.items()
               if (raw := os.environ.get(name, "").strip())}
    return Settings(profile=os.environ.get("PROFILE", "").strip() or Settings.profile,
                    votes_dataset=os.environ.get("VOTES_DATASET", "").strip(),
                    passage_states=os.environ.get("PASSAGE_STATES", "").strip() or Settings.passage_states, **values)
