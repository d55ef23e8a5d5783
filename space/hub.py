"""Send files to a repository of the Hugging Face Hub, in one commit.

What already lies there with the same hash is left out, so a broken run goes on where it was when it
is started again; what lies there afterwards is compared with what was sent. Every refusal of the Hub
becomes a UserError that names the remedy.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.errors import UserError

# read by huggingface_hub when it is first imported
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

TOKEN_HINT = ("Make a token with write access at https://huggingface.co/settings/tokens, then run "
              "`hf auth login` or set HF_TOKEN.")


PAYMENT = {
    False: ("The Hub asks for a paid plan before it takes this (402).", "Free some storage, or upgrade the account."),
    True: ("The Hub asks for a paid plan (402): a free account may not run a Gradio Space on this hardware.",
           "Use --hardware zero-a10g (a free account in good standing may host two), subscribe to PRO, or publish "
           "the dashboard as a free static Space: python -m eval.export --out DIR --push OWNER/NAME."),
}


@dataclass(frozen=True)
class Upload:
    """A file to send: a path on disk, or the bytes themselves."""

    path: str
    source: Path | bytes
    size: int
    sha256: str
    git_sha1: str


@dataclass(frozen=True)
class Published:
    """What a run did: the address of the repository, the paths sent, those left as they were, those
    removed, and the commit that holds it all."""

    url: str
    sent: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...] = ()
    commit: str = ""


def upload_of(path: str, source: Path | bytes) -> Upload:
    """The file with its size and its hashes: SHA-256, and the one that git gives to small files."""
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    if isinstance(source, bytes):
        sha256.update(source)
        sha1.update(source)
    else:
        with source.open("rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
                sha1.update(block)
    return Upload(path, source, size, sha256.hexdigest(), sha1.hexdigest())


def listing(uploads: Sequence[Upload]) -> str:
    """One line per file: size, SHA-256, path; then the sum."""
    lines = [f"{u.size:>13,} B  {u.sha256}  {u.path}" for u in uploads]
    return "\n".join([*lines, f"{sum(u.size for u in uploads):>13,} B  in {len(uploads)} files"])


def check_repo(repo: str) -> str:
    """The name OWNER/NAME. Raises UserError where it cannot be one."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"{repo!r} is not a repository name.", str(error)) from None
    if repo.count("/") != 1:
        raise UserError(f"{repo!r} does not say whose repository it is.", "Write --repo OWNER/NAME.")
    return repo


def publish(repo: str, kind: str, uploads: Sequence[Upload], say: Callable[[str], None],
            private: bool = False, endpoint: str | None = None, token: str | None = None) -> Published:
    """Send `uploads` to the `kind` ("model" or "dataset") repository `repo`, made where it is missing.

    Raises UserError for everything that the Hub refuses. Files go by LFS, which the Hub takes from
    every client, unless the environment says HF_HUB_DISABLE_XET=0.
    """
    with session(repo, kind, say, endpoint, token) as api:
        ensure_repo(api, repo, kind, say, private)
        return send(api, repo, kind, uploads, say)


@contextmanager
def session(repo: str, kind: str, say: Callable[[str], None], endpoint: str | None = None,
            token: str | None = None) -> Iterator[Any]:
    """An HfApi whose token was checked, that waits as long as the Hub asks; what goes wrong inside
    this block ends in a UserError that names the remedy, bugs excepted."""
    from huggingface_hub import HfApi, get_token

    from space.patience import patient_session

    token = token or get_token()
    if not token:
        raise UserError("There is no Hugging Face token.", TOKEN_HINT)
    api = HfApi(endpoint=endpoint, token=token)
    try:
        with patient_session(say):
            _check_token(api, repo)
            yield api
    except Exception as error:
        mended = explain(error, repo, kind)
        if mended is None:
            raise
        raise mended from error


def _check_token(api: Any, repo: str) -> None:
    who = api.whoami()
    role = who.get("auth", {}).get("accessToken", {}).get("role", "")
    if role == "read":
        raise UserError(f"The token of {who.get('name')} can only read, so it cannot write to {repo}.", TOKEN_HINT)


