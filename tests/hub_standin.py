"""A small Hugging Face Hub on 127.0.0.1, with switches for everything that goes wrong on the real one.

It speaks what huggingface_hub 1.33.0 really asks for whoami, create_repo, repo_info, list_repo_tree,
get_paths_info, validate-yaml, the runtime, variables, hardware and logs of a Space, preupload, the LFS
batch (single part and multipart), create_commit, hf_hub_download and snapshot_download. Files kept by
LFS are answered with a redirect to another host name (localhost), as the real Hub does with its CDN.
Xet is not spoken: set HF_HUB_DISABLE_XET=1, or add_repo(xet=True) to see what becomes of a client when
Xet's storage is out of order.

    with HubStandIn() as hub:
        hub.add_repo("ann/model", {"a.gguf": b"..."})             # private=, gated=, xet=, kind=
        hub.fail("PUT", "/lfs/", reset_after=1000)                # the first upload breaks
        hub.fail("GET", "/resolve/", status=429, retry_after=1, times=2)
        HfApi(endpoint=hub.url, token=WRITE_TOKEN).upload_file(...)   # or a subprocess with hub.environment(...)
        assert hub.repo("ann/model").files["a.gguf"] == b"..."
        assert hub.count("PUT", "/lfs/") == 2                     # hub.requests holds every request

huggingface_hub reads HF_ENDPOINT when it is imported: pass `endpoint=hub.url` in the same process,
or run a subprocess with `hub.environment()`.
"""

from __future__ import annotations

import os
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.hub_pages import READ_TOKEN, USER, WRITE_TOKEN, Fault, Pages, Repo, Seen, SpaceState

__all__ = ["READ_TOKEN", "USER", "WRITE_TOKEN", "HubStandIn", "SpaceState"]


class HubStandIn:
    """The server, its repositories, its log of requests and its faults."""

    def __init__(self, part_size: int = 0) -> None:
        """`part_size` above 0 makes LFS uploads larger than that come in parts of so many bytes."""
        self.part_size = part_size
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.next_space: SpaceState | None = None
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Pages,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HubStandIn:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_repo(self, name: str, files: dict[str, bytes] | None = None, kind: str = "model",
                 **flags: bool) -> Repo:
        """A repository with these files in its first commit."""
        repo = self.repos[kind, name] = Repo(**flags, space=SpaceState() if kind == "space" else None)
        repo.commit(files or {".gitattributes": b"*.gguf filter=lfs\n"})
        return repo

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    def fail(self, method: str, place: str, **what: Any) -> Fault:
        """Inject a fault; see Fault. Those injected first act first."""
        self.faults.append(fault := Fault(method, place, **what))
        return fault

    def count(self, method: str, place: str) -> int:
        """How many requests of `method` had a path that contains `place`."""
        return sum(seen.method == method and place in seen.path for seen in self.requests)

    def environment(self, home: Path, token: str = WRITE_TOKEN) -> dict[str, str]:
        """Variables for a subprocess that shall see this Hub, with its own empty cache in `home`."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        env |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return env | ({"HF_TOKEN": token} if token else {})

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and fault.place in path:
                    fault.times -= 1
                    return fault
        return None
