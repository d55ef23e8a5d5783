"""Publishing against the stand-in of the Hub: what arrives, what is left out, and every refusal."""

# ruff: noqa: F811  (tests ask for the fixture by its name)

import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from gguf import GGUFWriter

from space import hub
from space.errors import UserError
from space.settings import ROOT
from tests.hub_client import server  # noqa: F401  (a fixture)
from tests.hub_standin import READ_TOKEN, WRITE_TOKEN, HubStandIn
from train import card, publish

REPO = "ann/papers"


def write_gguf(path, kind):
    writer = GGUFWriter(str(path), "llama")
    writer.add_type(kind)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.arange(30_000, dtype=np.float32).reshape(100, 300))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def adapter(tmp_path):
    """An adapter folder as `train.run` leaves it."""
    folder = tmp_path / "adapters" / "tiny"
    folder.mkdir(parents=True)
    about = {
        "schema": 1, "name": "tiny", "base": "SmolLM2-135M-Instruct", "base_file": "base.gguf", "base_sha256": "b" * 64,
        "recipe": {"name": "tiny", "base": "embedded", "rank": 32, "learning_rate": 7e-4, "note": "A note."},
        "method": "LoRA",
        "data": {"questions_sha256": "c" * 64, "train_rows": 878, "dev_rows": 118}, "steps": 25, "minutes": 1.5,
        "best_epoch": 2.0, "train_loss": [[n, 3 - n / 10] for n in range(1, 26)], "dev_loss": [[1.0, 2.5], [2.0, 1.75]],
        "trainable_parameters": 4884480, "dtype": "float32", "hardware": "CPU, 2 cores", "packages": {"trl": "1.15.0"},
        "adapter_sha256": write_gguf(folder / "adapter.gguf", "adapter"), "adapter_mb": 0.1}
    (folder / "model_card.json").write_text(json.dumps(about))
    return folder


def uploads(*sizes):
    return [hub.upload_of(f"part-{n}.gguf", bytes([n]) * size) for n, size in enumerate(sizes)]


def on_disk(folder, *sizes):
    """As `uploads`, in files: the library streams those, and rewinds them when an upload breaks."""
    paths = [folder / f"part-{n}.gguf" for n in range(len(sizes))]
    for n, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        path.write_bytes(bytes([n]) * size)
    return [hub.upload_of(path.name, path) for path in paths]


def send(server, files, kind="model", repo=REPO, token=WRITE_TOKEN, said=None, **options):
    return hub.publish(repo, kind, files, (said if said is not None else []).append, endpoint=server.url, token=token,
                       **options)


def refused(server, files=None, **options):
    with pytest.raises(UserError) as caught:
        send(server, files or uploads(10), **options)
    assert WRITE_TOKEN not in str(caught.value)
    return str(caught.value)


