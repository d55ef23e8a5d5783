"""A Space on the Hub: made or changed, watched while it is built, and asked why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from space.errors import UserError

MANAGED = ("PROFILE", "TUNED_MODEL", "ADAPTER", "ENGINE", "BASE_HF")
"""Variables of the Space that deploying sets, and removes where the plan has none."""
POLL_S = 5.0
GRACE_S = 60.0
"""A Space that was running needs some time to notice the new commit."""
LOG_LINES = 30
LOG_SIZE = 20_000
GOOD, GOING = ("RUNNING",), ("BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING")
WHAT = {"BUILDING": "installing packages", "RUNNING_BUILDING": "installing packages, the old version still answers",
        "APP_STARTING": "starting the app", "RUNNING_APP_STARTING": "starting the app, the old version still answers"}
CAUSES = (
    ("No @spaces.GPU function detected", "ZeroGPU wants a function that uses the GPU: deploy with --hardware "
     "zero-a10g, which switches the transformers engine on, instead of changing the hardware by hand."),
    ("Failed building wheel for llama-cpp-python", "llama.cpp did not compile there: give a prebuilt wheel with "
     "--llama-wheel URL (docs/deploy.md)."),
    ("libc.musl", "The wheel of llama-cpp-python is for another libc (musl): give --llama-wheel one whose name says "
     "manylinux."),
    ("Illegal instruction", "llama.cpp was built for another processor: give a prebuilt wheel with --llama-wheel URL."),
    ("No matching distribution found", "A pinned package is not on the index for this Python: compare python_version "
     "in README.md with requirements.txt."),
    ("ResolutionImpossible", "Two pinned packages exclude each other: see the lines above for their names."),
    ("No space left on device", "The disk is full: choose the embedded profile or larger hardware."),
    ("exceeded the memory", "The model does not fit into the memory: choose the embedded profile or cpu-upgrade."),
    ("Memory limit exceeded", "The model does not fit into the memory: choose the embedded profile or cpu-upgrade."),
    ("OOMKilled", "The model does not fit into the memory: choose the embedded profile or cpu-upgrade."),
    ("launch timed out", "The app did not answer in time: raise startup_duration_timeout in README.md."),
    ("build timed out", "The build took too long: give a prebuilt wheel with --llama-wheel URL (docs/deploy.md)."),
    ("timed out", "Something took too long: see the lines above; running the same command again often helps."),
    ("ModuleNotFoundError", "A package is missing in the Space's requirements.txt: see the name above."),
    ("401 Client Error", "A model is not public: make its repository public, or give the Space a secret HF_TOKEN."),
)
"""What a log says -> the likely cause and its remedy; the first that fits counts."""


def wish(variables: dict[str, str], hardware: str) -> dict[str, Any]:
    """What create_repo is told of a new Space."""
    return {"space_sdk": "gradio", "space_hardware": hardware,
            "space_variables": [{"key": k, "value": v} for k, v in variables.items()]}


def adjust(api: Any, repo: str, variables: dict[str, str], hardware: str, say: Callable[[str], None]) -> None:
    """Bring an existing Space to these variables and this hardware."""
    there = {key: entry.value for key, entry in api.get_space_variables(repo).items()}
    for key in MANAGED:
        if key in variables and there.get(key) != variables[key]:
            api.add_space_variable(repo, key, variables[key])
            say(f"variable {key}={variables[key]}")
        elif key in there and key not in variables:
            api.delete_space_variable(repo, key)
            say(f"variable {key} removed")
    runtime = api.get_space_runtime(repo)
    if hardware not in (runtime.requested_hardware, runtime.hardware):
        api.request_space_hardware(repo, hardware)
        say(f"hardware {hardware} requested")


def wait(api: Any, repo: str, commit: str, say: Callable[[str], None], timeout_s: float,
         sleep: Callable[[float], None] = time.sleep, now: Callable[[], float] = time.monotonic) -> None:
    """Return once the Space runs `commit` ("": whatever it has). Raises UserError, with the end of the
    log and the likely cause, where it fails or takes longer than `timeout_s`."""
    started, stage, told = now(), "", 0.0
    while True:
        runtime = api.get_space_runtime(repo)
        seconds = now() - started
        if runtime.stage != stage or seconds - told >= 60:
            stage, told = str(getattr(runtime.stage, "value", runtime.stage)), seconds
            say(f"{seconds:5.0f} s  {stage.lower().replace('_', ' ')}{': ' + WHAT[stage] if stage in WHAT else ''}")
        if stage not in GOING and not _old(runtime, stage, commit, seconds):
            break
        if seconds > timeout_s:
            raise UserError(f"{repo} is not ready after {timeout_s / 60:.0f} minutes (stage {stage}).",
                            "It may still come up; look at its page, or run the same command again to go on waiting.")
        sleep(POLL_S)
    if stage in GOOD:
        return
    if stage in ("PAUSED", "STOPPED", "SLEEPING", "DELETING"):
        raise UserError(f"{repo} is {stage.lower()}.", "Restart it on its page, then run the same command again.")
    raise failure(api, repo, stage, str(runtime.raw.get("errorMessage") or ""), say)


def _old(runtime: Any, stage: str, commit: str, seconds: float) -> bool:
    """Whether the state is still that of the version before `commit`."""
    if not commit or seconds > GRACE_S:
        return False
    return runtime.raw["sha"] != commit if runtime.raw.get("sha") else seconds < GRACE_S / 4


def failure(api: Any, repo: str, stage: str, message: str, say: Callable[[str], None]) -> UserError:
    """Show the end of the log; the UserError names the likely cause."""
    lines = log_end(api, repo, build=stage != "RUNTIME_ERROR")
    for line in lines:
        say(f"  | {line}")
    what = "did not build" if stage != "RUNTIME_ERROR" else "stopped after its start"
    said = f": {' '.join(message.split())[:300]}" if message else "."
    return UserError(f"{repo} {what} ({stage}){said}", likely_cause("\n".join([*lines, message])))


def log_end(api: Any, repo: str, build: bool) -> list[str]:
    """The last lines of the build's or the app's log; where it cannot be had, a line that says so."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        text = "".join(line if line.endswith("\n") else line + "\n"
                       for line in islice(api.fetch_space_logs(repo, build=build), LOG_SIZE))
    except (HfHubHTTPError, UserError) as error:
        return [f"(the log could not be fetched: {error})"]
    return [line[:300] for line in text.splitlines() if line.strip()][-LOG_LINES:]


def likely_cause(text: str, causes: Sequence[tuple[str, str]] = CAUSES) -> str:
    """The remedy for the first known cause that the text names."""
    low = text.lower()
    return next((remedy for sign, remedy in causes if sign.lower() in low),
                "See the log above; docs/deploy.md lists known causes.")


def app_url(repo: str) -> str:
    """Where the Hub serves the app of a Space itself, without its frame."""
    name = "".join(c if c.isalnum() else "-" for c in repo.lower())
    return f"https://{name}.hf.space"
