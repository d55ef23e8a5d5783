"""The Qwen2.5-3B profile up to its answers, against a stand-in of the Hub that serves small GGUF files of
the Qwen2 architecture: the right one, and every wrong one."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from space import model_lock, models, prompts, references
from space.engine import LocalEngine, Request
from space.errors import UserError
from space.model_lock import LockedFile, LockedModel, lock_text
from space.schema import VARIANTS, AnswerDone, AnswerFailed, Sampling
from tests.space.test_models_hub import hub  # noqa: F401  (a fixture)
from tests.tiny_gguf import qwen2_gguf, qwen2_header

QWEN = models.PROFILES["qwen2.5-3b"]
REPO, FILE, _ = model_lock.split_reference(QWEN.base.removeprefix("hf:"))
TUNED = "ann/tuned"


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """Writes a lock of the served file; by default the true one."""
    path = tmp_path / "models.lock.json"
    monkeypatch.setattr(model_lock, "LOCK", path)

    def write(repo, revision, data, **changes):
        file = LockedFile(FILE, len(data), sha256=changes.get("sha256") or sha256(data))
        path.write_text(lock_text([LockedModel(repo, revision, (file,))]))
        model_lock.read_lock.cache_clear()

    yield write
    model_lock.read_lock.cache_clear()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def answers(profile, tuned=False):
    """What an engine on this profile says to one question, in the plain and the tuned column."""
    engine = LocalEngine(profile, context_tokens=512, threads=1)
    wanted = [VARIANTS[key] for key in (("plain", "tuned") if tuned else ("plain",))]
    events = list(engine.stream([Request(v, prompts.build("What is MLA?"), Sampling(max_tokens=4)) for v in wanted]))
    return {e.variant: e for e in events if isinstance(e, AnswerDone | AnswerFailed)}


def failure(profile):
    found = answers(profile)["plain"]
    assert isinstance(found, AnswerFailed), found
    return found.message


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(base, tuned): bytes of two whole models of two layers with different weights."""
    folder, vocabulary = tmp_path_factory.mktemp("tiny"), references.resolve(models.PROFILES["embedded"].base)
    return tuple(qwen2_gguf(folder / f"{seed}.gguf", vocabulary, seed=seed) for seed in (1, 2))


SMALL = replace(QWEN, layers=2, width=64)


@pytest.mark.model
def test_base_and_tuned_of_the_hub_answer_and_say_what_they_are(hub, small, locked):  # noqa: F811
    base, tuned = small
    head = hub.add_repo(REPO, {FILE: base}).head
    hub.add_repo(TUNED, {"tuned-q4_k_m.gguf": tuned})
    locked(REPO, head, base)
    found = answers(replace(SMALL, tuned=f"hf:{TUNED}/tuned-q4_k_m.gguf"), tuned=True)
    plain, other = (found[key] for key in ("plain", "tuned"))
    assert isinstance(plain, AnswerDone) and isinstance(other, AnswerDone), found
    assert (plain.identity.file, plain.identity.architecture, plain.identity.quantization) == (FILE, "qwen2", "Q4_K_M")
    assert plain.identity.sha256 == sha256(base) and other.identity.sha256 == sha256(tuned)
    assert plain.answer_tokens and other.answer_tokens


@pytest.mark.model
def test_a_file_cut_short_before_it_was_uploaded_is_named(hub, small):  # noqa: F811
    hub.add_repo(REPO, {FILE: small[0][:-500_000]})
    assert f"llama.cpp cannot load {FILE}" in failure(SMALL)


def test_a_header_cut_short_is_named(hub, tmp_path):  # noqa: F811
    hub.add_repo(REPO, {FILE: qwen2_header(tmp_path / "a.gguf")[:200]})
    assert "is not a readable GGUF" in failure(QWEN)


def test_a_file_of_another_hash_is_refused(hub, tmp_path, locked):  # noqa: F811
    data = qwen2_header(tmp_path / "a.gguf")
    head = hub.add_repo(REPO, {FILE: data}).head
    locked(REPO, head, data, sha256="0" * 64)
    assert "its hash differs" in failure(QWEN)


def test_the_lock_pins_the_revision(hub, tmp_path, locked):  # noqa: F811
    data = qwen2_header(tmp_path / "a.gguf")
    repo = hub.add_repo(REPO, {FILE: data})
    locked(REPO, repo.head, data)
    repo.commit({FILE: qwen2_header(tmp_path / "b.gguf", layers=28)})
    path = references.resolve(QWEN.base)
    assert path.read_bytes() == data and models.check_base(QWEN, path).layers == 36


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"architecture": "llama"}, "its architecture is llama, not qwen2"),
    ({"layers": 28, "width": 3584}, "its number of layers is 28, not 36"),
    ({"width": 1536}, "its embedding width is 1536, not 2048"),
    ({"file_type": 7}, "is mislabelled: its header says Q8_0"),
    ({"kind": "adapter"}, "is an adapter, not a model")])
def test_a_mislabelled_file_is_refused_by_its_header(hub, tmp_path, changes, sentence):  # noqa: F811
    hub.add_repo(REPO, {FILE: qwen2_header(tmp_path / "a.gguf", **changes)})
    assert sentence in failure(QWEN)


def test_what_is_not_there_is_named(hub):  # noqa: F811
    assert f"{REPO} is not on the Hugging Face Hub" in failure(QWEN)
    hub.add_repo(REPO, {"other.gguf": b"x"})
    assert "has no such file or revision" in failure(QWEN)


def test_a_pause_that_the_hub_asks_for_is_told(hub, tmp_path):  # noqa: F811
    hub.add_repo(REPO, {FILE: qwen2_header(tmp_path / "a.gguf")})
    hub.fail("HEAD", "/resolve/", status=429, retry_after=60, times=99)
    assert "asks for a pause (429)" in failure(QWEN)


def test_a_slow_hub_is_waited_for_and_a_silent_one_is_not(hub, tmp_path, monkeypatch):  # noqa: F811
    from huggingface_hub import constants, file_download

    data = qwen2_header(tmp_path / "a.gguf")
    hub.add_repo(REPO, {FILE: data})
    hub.fail("GET", "/cdn/", pause_s=0.05)
    assert references.resolve(QWEN.base).read_bytes() == data
    references.resolve.cache_clear()
    hub.repo(REPO).commit({FILE: qwen2_header(tmp_path / "b.gguf", layers=35)})
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(file_download, "time", type("Clock", (), {"sleep": staticmethod(hub.waits.append)}))
    hub.fail("GET", "/cdn/", pause_s=2.0, times=99)
    with pytest.raises(UserError, match="broke off"):
        references.resolve(QWEN.base)


def test_the_lock_file_is_plain_json(locked, tmp_path):
    locked(REPO, "a" * 40, b"data")
    assert json.loads(Path(model_lock.LOCK).read_text())["models"][0]["repo"] == REPO