def test_an_adapter_arrives_with_its_card(server, adapter):
    done = send(server, publish.model_uploads(adapter, REPO), private=True)
    repo = server.repo(REPO)
    assert repo.private and done.url == f"{server.url}/{REPO}"
    assert set(done.sent) == set(repo.files) - {".gitattributes"}
    assert repo.files["adapter.gguf"] == (adapter / "adapter.gguf").read_bytes()
    assert repo.files["model_card.json"] == (adapter / "model_card.json").read_bytes()
    text = repo.files["README.md"].decode()
    head = yaml.safe_load(text.split("---")[1])
    assert head["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct" and head["license"] == "apache-2.0"
    for fact in ("1.750", "| learning_rate | 0.0007 |", "c" * 64, "| 1 to 3 | 2.800 |", "hf download ann/papers",
                 'lora_path="adapter.gguf"', "A note.", "4,884,480", "--lora adapter.gguf"):
        assert fact in text


def test_what_lies_there_already_is_not_sent_again(server, adapter):
    files = publish.model_uploads(adapter, REPO)
    send(server, files)
    said, before = [], len(server.repo(REPO).commits)
    done = send(server, files, said=said)
    assert done.sent == () and len(done.unchanged) == 4 and len(server.repo(REPO).commits) == before
    assert server.count("PUT", "/lfs/") == 1 and "unchanged  adapter.gguf" in said
    changed = [*files[1:], hub.upload_of("README.md", b"---\nlicense: mit\n---\nnew")]
    assert send(server, changed).sent == ("README.md",) and server.count("PUT", "/lfs/") == 1
    assert server.repo(REPO).files["README.md"].endswith(b"new")


def test_an_existing_repository_is_used_and_never_taken_for_private(server):
    server.add_repo(REPO, kind="dataset", files={"old.txt": b"kept"})
    said = []
    send(server, uploads(10), kind="dataset", said=said)
    assert said[0] == f"the dataset repository {REPO} exists and is used"
    assert server.repo(REPO, "dataset").files["old.txt"] == b"kept"
    assert "exists and is public" in refused(server, kind="dataset", private=True)


def test_a_repository_made_meanwhile_is_used(server):
    server.add_repo(REPO)
    server.fail("GET", f"/api/models/{REPO}", status=404, code="RepoNotFound")
    assert send(server, uploads(10)).sent == ("part-0.gguf",)
    assert [r.status for r in server.requests if r.path == "/api/repos/create"] == [409]


def test_an_upload_that_breaks_in_the_middle_is_sent_again(server, tmp_path):
    server.fail("PUT", "/lfs/", reset_after=100_000, times=2)
    send(server, on_disk(tmp_path, 300_000))
    assert [r.received for r in server.requests if r.method == "PUT"] == [100_000, 100_000, 300_000]
    assert server.repo(REPO).files["part-0.gguf"] == b"\0" * 300_000


def test_after_a_broken_run_the_next_one_sends_only_the_rest(server, tmp_path):
    files = on_disk(tmp_path, 50_000, 300_000)
    server.fail("PUT", files[1].sha256, reset_after=1000, times=99)
    said = refused(server, files)
    assert "broke off several times" in said and "not sent twice" in said
    assert set(server.repo(REPO).files) == {".gitattributes"}  # one commit, so never half a publication
    server.faults.clear()
    done = send(server, files)
    assert set(done.sent) == {"part-0.gguf", "part-1.gguf"}
    assert server.count("PUT", files[0].sha256) == 1
    assert server.repo(REPO).files["part-1.gguf"] == (tmp_path / "part-1.gguf").read_bytes()


def test_large_files_go_in_parts(tmp_path, server):
    server.part_size = 100_000
    server.fail("PUT", "/lfs/", status=500, times=1)
    send(server, on_disk(tmp_path, 250_000))
    assert server.repo(REPO).files["part-0.gguf"] == b"\0" * 250_000
    assert sorted(r.received for r in server.requests if r.method == "PUT") == [50_000, 100_000, 100_000, 100_000]


@pytest.mark.parametrize(("method", "place"), [
    ("GET", "/api/whoami-v2"), ("POST", "/api/repos/create"), ("POST", "/preupload/"), ("POST", "/objects/batch"),
    ("PUT", "/lfs/"), ("POST", "/commit/"), ("POST", "/paths-info/")])
def test_a_pause_that_the_hub_asks_for_is_kept_everywhere(server, tmp_path, method, place):
    server.fail(method, place, status=429, retry_after=3)
    server.fail(method, place, status=503)
    send(server, on_disk(tmp_path, 1000))
    assert server.repo(REPO).files["part-0.gguf"] == b"\0" * 1000
    # the library adds a second to what the Hub asks when it sends an open file again
    assert server.waits == ([4.0, 2] if method == "PUT" else [3.0, 2.0])


@pytest.mark.parametrize(("method", "place"), [("GET", "/api/whoami-v2"), ("PUT", "/lfs/"), ("POST", "/commit/")])
def test_too_long_a_pause_ends_the_run(server, tmp_path, method, place):
    server.fail(method, place, status=429, retry_after=3600, times=99)
    assert "asks to wait 3600 s" in refused(server, on_disk(tmp_path, 1000)) and server.waits == []


def test_patience_with_a_failing_hub_ends(server):
    server.fail("POST", "/commit/", status=502, times=99)
    assert "answered 502, 5 times in a row" in refused(server)


@pytest.mark.parametrize(("fault", "sentence"), [
    (("GET", "/api/whoami-v2", {"status": 401}), "does not accept the token (401)"),
    (("POST", "/api/repos/create", {"status": 403, "message": "no"}), f"may not write to {REPO} (403: no)"),
    (("POST", "/preupload/", {"status": 404, "code": "RepoNotFound"}), "has no model repository"),
    (("POST", "/commit/", {"status": 409, "message": "busy"}), "Another change to ann/papers is under way (409: busy)"),
    (("POST", "/commit/", {"status": 422, "message": "bad path"}), "refused the upload to ann/papers (422: bad path)"),
    (("PUT", "/lfs/", {"status": 413, "message": "full"}), "too large (413: full)"),
    (("POST", "/commit/", {"reset_after": 10, "times": 99}), "5 times in a row"),
])
def test_every_refusal_is_a_sentence(server, fault, sentence):
    method, place, what = fault
    server.fail(method, place, **what)
    assert sentence in refused(server)


def test_tokens_and_names_that_cannot_do(server, monkeypatch, tmp_path):
    from huggingface_hub import constants

    assert "can only read" in refused(server, token=READ_TOKEN)
    assert "does not accept the token" in refused(server, token="hf_unknown")
    assert "may not write to bob/papers (403" in refused(server, repo="bob/papers")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "There is no Hugging Face token" in refused(server, token=None)
    for name in ("papers", "a b/c", "a/b/c", "ann/x--y", ""):
        with pytest.raises(UserError):
            hub.check_repo(name)
    assert hub.check_repo(REPO) == REPO


def test_without_a_network(server):
    server.url = "http://127.0.0.1:9"
    assert "127.0.0.1 could not be reached" in refused(server)


def test_a_bug_keeps_its_traceback(server):
    with pytest.raises(AttributeError):
        send(server, [SimpleNamespace(path="x")])


def test_a_bug_behind_an_answer_of_the_hub_is_not_taken_for_that_answer():
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        try:
            raise OfflineModeIsEnabled
        except OfflineModeIsEnabled:
            {}["url"]
    except KeyError as error:
        assert hub.explain(error, REPO, "model") is None
    assert "HF_HUB_OFFLINE" in str(hub.explain(OfflineModeIsEnabled(), REPO, "model"))
    assert "broke off" in str(hub.explain(ConnectionError("Network error"), REPO, "model"))  # as hf_xet says it


def test_content_that_changes_on_the_way_is_noticed(server, tmp_path):
    files = on_disk(tmp_path, 1000)
    (tmp_path / "part-0.gguf").write_bytes(b"x" * 999)  # changed after it was listed
    assert "does not hold what was sent of part-0.gguf" in refused(server, files)


def test_peft_files_and_a_merged_model_go_along(adapter):
    (adapter / "peft").mkdir()
    (adapter / "peft" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="but not adapter_model.safetensors"):
        publish.model_uploads(adapter, REPO)
    (adapter / "peft" / "adapter_model.safetensors").write_bytes(b"123")
    write_gguf(adapter / "merged-f16.gguf", "model")
    paths = [u.path for u in publish.model_uploads(adapter, REPO)]
    assert paths == ["README.md", "Modelfile", "adapter.gguf", "merged-f16.gguf", "model_card.json",
                     "peft/adapter_config.json", "peft/adapter_model.safetensors"]


def test_a_card_of_another_file_is_refused(adapter):
    with (adapter / "adapter.gguf").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="is not the file that its model_card.json describes"):
        publish.model_uploads(adapter, REPO)
    write_gguf(adapter / "adapter.gguf", "model")
    with pytest.raises(UserError, match="is a model, not an adapter"):
        publish.model_uploads(adapter, REPO)
    (adapter / "model_card.json").write_text('{"name": "x"}')
    with pytest.raises(UserError, match="lacks base, base_file"):
        publish.model_uploads(adapter, REPO)
    with pytest.raises(UserError, match="There is no trained adapter"):
        publish.model_uploads(adapter / "none", REPO)


