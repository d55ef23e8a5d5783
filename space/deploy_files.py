"""What a Space is made of: the files of the app, and those written for it alone.

The Space gets the app and the data that it reads, no training, evaluation or test code, no
checkpoints and nothing hidden. Its README.md carries the front matter that the Hub reads, its
requirements.txt the packages of the chosen models and hardware.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.model_lock import LockedModel
from space.settings import ROOT

HARDWARE = ("cpu-basic", "zero-a10g", "cpu-upgrade")
ZERO = "zero-a10g"
TAKEN = ("space/*.py", "space/*.css", "space/*.js", "assets/corpus/*.md", "assets/corpus/SHA256SUMS",
         "assets/index/*", "assets/qa/*", "assets/runs/*/*", "assets/results/*/*", "assets/support/*",
         "docs/pictures/*", "docs/*.md", "docs/decisions/*.md", "LICENSE", "CHANGELOG.md")
LEFT = ("space/deploy*.py", "space/hub.py", "space/patience.py", "assets/results/local/*", "*.part", "*.log")
ADAPTERS = ("assets/adapters/*/adapter.gguf", "assets/adapters/*/model_card.json")
LARGEST_MB = 100
PICTURE = "docs/pictures/compare.png"
"""What a shared link to the Space shows, where `make pictures` has drawn it."""
OWN = ("space/", "assets/", "docs/")
"""Folders of the Space that belong to us: what lies there and is not sent is removed."""
SECRETS = re.compile(
    rb"hf_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}"
    rb"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}|\bxox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
TORCH_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
LLAMA_BUILD = '-C cmake.args="-DLLAVA_BUILD=OFF;-DGGML_NATIVE=OFF"'
"""No image models; and no instructions that only the machine that builds has (AVX2 stays on)."""
ZERO_PINS = {"torch": "torch==2.11.0", "llama-cpp-python": ""}
ZERO_EXTRA = ("peft==0.21.2", "accelerate==1.15.0", "gguf==0.19.0")
"""ZeroGPU takes torch up to 2.11 and runs transformers; the package `spaces` is the host's own."""
ZERO_PYTHON = "3.12"
"""It takes 3.12 and 3.10 alone, and pandas 3 wants at least 3.11. Our tests run on 3.11, which other Spaces get."""


@dataclass(frozen=True)
class Plan:
    """The Space to make; `variables` are what the app reads from its environment there."""

    repo: str
    hardware: str
    profile: str
    variables: dict[str, str]
    llama_wheel: str = ""


def app_files(root: Path, profile: str) -> list[Path]:
    """Paths below `root` that the Space needs as they are, sorted. Raises UserError for one that is
    too large to belong there."""
    patterns = [*TAKEN, *(ADAPTERS if profile == "embedded" else ())]
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    taken = []
    for path in sorted(found):
        name = path.relative_to(root)
        if any(name.match(pattern) for pattern in LEFT) or any(part.startswith(".") for part in name.parts):
            continue
        if path.stat().st_size > LARGEST_MB * 1e6:
            raise UserError(f"{name} is larger than {LARGEST_MB} MB.", "Move it out of the repository.")
        taken.append(path)
    return taken


def check_secrets(files: Iterable[tuple[str, bytes]], tokens: Sequence[str] = ()) -> None:
    """Raises UserError, naming the file and not the secret, where a file holds what looks like a key."""
    for name, data in files:
        match = SECRETS.search(data)
        own = next((t for t in tokens if t and t.encode() in data), None)
        if match or own:
            start = data[:match.start() if match else data.index(str(own).encode())].count(b"\n") + 1
            raise UserError(f"{name} holds what looks like a secret (line {start}); nothing was sent.",
                            "Remove it there, and revoke it if it was ever public.")


def requirements_text(plan: Plan, root: Path = ROOT) -> str:
    """The Space's requirements.txt. Gradio is left out: the Space installs it from sdk_version."""
    pins = _pins(root / "requirements.txt")
    if plan.profile == "embedded":
        pins += _pins(root / "requirements-embedded.txt")
    lines = ["# Written by `python -m space.deploy`."]
    zero = plan.hardware == ZERO
    if not zero:
        lines.append(TORCH_INDEX)
    for pin in pins:
        name = re.split(r"[=<>!~ \[@]", pin, maxsplit=1)[0]
        if name == "gradio":
            continue
        if name == "llama-cpp-python" and not zero:
            pin = f"{name} @ {plan.llama_wheel}" if plan.llama_wheel else f"{pin} {LLAMA_BUILD}"
        if zero:
            pin = ZERO_PINS.get(name, pin)
        lines += [pin] if pin else []
    return "\n".join([*lines, *(ZERO_EXTRA if zero else ())]) + "\n"


def _pins(path: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def readme_text(plan: Plan, models: Sequence[LockedModel], root: Path = ROOT) -> str:
    """The Space's README.md: ours, with the front matter of this plan. Raises UserError where the
    front matter is not what a Space needs."""
    import yaml

    head, body = split_front_matter((root / "README.md").read_text(encoding="utf-8"))
    gradio = next(pin for pin in _pins(root / "requirements.txt") if pin.startswith("gradio=="))
    if head.get("sdk") != "gradio" or f"gradio=={head.get('sdk_version')}" != gradio:
        raise UserError("The front matter of README.md names another Gradio than requirements.txt.",
                        f"Write sdk: gradio and sdk_version: {gradio.removeprefix('gradio==')}.")
    if len(str(head.get("short_description", ""))) >= 60:
        raise UserError("The short_description in README.md is too long for the Hub.", "Use fewer than 60 characters.")
    if not (root / str(head.get("app_file", ""))).is_file():
        raise UserError(f"app_file in README.md names no file ({head.get('app_file')}).", "Correct it.")
    embedded = [m for m in head.get("models", ()) if not m.startswith("Qwen/")]
    head["models"] = sorted({m.repo for m in models}) or embedded
    if (root / PICTURE).is_file():
        head["thumbnail"] = f"https://huggingface.co/spaces/{plan.repo}/resolve/main/{PICTURE}"
    if plan.hardware != ZERO:
        head["suggested_hardware"] = plan.hardware
    else:
        head["python_version"] = ZERO_PYTHON
    if models:
        head["preload_from_hub"] = [f"{m.repo} {','.join(f.path for f in m.files)} {m.revision}" for m in models]
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n{body}"


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML between the first two lines of hyphens, and the rest."""
    import yaml

    parts = text.split("---\n", 2)
    if len(parts) < 3 or parts[0]:
        raise UserError("README.md does not begin with front matter.", "Restore its first lines.")
    return yaml.safe_load(parts[1]), parts[2]
