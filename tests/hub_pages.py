"""The pages of the stand-in of the Hub: what it answers to each request. See tests/hub_standin.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from tests.hub_standin import HubStandIn

WRITE_TOKEN = "hf_standin_write"
READ_TOKEN = "hf_standin_read"
TOKENS = {WRITE_TOKEN: "write", READ_TOKEN: "read"}
USER = "ann"
LFS_ENDINGS = (".gguf", ".parquet", ".safetensors", ".bin")
CHUNK = 16 << 10


@dataclass
class SpaceState:
    """What a Space has beside its files. `stages` are told one by one, the last one for ever; `logs`
    has the lines of "build" and "run"."""

    sdk: str = "gradio"
    hardware: str = "cpu-basic"
    variables: dict[str, str] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: ["BUILDING", "APP_STARTING", "RUNNING"])
    message: str = ""
    logs: dict[str, list[str]] = field(default_factory=dict)


def git_sha1(data: bytes) -> str:
    """The id git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """A repository; `commits` maps each commit's id to its files, the last one is `main`. With `xet` it
    offers its LFS files by Xet too, but the storage behind is out of order (every request gets 404)."""

    private: bool = False
    gated: bool = False
    xet: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    space: SpaceState | None = None

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit with exactly these files; returns its id."""
        text = json.dumps([len(self.commits), {p: git_sha1(d) for p, d in files.items()}])
        self.commits[sha := hashlib.sha1(text.encode()).hexdigest()] = dict(files)
        return sha


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path contains `place`.

    `status` answers with it (and Retry-After, X-Error-Code, a message); `reset_after` resets the
    connection after so many bytes of the upload or of the answer; `end_after` closes it there in
    good order, so that the answer is shorter than its Content-Length; `shorten` leaves so many bytes
    off and says so in Content-Length; `pause_s` waits before each 16 KiB of the answer.
    """

    method: str
    place: str
    times: int = 1
    status: int = 0
    retry_after: int | None = None
    code: str = ""
    message: str = "injected"
    reset_after: int | None = None
    end_after: int | None = None
    shorten: int = 0
    pause_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A request as it came, header names in lower case; `status` is 0 where the connection was broken
    before an answer."""

    method: str
    path: str
    status: int
    received: int
    token: str
    headers: dict[str, str]


class _Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, code: str = "", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        headers = {"X-Error-Message": message, "X-Error-Code": code,
                   "Retry-After": "" if retry_after is None else str(retry_after)}
        self.headers = {k: v for k, v in headers.items() if v}


class Pages(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"
    fault: Fault | None = None
    received, logged = 0, False

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        self.received, self.logged = 0, False
        self.url = urlsplit(self.path)
        self.fault = self.hub.take_fault(self.command, self.path)
        try:
            body = self._body()
            if self.fault and self.fault.status:
                raise _Refused(self.fault.status, self.fault.message, self.fault.code, self.fault.retry_after)
            self._route(body)
        except _Refused as refused:
            self._json({"error": str(refused)}, refused.status, refused.headers)
        except ConnectionError:  # broken on purpose, or the client went away
            if not self.logged:
                self._log(0)
            self.close_connection = True

    def _body(self) -> bytes:
        limit = self.fault.reset_after if self.fault and self.command in ("PUT", "POST") else None
        data = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            length = int(self.headers.get("Content-Length", 0))
            data = self.rfile.read(length if limit is None else min(limit, length))
        self.received = len(data)
        if limit is not None:
            self._reset()
        return data

    def _reset(self) -> None:
        """Send RST instead of an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()
        raise ConnectionResetError

    def _log(self, status: int) -> None:
        self.logged = True
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.hub.requests.append(Seen(self.command, self.path, status, self.received, token,
                                      {k.lower(): v for k, v in self.headers.items()}))

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        fault = self.fault or Fault("", "")
        data = data[:len(data) - fault.shorten] if fault.shorten else data
        if self.command == "HEAD" and fault.reset_after is not None:
            self._reset()
        self._log(status)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = next((n for n in (fault.reset_after, fault.end_after) if n is not None), len(data))
        for at in range(0, min(stop, len(data)), CHUNK):
            time.sleep(fault.pause_s)
            self.wfile.write(data[at:min(at + CHUNK, stop)])
        if fault.reset_after is not None:
            self._reset()
        if fault.end_after is not None:
            self.close_connection = True

    # what is asked

    def _route(self, body: bytes) -> None:
        path = unquote(self.url.path)
        role = self._role()
        if path == "/api/whoami-v2":
            if not role:
                raise _Refused(401, "Invalid username or password.")
            self._json({"type": "user", "name": USER, "orgs": [],
                        "auth": {"type": "access_token", "accessToken": {"displayName": "t", "role": role}}})
        elif path == "/api/validate-yaml":
            bad = not json.loads(body)["content"].startswith("---\n")
            self._json({"errors": [{"message": "no front matter"}] if bad else [], "warnings": []}, 400 if bad else 200)
        elif path == "/api/repos/create":
            self._create(json.loads(body), role)
        elif match := re.fullmatch(r"/api/(model|dataset|space)s/([^/]+/[^/]+)(?:/(.+))?", path):
            self._api(match[1], match[2], match[3] or "", body, role)
        elif match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._batch((match[1] or "models/")[:-2], match[2], json.loads(body), role)
        elif match := re.fullmatch(r"/(datasets/|spaces/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve((match[1] or "models/")[:-2], match[2], match[3], match[4], role)
        elif match := re.match(r"/(lfs|cdn)/([0-9a-f]{64})(?:/(\d+|complete|verify))?$", path):
            self._storage(match[1], match[2], match[3] or "", body)
        else:
            raise _Refused(404, f"no such page: {path}")

    def _role(self) -> str:
        header = self.headers.get("Authorization", "")
        if header and header.removeprefix("Bearer ") not in TOKENS:
            raise _Refused(401, "Invalid credentials in Authorization header")
        return TOKENS.get(header.removeprefix("Bearer "), "")

    def _find(self, kind: str, name: str, role: str, write: bool = False) -> Repo:
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and not role):
            raise _Refused(404 if role else 401, "Repository not found", "RepoNotFound")
        if write and role != "write":
            raise _Refused(403, "You don't have the rights to write to this repository.")
        return repo

    def _create(self, wanted: dict[str, Any], role: str) -> None:
        name = f"{wanted.get('organization') or USER}/{wanted['name']}"
        if role != "write" or not name.startswith(f"{USER}/"):
            raise _Refused(403 if role else 401, f"You don't have the rights to create a repository under {name}.")
        if (wanted.get("type", "model"), name) in self.hub.repos:
            return self._json({"error": "You already created this repo", "url": f"{self.hub.url}/{name}"}, 409)
        repo = self.hub.add_repo(name, kind=wanted.get("type", "model"), private=wanted.get("visibility") == "private")
        if wanted.get("type") == "space":
            repo.space = self.hub.next_space or SpaceState()
            repo.space.sdk, repo.space.hardware = wanted["sdk"], wanted.get("hardware") or "cpu-basic"
            repo.space.variables = {v["key"]: v["value"] for v in wanted.get("variables") or []}
        self._json({"url": f"{self.hub.url}/{name}", "name": name})

    def _api(self, kind: str, name: str, rest: str, body: bytes, role: str) -> None:
        verb, _, rest = rest.partition("/")
        repo = self._find(kind, name, role, write=verb in ("commit", "preupload"))
        if verb == "commit":
            return self._commit(name, repo, body)
        if verb == "xet-read-token" and repo.xet:
            return self._send(b"", headers={"X-Xet-Cas-Url": f"{self.hub.url}/cas", "X-Xet-Access-Token": "t",
                                            "X-Xet-Token-Expiration": str(int(time.time()) + 600)})
        if repo.space and verb in ("runtime", "variables", "hardware", "logs"):
            if role != "write":
                raise _Refused(403, "This is the owner's.")
            return self._space(repo, repo.space, verb, rest, json.loads(body or b"{}"))
        revision, _, folder = rest.partition("/")
        sha = self._sha(repo, revision or "main")
        files = repo.commits[sha]
        if verb in ("", "revision"):
            sdk = {"sdk": repo.space.sdk} if repo.space else {}
            self._json({"id": name, "sha": sha, **sdk, "private": repo.private,
                        "gated": "auto" if repo.gated else False, "tags": [], "downloads": 0,
                        "siblings": [{"rfilename": p} for p in files]})
        elif verb == "tree":
            self._json([self._entry(p, d) for p, d in files.items() if p.startswith(folder)])
        elif verb == "paths-info":
            asked = parse_qs(body.decode())["paths"]
            self._json([self._entry(p, files[p]) for p in asked if p in files])
        elif verb == "preupload":
            self._json({"files": [self._mode(f, files) for f in json.loads(body)["files"]]})
        else:
            raise _Refused(404, f"not spoken here: {verb}")

    def _space(self, repo: Repo, space: SpaceState, verb: str, rest: str, asked: dict[str, Any]) -> None:
        if verb == "logs":
            lines = [f"data: {json.dumps({'data': line, 'timestamp': ''})}\n\n" for line in space.logs.get(rest, [])]
            return self._send("".join(lines).encode(), headers={"Content-Type": "text/event-stream"})
        if verb == "variables":
            if self.command == "POST":
                space.variables[asked["key"]] = asked["value"]
            elif self.command == "DELETE":
                space.variables.pop(asked["key"])
            return self._json({key: {"value": value} for key, value in space.variables.items()})
        if verb == "hardware":
            space.hardware = asked["flavor"]
        stage = space.stages.pop(0) if verb == "runtime" and len(space.stages) > 1 else space.stages[0]
        self._json({"stage": stage, "hardware": {"current": space.hardware, "requested": space.hardware},
                    "sha": repo.head, **({"errorMessage": space.message} if space.message else {})})

    def _sha(self, repo: Repo, revision: str) -> str:
        sha = repo.head if revision == "main" else revision
        if sha not in repo.commits:
            raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data)}
        if path.endswith(LFS_ENDINGS):
            sha256 = hashlib.sha256(data).hexdigest()
            entry |= {"oid": git_sha1(sha256.encode()), "lfs": {"oid": sha256, "size": len(data), "pointerSize": 134}}
        return entry

    def _mode(self, file: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
        lfs = file["path"].endswith(LFS_ENDINGS)
        answer = {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if (data := files.get(file["path"])) is not None:
            answer["oid"] = hashlib.sha256(data).hexdigest() if lfs else git_sha1(data)
        return answer

    def _commit(self, name: str, repo: Repo, body: bytes) -> None:
        with self.hub.lock:
            files = dict(repo.files)
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    if len(self.hub.lfs.get(value["oid"], b"")) != value["size"]:
                        raise _Refused(400, f"LFS object {value['oid']} was not uploaded")
                    files[value["path"]] = self.hub.lfs[value["oid"]]
                elif line["key"] == "deletedFile":
                    files.pop(value["path"], None)
            sha = repo.commit(files)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})

    def _batch(self, kind: str, name: str, asked: dict[str, Any], role: str) -> None:
        self._find(kind, name, role, write=True)
        objects = []
        for item in asked["objects"]:
            oid, size, answer = item["oid"], item["size"], dict(item)
            place = f"{self.hub.url}/lfs/{oid}"
            if oid not in self.hub.lfs:
                upload: dict[str, Any] = {"href": place}
                if self.hub.part_size and size > self.hub.part_size:
                    parts = -(-size // self.hub.part_size)
                    upload = {"href": f"{place}/complete", "header": {
                        "chunk_size": str(self.hub.part_size), **{str(n): f"{place}/{n}" for n in range(1, parts + 1)}}}
                answer["actions"] = {"upload": upload, "verify": {"href": f"{place}/verify"}}
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def _storage(self, where: str, oid: str, part: str, body: bytes) -> None:
        if self.command == "PUT" and part:
            self.hub.parts[oid, int(part)] = body
            return self._send(b"", headers={"ETag": f'"{git_sha1(body)}"'})
        if self.command == "PUT" or part == "complete":
            if part:
                numbers = [p["partNumber"] for p in json.loads(body)["parts"]]
                body = b"".join(self.hub.parts[oid, number] for number in numbers)
            if hashlib.sha256(body).hexdigest() != oid:
                raise _Refused(400, "The content does not have the hash that was announced")
            self.hub.lfs[oid] = body
        elif self.command in ("GET", "HEAD"):
            return self._content(self.hub.lfs[oid], {"ETag": f'"{oid}"'})
        self._json({})

    def _resolve(self, kind: str, name: str, revision: str, path: str, role: str) -> None:
        repo = self._find(kind, name, role)
        if repo.gated and not role:
            raise _Refused(401, f"Access to {kind} {name} is restricted. You must have access to it.", "GatedRepo")
        sha = self._sha(repo, revision)
        if (data := repo.commits[sha].get(path)) is None:
            raise _Refused(404, "Entry not found", "EntryNotFound")
        if not path.endswith(LFS_ENDINGS):
            return self._content(data, {"ETag": f'"{git_sha1(data)}"', "X-Repo-Commit": sha})
        oid = hashlib.sha256(data).hexdigest()
        self.hub.lfs[oid] = data
        xet = {"X-Xet-Hash": oid, "X-Xet-Refresh-Route": f"{self.hub.url}/api/{kind}s/{name}/xet-read-token/{sha}"}
        self._send(b"", 302, {**(xet if repo.xet else {}), "X-Repo-Commit": sha,
                              "Location": f"http://localhost:{self.hub.port}/cdn/{quote(oid)}",
                              "X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))})

    def _content(self, data: bytes, headers: dict[str, str]) -> None:
        headers |= {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(match[1]), int(match[2] or len(data) - 1)
            if start >= len(data):
                return self._send(b"", 416, {**headers, "Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {start}-{min(end, len(data) - 1)}/{len(data)}"
            return self._send(data[start:end + 1], 206, headers)
        self._send(data, 200, headers)
