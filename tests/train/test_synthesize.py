"""The whole command against a local stand-in endpoint, with its faults, and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from space.questions import load_examples
from space.settings import ROOT
from tests.openai_standin import RETRY_AFTER_S, StandIn
from train import synthesize

NAMES = ("Atlas", "Boreas", "Cygnus", "Draco", "Eridanus", "Fornax", "Gemini", "Hydra")
VERBS = ("sorts", "copies", "encrypts", "compresses", "replicates", "indexes", "streams", "verifies")
THINGS = ("invoices", "photographs", "genomes", "letters", "maps", "recordings", "ledgers", "sketches")


def write_corpus(folder: Path, documents: int = 2, sections: int = 4) -> Path:
    """Documents of a made-up world: every sentence its own number, name and thing."""
    folder.mkdir()
    for d in range(documents):
        text = f"---\ntitle: The {NAMES[d]} system\n---\n# The {NAMES[d]} system\n"
        for s in range(sections):
            text += f"\n## {NAMES[d]} and {THINGS[(s + 3 * d) % 8]}\n\n"
            for n in range(5):
                k = 100 * d + 10 * s + n
                text += (f"The {NAMES[d]} system {VERBS[(k + s) % 8]} {THINGS[(n + s + 3 * d) % 8]} with the Quill"
                         f"{k} engine at {k + 11} frames per {('second', 'minute', 'hour')[k % 3]} whenever its "
                         f"{('northern', 'cheapest', 'oldest', 'largest', 'nearest')[n]} cluster is idle. ")
            text += "\n"
        (folder / f"{NAMES[d].lower()}.md").write_text(text)
    return folder


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "JUDGE_MODEL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    write_corpus(tmp_path / "corpus")
    return tmp_path


def arguments(world: Path, out: str = "out.jsonl", *more: str) -> list[str]:
    return ["--corpus", str(world / "corpus"), "--out", str(world / out), "--size", "8", "--yes",
            "--against", str(world / "none.jsonl"), *more]


def use(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "stand-in")
    monkeypatch.setenv("JUDGE_MODEL", "stand-in-model")


def test_without_a_key_it_says_what_to_do(world: Path, capsys: pytest.CaptureFixture) -> None:
    assert synthesize.main(arguments(world)) == 2
    assert "OPENAI_API_KEY" in capsys.readouterr().err
    assert not (world / "out.jsonl").exists()


def test_a_cost_nobody_confirms_is_not_spent(world: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture) -> None:
    with StandIn() as server:
        use(server, monkeypatch)
        assert synthesize.main([a for a in arguments(world) if a != "--yes"]) == 2
    said = capsys.readouterr()
    assert "calls" in said.out and "$" in said.out and "--yes" in said.err
    assert not server.log


def test_a_file_of_another_origin_is_not_overwritten(world: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    (world / "out.jsonl").write_text("mine\n")
    assert synthesize.main(arguments(world)) == 2
    assert (world / "out.jsonl").read_text() == "mine\n"
    assert "another --out" in capsys.readouterr().err


def test_end_to_end_with_every_fault_the_endpoint_can_have(world: Path, monkeypatch: pytest.MonkeyPatch,
                                                           capsys: pytest.CaptureFixture) -> None:
    with StandIn() as clean:
        use(clean, monkeypatch)
        assert synthesize.main(arguments(world, "clean.jsonl")) == 0
    wanted = (world / "clean.jsonl").read_text()
    rows = load_examples(world / "clean.jsonl")
    bodies = {p.stem: p.read_text() for p in (world / "corpus").glob("*.md")}
    assert rows and all(e.quote in bodies[e.document] for r in rows for e in r.evidence)
    assert {"number", "compare"} <= {r.kind for r in rows}
    assert list(json.loads(wanted.splitlines()[0])) == [
        "id", "question", "reference", "evidence", "key_facts", "kind", "split"]
    assert clean.bodies[0]["model"] == "stand-in-model"
    said = capsys.readouterr().out
    assert "near-duplicate" in said and "so far" in said and f"{len(rows)} of" in said

    calls = len(clean.log)
    assert synthesize.main(arguments(world, "clean.jsonl")) == 0  # done: nothing is asked again
    assert len(clean.log) == calls and (world / "clean.jsonl").read_text() == wanted

    faults = ["429", "500", "prose", "broken", "garbage", "hang", "429"]
    with StandIn(faults) as rough:
        use(rough, monkeypatch)
        assert synthesize.main(arguments(world, "rough.jsonl", "--timeout", "1", "--workers", "1")) == 0
    assert (world / "rough.jsonl").read_text() == wanted
    first, second = rough.log[0], rough.log[1]
    assert first[1] == "429" and second[0] - first[0] >= RETRY_AFTER_S
    assert "retried" in capsys.readouterr().out


def test_a_failed_unit_is_reported_and_left_for_the_next_run(world: Path, monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture) -> None:
    with StandIn(["prose"] * 12) as server:  # more than one unit's first four calls can bear
        use(server, monkeypatch)
        assert synthesize.main(arguments(world)) == 1
        said = capsys.readouterr().out
        assert "FAILED" in said and "not the JSON asked for" in said and "left for the next run" in said
        few = len(load_examples(world / "out.jsonl"))
        assert synthesize.main(arguments(world)) == 0
    assert len(load_examples(world / "out.jsonl")) > few


@pytest.mark.parametrize("fault, hint", [("401", "OPENAI_API_KEY"), ("404", "JUDGE_MODEL")])
def test_what_no_retry_can_mend_stops_the_run(world: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture, fault: str, hint: str) -> None:
    with StandIn(always=fault) as server:
        use(server, monkeypatch)
        assert synthesize.main(arguments(world)) == 2
    assert hint in capsys.readouterr().err
    assert len(server.log) <= 8


def test_an_endpoint_that_never_answers_ends_the_run_after_a_few_units(world: Path, monkeypatch: pytest.MonkeyPatch,
                                                                       capsys: pytest.CaptureFixture) -> None:
    (world / "corpus" / "third.md").write_text((world / "corpus" / "atlas.md").read_text())
    with StandIn(always="hang") as server:
        use(server, monkeypatch)
        assert synthesize.main(arguments(world, "out.jsonl", "--timeout", "0.3", "--retries", "0", "--size", "12")) == 2
    said = capsys.readouterr()
    assert "no answer within 0.3 s" in said.out and "goes on from here" in said.err


def _child(world: Path, out: str, server: StandIn) -> subprocess.Popen:
    environment = {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen([sys.executable, "-m", "train.synthesize", *arguments(world, out)], cwd=ROOT,
                            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _lines(child: subprocess.Popen) -> Iterator[str]:
    assert child.stdout
    yield from child.stdout


@pytest.mark.heavy
def test_after_a_kill_the_same_command_gives_the_file_of_an_undisturbed_run(world: Path) -> None:
    with StandIn(pause_s=0.02) as server:
        whole = _child(world, "whole.jsonl", server)
        print("".join(_lines(whole)))
        assert whole.wait() == 0
        calls = len(server.log)
        cut = _child(world, "cut.jsonl", server)
        for line in _lines(cut):
            if line.startswith("1/"):
                time.sleep(0.3)  # into the second unit
                cut.send_signal(signal.SIGKILL)
        assert cut.wait() == -signal.SIGKILL
        asked = len(server.log)
        again = _child(world, "cut.jsonl", server)
        said = "".join(_lines(again))
        assert again.wait() == 0 and "are done already" in said
    assert len(server.log) - asked < calls  # the finished unit was not asked again
    for name in ("{}.jsonl", "{}.raw.jsonl"):
        assert (world / name.format("cut")).read_text() == (world / name.format("whole")).read_text()
