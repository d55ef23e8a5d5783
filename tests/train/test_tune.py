"""Runs of a tiny model that are killed, run out of disk, diverge, or are shared by two processes."""

import json
import random
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file, save_file

from space.settings import ROOT
from tests.train import tiny
from train import checkpoints

pytestmark = [pytest.mark.model, pytest.mark.heavy]


@pytest.fixture(scope="module")
def base(tmp_path_factory, base_gguf):
    pytest.importorskip("unsloth")
    return tiny.llama(tmp_path_factory.mktemp("tiny") / "base", base_gguf)


@pytest.fixture
def folder(tmp_path, base):
    (tmp_path / "base").symlink_to(base)
    return tmp_path


LAUNCHERS = {"": [],
             "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"],
             "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port",
                            "0", "-m"]}
"""By which two processes are started; without one the run has one."""


def start(folder, *options, launcher="", **values):
    command = [sys.executable, "-m", *LAUNCHERS[launcher], "tests.train.tiny_tune", str(folder)]
    return subprocess.run([*command, json.dumps(values), *options], cwd=ROOT, capture_output=True, text=True,
                          timeout=280)


def outcome(folder):
    return json.loads((folder / "outcome.json").read_text())


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    """The run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "base").symlink_to(base)
    done = start(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def test_a_run_logs_every_step_and_keeps_the_better_epoch(whole):
    steps = [line for line in log(whole) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 21))
    assert all(line["tokens_per_s"] > 0 and line["memory_mb"] > 50 for line in steps)
    assert all({"learning_rate", "epoch", "grad_norm"} <= line.keys() for line in steps)
    dev = outcome(whole)["dev"]
    assert [epoch for epoch, _ in dev] == [1.0, 2.0] and outcome(whole)["best"] == min(dev, key=lambda e: e[1])[0]


def test_killed_twice_it_ends_as_if_nothing_had_been(whole, folder):
    assert start(folder, "--kill-at", "7").returncode == -9
    half = folder / "work" / "checkpoints" / "checkpoint-99"  # what a kill amidst a checkpoint leaves
    half.mkdir()
    (half / "adapter_model.safetensors").write_bytes(b"half")
    assert start(folder, "--kill-at", "15").returncode == -9
    assert not half.exists()
    done = start(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert outcome(folder) == outcome(whole)
    own, other = log(folder), log(whole)
    assert [(x["step"], x.get("loss"), x.get("eval_loss")) for x in own] == [
        (x["step"], x.get("loss"), x.get("eval_loss")) for x in other
    ]


def test_by_accuracy_the_epoch_with_most_hits_is_kept_after_a_kill_too(folder):
    assert start(folder, "--kill-at", "15", metric="accuracy", data="arc").returncode == -9
    done = start(folder, metric="accuracy", data="arc")
    assert done.returncode == 0, done.stderr[-2000:]
    hits = outcome(folder)["accuracy"]
    assert [epoch for epoch, _ in hits] == [1.0, 2.0] and all(share * 6 == round(share * 6, 6) for _, share in hits)
    assert outcome(folder)["best"] == max(hits, key=lambda at: at[1])[0]
    assert [line["eval_accuracy"] for line in log(folder) if "eval_accuracy" in line] == [share for _, share in hits]


def test_killed_from_outside_at_random_moments_it_ends_as_if_nothing_had_been(whole, folder):
    """Amid a step, a line of the log, an evaluation or a checkpoint, as it falls."""
    chance, killed, path = random.Random(3407), 0, folder / "log.jsonl"
    for _ in range(5):
        last = checkpoints.last_whole(folder / "work" / "checkpoints")
        wanted = (checkpoints.step_of(last) if last else 0) + chance.randint(1, 5)
        process = subprocess.Popen([sys.executable, "-m", "tests.train.tiny_tune", str(folder), "{}"], cwd=ROOT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.poll() is None and (
                not path.exists() or path.stat().st_mtime_ns == before or path.read_bytes().count(b"\n") < wanted):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        killed += process.wait(30) == -9
    assert killed >= 3
    done = start(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert outcome(folder) == outcome(whole)
    assert [(x["step"], x.get("loss"), x.get("eval_loss")) for x in log(folder)] == [
        (x["step"], x.get("loss"), x.get("eval_loss")) for x in log(whole)]


def test_a_full_disk_stops_with_a_sentence_and_the_next_start_goes_on(whole, folder):
    done = start(folder, "--largest-file", "20000")
    assert done.returncode == 2 and "the disk is full" in done.stderr and "Traceback" not in done.stderr
    assert "step 8 is whole" in done.stderr.replace("The checkpoint of ", "")
    assert checkpoints.step_of(checkpoints.last_whole(folder / "work" / "checkpoints")) == 8
    assert start(folder).returncode == 0
    assert outcome(folder) == outcome(whole)


def test_a_loss_that_is_no_number_stops_with_a_sentence(folder):
    done = start(folder, learning_rate=1e36, warmup_steps=6, scheduler="constant")
    assert done.returncode == 2 and "loss became" in done.stderr and "Lower learning_rate" in done.stderr
    assert "Traceback" not in done.stderr
    assert checkpoints.last_whole(folder / "work" / "checkpoints") is None


def test_a_loss_that_turns_into_no_number_keeps_the_last_checkpoint(folder):
    """A weight that is no number turns the loss into one after step 4."""
    assert start(folder, "--kill-at", "7").returncode == -9
    last = checkpoints.last_whole(folder / "work" / "checkpoints")
    weights = load_file(last / "adapter_model.safetensors")
    next(iter(weights.values())).fill_(float("nan"))
    save_file(weights, last / "adapter_model.safetensors", metadata={"format": "pt"})
    assert checkpoints.is_whole(last)
    done = start(folder)
    assert done.returncode == 2 and "loss became" in done.stderr and "Traceback" not in done.stderr
    assert checkpoints.last_whole(folder / "work" / "checkpoints") == last


def test_two_processes_learn_what_one_does(base, tmp_path):
    """Without dropout, whose random numbers are each process's own."""
    results = []
    for launcher in LAUNCHERS:
        folder = tmp_path / f"by-{launcher}"
        folder.mkdir()
        (folder / "base").symlink_to(base)
        done = start(folder, launcher=launcher, dropout=0.0)
        assert done.returncode == 0, done.stderr[-2000:]
        results.append(outcome(folder))
    one, *shared = results
    assert [found["processes"] for found in results] == [1, 2, 2]
    for two in shared:
        assert one["steps"] == two["steps"] == 20
        for (_, alone), (_, together) in zip(one["losses"], two["losses"], strict=True):
            assert together == pytest.approx(alone, abs=2e-3)
        assert [loss for _, loss in two["dev"]] == pytest.approx([loss for _, loss in one["dev"]], abs=2e-3)
