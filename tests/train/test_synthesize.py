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

SECTIONS = {
    "Bakery": "The Atlas bakery in Porto2 sells {0} loaves of rye bread every morning before its ovens cool down. "
              "A baker named Quill7 kneads the dough for {1} minutes and lets it rest beside the warm chimney. ",
    "Harbour": "Ships of the Atlas fleet wait {0} hours outside the harbour of Porto2 until the tide is high enough. "
               "The pilot boat Heron5 guides them past {1} green buoys that mark the sunken granite reef. ",
    "Library": "The reading room of the Atlas library seats {0} visitors and closes early on rainy winter evenings. "
               "Its catalogue, begun by Quill7, lists {1} handwritten atlases from three vanished monasteries. ",
    "Orchestra": "The Atlas orchestra rehearses {0} symphonies a year under the conductor Heron5 and her two deputies. "
                 "Its oldest cello was carved in a village of {1} people from a single fallen walnut tree. ",
    "Glacier": "Surveyors found that the Atlas glacier lost {0} metres of ice since the station Kite9 was built there. "
               "Meltwater from its tongue feeds {1} mountain lakes whose water stays cold through August. ",
    "Railway": "The Atlas railway climbs {0} metres on a cogwheel track that engineers of Kite9 laid in one summer. "
               "Passengers pay {1} crowns for a ticket and may carry one pair of skis without charge. ",
}


def write_corpus(folder: Path) -> None:
    """Two documents of a made-up world, in which every sentence is about something else."""
    folder.mkdir()
    for d, name in enumerate(("city", "country")):
        text = f"---\ntitle: The {name} of Atlas\n---\n# The {name} of Atlas\n"
        for s, (heading, sentences) in enumerate(list(SECTIONS.items())[3 * d:3 * d + 3]):
            text += f"\n## {heading}\n\n{sentences.format(31 + 7 * s, 52 + 5 * s)}\n"
        (folder / f"{name}.md").write_text(text)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "JUDGE_MODEL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    write_corpus(tmp_path / "corpus")
    return tmp_path


def arguments(world: Path, out: str = "out.jsonl", *more: str) -> list[str]:
    return ["--corpus", str(world / "corpus"), "--out", str(world / out), "--size", "12", "--yes",
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

    faults = ["429", "500", "", "prose", "", "broken", "", "garbage", "", "hang", "", "429"]
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
    (world / "corpus" / "third.md").write_text((world / "corpus" / "city.md").read_text())
    with StandIn(always="hang") as server:
        use(server, monkeypatch)
        assert synthesize.main(arguments(world, "out.jsonl", "--timeout", "0.3", "--retries", "0", "--size", "18")) == 2
    said = capsys.readouterr()
    assert "no answer within 0.3 s" in said.out and "goes on from here" in said.err


def _child(world: Path, out: str, server: StandIn) -> subprocess.Popen:
    environment = {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "x",
                   "JUDGE_MODEL": "stand-in-model", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen([sys.executable, "-m", "train.synthesize", *arguments(world, out)], cwd=ROOT,
                            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _lines(child: subprocess.Popen) -> Iterator[str]:
    assert child.stdout
    yield from child.stdout


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_after_a_kill_the_same_command_gives_the_file_of_an_undisturbed_run(
        world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    with StandIn(pause_s=0.02) as server:
        use(server, monkeypatch)
        assert synthesize.main(arguments(world, "whole.jsonl")) == 0
        calls = len(server.log)
        cut = _child(world, "cut.jsonl", server)
        for line in _lines(cut):
            if line.startswith("1/"):
                time.sleep(0.3)  # into the second unit
                cut.send_signal(signal.SIGKILL)
        assert cut.wait() == -signal.SIGKILL
        asked = len(server.log)
        assert synthesize.main(arguments(world, "cut.jsonl")) == 0
    assert "1 of 2 units are done already" in capsys.readouterr().out
    assert 0 < len(server.log) - asked < calls  # the finished unit was not asked again
    for name in ("{}.jsonl", "{}.raw.jsonl"):
        assert (world / name.format("cut")).read_text() == (world / name.format("whole")).read_text()
