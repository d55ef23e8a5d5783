"""The models of a Space to be: found on the Hub, looked at, and pinned, before anything is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from space import models, references
from space.errors import UserError
from space.gguf_header import GgufHeader, read_header
from space.model_lock import LockedModel, resolve_online, split_reference

PREFIXES_MB = (1, 8, 32)
"""How much of a GGUF is read to see its header; a vocabulary of 150,000 words takes about 6 MB."""


def tuned_reference(api: Any, wanted: str) -> tuple[str, bool]:
    """The fine-tuned file of `OWNER/NAME` or `OWNER/NAME/FILE.gguf` as an `hf:` reference pinned to
    its revision, and whether it is an adapter. Raises UserError where the choice is not clear."""
    repo, file, revision = split_reference(wanted)
    with _reading(repo, wanted):
        sha = api.repo_info(repo, revision=revision or None).sha
        if not file:
            file = _choose([path for path in api.list_repo_files(repo, revision=sha) if path.endswith(".gguf")], repo)
        header = remote_header(api, repo, file, sha)
    return f"hf:{repo}/{file}@{sha}", header.is_adapter


@contextmanager
def _reading(repo: str, rest: str) -> Iterator[None]:
    """Turn refusals of the Hub into sentences about this repository."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        raise references.hub_trouble(error, rest, repo) from error


def _choose(ggufs: Sequence[str], repo: str) -> str:
    """adapter.gguf, or the only GGUF, or the only one in Q4_K_M."""
    if "adapter.gguf" in ggufs:
        return "adapter.gguf"
    for some in (list(ggufs), [path for path in ggufs if "q4_k_m" in path.lower()]):
        if len(some) == 1:
            return some[0]
    if not ggufs:
        raise UserError(f"{repo} holds no GGUF file.", "Publish one with `python -m train.publish model`.")
    raise UserError(f"{repo} holds {len(ggufs)} GGUF files ({', '.join(ggufs[:5])}).",
                    f"Name one: --tuned-repo {repo}/FILE.gguf")


def lock_models(api: Any, profile: models.Profile, say: Callable[[str], None]) -> tuple[LockedModel, ...]:
    """Revision and hashes of every `hf:` reference of the profile, headers checked where they are GGUF."""
    locked = []
    for reference in (profile.base, profile.adapter, profile.tuned, profile.embedder):
        if not reference.startswith("hf:"):
            continue
        rest = reference.removeprefix("hf:")
        with _reading(split_reference(rest)[0], rest):
            model = resolve_online(api, reference)
        size_mb = sum(f.size for f in model.files) / 1e6
        say(f"locked     {model.repo}@{model.revision[:12]}  {len(model.files)} files, {size_mb:,.1f} MB")
        locked.append(model)
    _check_headers(api, profile, locked)
    return tuple(locked)


def _check_headers(api: Any, profile: models.Profile, locked: Sequence[LockedModel]) -> None:
    """Raises UserError where a file is not what the profile says, as the app would at its start."""
    revisions = {model.repo: model.revision for model in locked}
    loose = replace(profile, base_sha256="")
    for reference, check in ((profile.base, models.check_base), (profile.tuned, models.check_tuned)):
        repo, file, _ = split_reference(reference.removeprefix("hf:")) if reference.startswith("hf:") else ("", "", "")
        if file:
            _with_prefix(api, repo, file, revisions[repo], partial(check, loose))
    if profile.adapter.startswith("hf:"):
        repo, file, _ = split_reference(profile.adapter.removeprefix("hf:"))
        header = remote_header(api, repo, file, revisions[repo])
        if not header.is_adapter or header.architecture != profile.architecture:
            raise UserError(f"{file} of {repo} is no adapter for {profile.label}.", "Name the right --tuned-repo.")


def remote_header(api: Any, repo: str, file: str, revision: str) -> GgufHeader:
    """The header of a GGUF on the Hub, from its first megabytes."""
    return _with_prefix(api, repo, file, revision, read_header)


def _with_prefix(api: Any, repo: str, file: str, revision: str, look: Callable[[Path], GgufHeader]) -> GgufHeader:
    """What `look` says of a local file of this name with the first bytes of the remote one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file).name
        for size_mb in PREFIXES_MB:
            size = size_mb << 20
            data = _first_bytes(api, repo, file, revision, size)
            path.write_bytes(data)
            try:
                read_header(path)
                break
            except UserError:
                if len(data) < size or size_mb == PREFIXES_MB[-1]:
                    raise
        return look(path)


def _first_bytes(api: Any, repo: str, file: str, revision: str, size: int) -> bytes:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(repo, file, revision=revision, endpoint=api.endpoint)
    headers = {**build_hf_headers(token=api.token), "Range": f"bytes=0-{size - 1}"}
    data = b""
    with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
        hf_raise_for_status(response)
        for block in response.iter_bytes(1 << 20):
            data += block
            if len(data) >= size:  # a server that ignores Range sends everything
                break
    return data[:size]