def ensure_repo(api: Any, repo: str, kind: str, say: Callable[[str], None], private: bool = False,
                **space: Any) -> bool:
    """Make the repository where it is missing; `space` goes to create_repo (space_sdk, space_hardware,
    space_variables). True where it was made."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.repo_info(repo, repo_type=kind)
    except RepositoryNotFoundError:
        api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True, **space)
        say(f"made the {'private ' if private else ''}{kind} repository {repo}")
        return True
    if private and not found.private:
        raise UserError(f"The {kind} repository {repo} exists and is public, so --private would not hide anything.",
                        "Make it private in its settings on the Hub, or leave out --private.")
    say(f"the {kind} repository {repo} exists and is used")
    return False


def _there(api: Any, repo: str, kind: str, uploads: Sequence[Upload]) -> set[str]:
    """The paths whose content on the Hub is already what `uploads` hold."""
    wanted = {u.path: u for u in uploads}
    found = api.get_paths_info(repo, list(wanted), repo_type=kind)
    return {f.path for f in found if f.path in wanted and (
        f.lfs.sha256 == wanted[f.path].sha256 if f.lfs else f.blob_id == wanted[f.path].git_sha1)}


def send(api: Any, repo: str, kind: str, uploads: Sequence[Upload], say: Callable[[str], None],
         stale: Callable[[str], bool] = lambda path: False) -> Published:
    """Send what is not there yet, in one commit, which also removes the paths that are not among
    `uploads` and for which `stale` is true."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = _there(api, repo, kind, uploads)
    missing = [u for u in uploads if u.path not in there]
    ours = {u.path for u in uploads}
    gone = sorted(path for path in api.list_repo_files(repo, repo_type=kind) if path not in ours and stale(path))
    for upload in uploads:
        say(f"{'unchanged' if upload.path in there else 'sending  '}  {upload.path}")
    for path in gone:
        say(f"removing   {path}")
    commit = ""
    if missing or gone:
        operations = [*(CommitOperationAdd(u.path, u.source) for u in missing),
                      *(CommitOperationDelete(path) for path in gone)]
        message = f"Publish {', '.join(u.path for u in missing) or 'fewer files'}"
        commit = api.create_commit(repo, operations, repo_type=kind, commit_message=message[:200], num_threads=2).oid
        lost = ours - _there(api, repo, kind, uploads)
        if lost:
            raise UserError(f"The Hub does not hold what was sent of {', '.join(sorted(lost))}.",
                            "Run the same command again.")
    prefix = {"dataset": "datasets/", "space": "spaces/"}.get(kind, "")
    return Published(f"{api.endpoint}/{prefix}{repo}", tuple(u.path for u in missing), tuple(sorted(there)),
                     tuple(gone), commit)


def explain(error: BaseException, repo: str, kind: str) -> UserError | None:
    """The sentence for an error of the Hub or the network; None where it is neither."""
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case UserError():
                return cause
            case HfHubHTTPError():
                return _refusal(cause.response.status_code, cause.server_message or "", repo, kind)
            case OfflineModeIsEnabled():
                return UserError("HF_HUB_OFFLINE forbids every request to the Hub.", "Unset it, then run this again.")
            case httpx.TransportError() | ConnectionError() | TimeoutError():  # the latter two: hf_xet's
                return UserError(f"The upload to {repo} broke off several times ({cause}).",
                                 "Run the same command again; files that arrived are not sent twice.")
        cause = cause.__cause__  # the library wraps what goes wrong in an upload; a bug has no such cause
    return None


def _refusal(status: int, said: str, repo: str, kind: str) -> UserError:
    said = f": {' '.join(said.split())}" if said else ""
    owner = repo.split("/")[0]
    if status == 402:
        return UserError(*PAYMENT[kind == "space"])
    sentences = {
        401: ("The Hub does not accept the token (401).", TOKEN_HINT),
        403: (f"The token may not write to {repo} (403{said}).",
              f"Use a token with write access to {owner}, or name another --repo."),
        404: (f"The Hub has no {kind} repository {repo} that this token can see (404).",
              "Check the name, and that the token may read it."),
        409: (f"Another change to {repo} is under way (409{said}).", "Run the same command again in a minute."),
        412: (f"{repo} was changed while this ran (412).", "Run the same command again."),
        413: (f"The Hub finds the upload too large (413{said}).", "Split the largest file, or ask for more storage."),
    }
    return UserError(*sentences.get(status, (
        f"The Hub refused the upload to {repo} ({status}{said}).",
        "Run the same command again later." if status >= 500 or status == 429 else "Mend what it names.")))
