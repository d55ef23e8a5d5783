"""Which revision and hash each model of the Hub has: `assets/models.lock.json`.

`python -m space.deploy` writes it from what the Hub says at that moment. Where the file exists, the
app fetches exactly these revisions and refuses a file whose hash is another. A reference that names
another revision by itself is not covered by the lock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from space.errors import UserError
from space.json_text import parse_json
from space.settings import ASSETS

SCHEMA = 1
LOCK = ASSETS / "models.lock.json"
AGAIN = "Run `python -m space.deploy` again, or remove the file."
SKIPPED = ("*.bin", "*.h5", "*.ot", "*.msgpack", "*.onnx", "*.pt", "*.pkl", "onnx/*", "openvino/*", ".gitattributes")
"""Files of a model folder that are never fetched: the same weights in other formats, some of them pickles."""


@dataclass(frozen=True)
class LockedFile:
    """A file of a repository; large ones have a SHA-256 on the Hub, small ones the hash git gives."""

    path: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True)
class LockedModel:
    """A repository at one revision (a commit), with the files that are used of it."""

    repo: str
    revision: str
    files: tuple[LockedFile, ...]


def split_reference(rest: str) -> tuple[str, str, str]:
    """(repo, file, revision) of what follows `hf:`; file "" means the whole repository, revision ""
    its main branch. Raises UserError where no repository is named."""
    place, _, revision = rest.partition("@")
    parts = place.split("/", 2)
    if len(parts) < 2 or not all(parts):
        raise UserError(f"hf:{rest} names no repository.", "Write hf:owner/repo/file@revision.")
    return "/".join(parts[:2]), parts[2] if len(parts) == 3 else "", revision


def locked(repo: str, file: str, revision: str) -> LockedModel | None:
    """The lock of this repository, if it covers the file and does not contradict the revision."""
    for model in read_lock(LOCK):
        if model.repo == repo and revision in ("", model.revision) and (
                not file or any(f.path == file for f in model.files)):
            return model
    return None


@cache
def read_lock(path: Path) -> tuple[LockedModel, ...]:
    """The models of a lock file; none where there is no file. Raises UserError where it is unreadable."""
    try:
        row = parse_json(path.read_text(encoding="utf-8"))
        if row["schema"] != SCHEMA:
            raise ValueError(f"format {row['schema']!r}")
        return tuple(LockedModel(m["repo"], m["revision"], tuple(LockedFile(**f) for f in m["files"]))
                     for m in row["models"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} is unreadable ({error}).", AGAIN) from error


def git_sha1(data: bytes) -> str:
    """The hash that git, and so the Hub, gives to a small file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def lock_text(models: Sequence[LockedModel]) -> str:
    """The contents of a lock file."""
    row = {"schema": SCHEMA, "models": [asdict(m) for m in models]}
    return json.dumps(row, indent=1, allow_nan=False) + "\n"


def resolve_online(api: Any, reference: str) -> LockedModel:
    """Revision and hashes of an `hf:` reference, as the Hub (an HfApi) states them now.

    Raises UserError where the file is not there; other refusals are errors of huggingface_hub.
    """
    repo, file, revision = split_reference(reference.removeprefix("hf:"))
    sha = api.repo_info(repo, revision=revision or None).sha
    if file:
        found = api.get_paths_info(repo, [file], revision=sha)
    else:
        found = [e for e in api.list_repo_tree(repo, recursive=True, revision=sha)
                 if hasattr(e, "blob_id") and not any(fnmatch(e.path, pattern) for pattern in SKIPPED)]
    files = tuple(LockedFile(e.path, e.size, e.lfs.sha256 if e.lfs else "", "" if e.lfs else e.blob_id) for e in found)
    if not files:
        raise UserError(f"{repo} has no file {file or 'that is used'}.", "Correct the reference, or upload it.")
    return LockedModel(repo, sha, files)