def test_the_licence_of_the_base_is_handed_on(adapter):
    about = json.loads((adapter / "model_card.json").read_text()) | {"base": "Qwen2.5-3B-Instruct"}
    head = yaml.safe_load(card.model_card(about, ["adapter.gguf"], REPO).split("---")[1])
    assert (head["license"], head["license_name"]) == ("other", "qwen-research")
    assert "| plain | 31 % |" in card.model_card(about, [], REPO, "| plain | 31 % |")


def run(server, tmp_path, *arguments, token=WRITE_TOKEN):
    env = server.environment(tmp_path / "home", token) | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "train.publish", *map(str, arguments)], cwd=tmp_path, env=env,
                          capture_output=True, text=True, timeout=60)


def test_the_command_lists_sends_and_resumes(tmp_path, adapter):
    with HubStandIn() as server:
        dry = run(server, tmp_path, "model", "--repo", REPO, "--adapter", adapter, "--dry-run")
        assert dry.returncode == 0 and server.requests == [], dry.stderr
        digest = hashlib.sha256((adapter / "adapter.gguf").read_bytes()).hexdigest()
        assert digest in dry.stdout and "dry run: nothing was sent" in dry.stdout
        server.fail("PUT", "/lfs/", reset_after=100)
        done = run(server, tmp_path, "model", "--repo", REPO, "--adapter", adapter)
        assert done.returncode == 0 and "4 files sent, 0 unchanged" in done.stdout, done.stderr
        again = run(server, tmp_path, "model", "--repo", REPO, "--adapter", adapter, token=READ_TOKEN)
        assert again.returncode == 2 and "can only read" in again.stderr and "Traceback" not in again.stderr
        assert server.count("PUT", "/lfs/") == 2


def test_a_published_dataset_is_loaded_from_the_hub(tmp_path):
    from tests.fakes import FakeRetriever
    from train import dataset
    from train.config import Recipe

    dataset.export(tmp_path / "out", Recipe(name="t", base="embedded", rag_rows=1), finder=FakeRetriever())
    with HubStandIn() as server:
        done = run(server, tmp_path, "dataset", "--repo", REPO, "--data", tmp_path / "out")
        assert done.returncode == 0 and "9 files sent" in done.stdout, done.stderr
        assert f'load_dataset("{REPO}")' in server.repo(REPO, "dataset").files["README.md"].decode()
        code = "from datasets import load_dataset; print(load_dataset('ann/papers', split='heldout')[0]['id'])"
        loaded = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                                env=server.environment(tmp_path / "fresh"))
        assert loaded.returncode == 0, loaded.stderr
        assert loaded.stdout.strip() == next(iter(json.loads(line)["id"] for line in (
            ROOT / "assets/qa/questions.jsonl").read_text().splitlines() if '"heldout"' in line))
