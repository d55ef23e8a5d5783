"""`hf:` references against a stand-in of the Hub, in this process with the library pointed at it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from space import models, references
from space.errors import UserError
from space.settings import ROOT
from tests.hub_standin import READ_TOKEN, HubStandIn
from tests.space.test_gguf_header import GOOD, gguf, text

MODEL = os.urandom(200_000)
PLACE = "/{repo_id}/resolve/{revision}/{filename}"
README = b"---\nlicense: mit\n---\n# A model\n"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with HubStandIn() as hub:
        hub.add_repo("ann/model", {"a.gguf": MODEL, "README.md": README})
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + PLACE)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        hub.waits = []
        monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=hub.waits.append))  # no waiting in tests
        references.resolve.cache_clear()
        yield hub
        references.resolve.cache_clear()


def refused(reference):
    with pytest.raises(UserError) as caught:
        references.resolve(reference)
    return str(caught.value)


def test_a_file_comes_whole_and_is_kept(hub):
    path = references.resolve("hf:ann/model/a.gguf")
    assert path.read_bytes() == MODEL
    assert references.resolve("hf:ann/model/README.md").read_bytes() == README
    first = len(hub.requests)
    references.resolve.cache_clear()
    references.resolve("hf:ann/model/a.gguf")
    assert hub.count("GET", "/cdn/") == 1 and len(hub.requests) == first + 1  # one HEAD, no second download


def test_the_token_goes_to_the_hub_and_not_to_its_storage(hub):
    references.resolve("hf:ann/model/a.gguf")
    assert {r.token for r in hub.requests if "/resolve/" in r.path} == {READ_TOKEN}
    assert {r.token for r in hub.requests if "/cdn/" in r.path} == {""}


def test_a_revision_is_pinned_and_a_folder_comes_whole(hub):
    old = hub.repo("ann/model").head
    hub.repo("ann/model").commit({"a.gguf": b"newer"})
    assert references.resolve(f"hf:ann/model/a.gguf@{old}").read_bytes() == MODEL
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == b"newer"
    folder = references.resolve(f"hf:ann/model@{old}")
    assert (folder / "a.gguf").read_bytes() == MODEL and (folder / "README.md").read_bytes() == README


@pytest.mark.parametrize(("reference", "sentence"), [
    ("hf:ann/model/b.gguf", "no such file or revision"),
    ("hf:ann/model/a.gguf@v9", "no such file or revision"),
    ("hf:ann/none/a.gguf", "is not on the Hugging Face Hub"),
    ("hf:ann/none", "is not on the Hugging Face Hub"),
    ("hf:an n/model/a.gguf", "names no repository"),
    ("hf:model", "names no repository"),
])
def test_a_wrong_reference_is_named(hub, reference, sentence):
    assert sentence in refused(reference)


def test_gated_and_private_repositories_ask_for_a_token(hub, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    hub.add_repo("ann/gated", {"a.gguf": MODEL}, gated=True)
    hub.add_repo("ann/private", {"a.gguf": MODEL}, private=True)
    assert "accepted its terms" in refused("hf:ann/gated/a.gguf")
    assert "set HF_TOKEN" in refused("hf:ann/private/a.gguf")


def test_a_short_pause_is_kept_and_a_long_one_ends_in_a_sentence(hub):
    hub.fail("HEAD", "/resolve/", status=429, retry_after=7, times=2)
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == MODEL
    assert hub.waits == [8.0]  # the second look-up waits as long as the Hub asks
    hub.fail("HEAD", "/resolve/", status=429, retry_after=7, times=99)
    assert "asks for a pause" in refused("hf:ann/model/README.md")


def test_a_body_that_ends_early_is_resumed(hub, monkeypatch):
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # the library resumes at whole chunks of 10 MiB
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=hub.waits.append))
    hub.fail("GET", "/cdn/", end_after=50_000, times=2)
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == MODEL
    ranges = [r.headers.get("range") for r in hub.requests if "/cdn/" in r.path]
    assert ranges == [None, "bytes=50000-", "bytes=100000-"]


def test_a_download_that_is_killed_leaves_nothing_by_its_name_and_the_next_process_gets_it_whole(hub, tmp_path):
    """The library writes 10 MiB at a time, under a name that no other process finds: the next one begins anew."""
    large = os.urandom(1 << 20) * 24
    hub.add_repo("ann/large", {"a.gguf": large})
    hub.fail("GET", "/cdn/", pause_s=0.002)
    code = "from space import references; references.resolve('hf:ann/large/a.gguf')"
    start = {"args": [sys.executable, "-c", code], "cwd": ROOT, "env": hub.environment(tmp_path / "home")}
    first = subprocess.Popen(**start)
    deadline, parts = time.monotonic() + 60, []
    while not parts and time.monotonic() < deadline:
        parts = [p for p in (tmp_path / "home").rglob("*.incomplete") if p.stat().st_size >= 10 << 20]
    first.kill()
    assert first.wait(10) == -9 and parts and not list((tmp_path / "home").rglob("a.gguf"))
    assert subprocess.run(**start, timeout=60).returncode == 0
    (path,) = (tmp_path / "home").rglob("a.gguf")
    assert path.read_bytes() == large


def test_a_hub_that_falls_silent_is_a_sentence(hub, monkeypatch):
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=hub.waits.append))
    hub.fail("GET", "/cdn/", pause_s=1.0, times=99)
    begun = time.monotonic()
    assert "broke off" in refused("hf:ann/model/a.gguf")
    assert time.monotonic() - begun < 30
    hub.faults.clear()
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == MODEL


@pytest.mark.parametrize(("place", "fault", "sentence"), [
    ("GET /cdn/", {"shorten": 1}, "broke off"),  # the answer is too short and says so
    ("GET /cdn/", {"reset_after": 50_000}, "broke off"),
    ("HEAD /resolve/", {"reset_after": 0}, "broke off"),
    ("GET /cdn/", {"status": 503}, "could not be fetched"),
    ("HEAD /resolve/", {"status": 500, "times": 99}, "could not be fetched"),
])
def test_a_broken_download_is_a_sentence_and_leaves_no_file(hub, place, fault, sentence, tmp_path):
    hub.fail(*place.split(), **fault)
    assert sentence in refused("hf:ann/model/a.gguf")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.stat().st_size > 1000]
    hub.faults.clear()
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == MODEL


def test_a_kept_file_that_was_damaged_meanwhile_is_refused_and_named(hub):
    path = references.resolve("hf:ann/model/a.gguf")
    blob = path.resolve()
    blob.chmod(0o644)
    blob.write_bytes(MODEL[:1000] + bytes(65536) + MODEL[66536:])
    references.resolve.cache_clear()
    assert f"a.gguf was damaged after its download (its SHA-256 differs). Remove it from the Hub's cache ({blob})" in \
        refused("hf:ann/model/a.gguf")


def test_without_a_hub_the_kept_file_serves_and_another_is_refused(hub, monkeypatch):
    from huggingface_hub import constants

    references.resolve("hf:ann/model/a.gguf")
    references.resolve.cache_clear()
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9" + PLACE)
    assert references.resolve("hf:ann/model/a.gguf").read_bytes() == MODEL
    assert "could not be fetched" in refused("hf:ann/model/README.md")


def test_when_xet_storage_is_out_of_order_it_is_a_sentence(hub, tmp_path):
    hub.add_repo("ann/xet", {"a.gguf": MODEL}, xet=True)
    env = hub.environment(tmp_path / "home") | {"HF_HUB_DISABLE_XET": "0"}
    code = "from space import references; references.resolve('hf:ann/xet/a.gguf')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert hub.count("GET", "/xet-read-token/") and hub.count("GET", "/cas/") and hub.count("GET", "/cdn/") == 0
    last = done.stderr.strip().splitlines()[-1]
    assert "UserError: The download from ann/xet broke off. Try again, with HF_HUB_DISABLE_XET=1" in last


def test_a_process_of_its_own_sees_the_hub_by_its_environment(hub, tmp_path):
    hub.fail("GET", "/cdn/", pause_s=0.01)
    code = "import json; from space.references import resolve; print(json.dumps(str(resolve('hf:ann/model/a.gguf'))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=hub.environment(tmp_path / "home"),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    path = Path(json.loads(done.stdout))
    assert path.is_relative_to(tmp_path / "home") and path.read_bytes() == MODEL


def test_an_adapter_of_the_hub_is_held_to_the_card_beside_it(hub, tmp_path):
    base = tmp_path / "base.gguf"
    base.write_bytes(gguf(GOOD))
    adapter = gguf([("general.architecture", 8, text("llama")), ("general.type", 8, text("adapter"))])
    card = {"schema": 1, "adapter_sha256": hashlib.sha256(adapter).hexdigest(), "base_file": "other.gguf",
            "base_sha256": hashlib.sha256(base.read_bytes()).hexdigest()}
    for name, more, says in (("good", card, ""), ("none", None, ""),
                             ("other", card | {"base_sha256": "0" * 64}, "was trained for another base file"),
                             ("changed", card | {"adapter_sha256": "0" * 64}, "is not the file its card describes")):
        files = {"v1/adapter.gguf": adapter} | ({"v1/model_card.json": json.dumps(more).encode()} if more else {})
        hub.add_repo(f"ann/{name}", files)
        profile = replace(models.PROFILES["embedded"], adapter=f"hf:ann/{name}/v1/adapter.gguf")
        if not says:
            assert models.resolve_adapter(profile, base).read_bytes() == adapter
            continue
        with pytest.raises(UserError) as caught:
            models.resolve_adapter(profile, base)
        assert says in str(caught.value)
