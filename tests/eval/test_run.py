import errno
import json
import random
import subprocess
import sys
import time

import pytest

from eval import judge as judging
from eval import ledger, run
from space import parts
from space.errors import UserError
from space.questions import load_examples, topic
from space.results import read_run, read_samples
from space.settings import ROOT, load_settings
from tests.eval import fake_run
from tests.fakes import FakeEngine

ALL = "plain,tuned,plain_rag,tuned_rag"
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """`eval.run` with fakes, answers in tmp/NAME, results in tmp/results."""
    for module, name in ((parts, "load_engine"), (parts, "load_retriever"), (run, "embed"), (judging, "load_judge")):
        monkeypatch.setattr(module, name, getattr(module, name))  # so that it is put back

    def call(name, *arguments, engine=None):
        given = [*arguments, "--name", name, "--out", str(tmp_path / name), "--results", str(tmp_path / "results")]
        return fake_run.main(0, given, engine)

    return call


def audited(folder):
    """What must not depend on how often a run was killed."""
    row = json.loads((folder / "run.json").read_text())
    for key in ("run_sha256", "created_utc", "name"):
        del row[key]
    return row, (folder / "samples.jsonl").read_bytes()


def test_a_run_writes_its_results(evaluate, tmp_path, capsys):
    assert evaluate("one", "--limit", "8", "--variants", ALL) == 0
    found = read_run(tmp_path / "results" / "one")
    assert found.part == "dev" and found.questions == 8 and found.variants == tuple(ALL.split(","))
    assert len(read_samples(tmp_path / "results" / "one", found)) == 32
    assert not list((tmp_path / "results").rglob("answers*"))
    out = capsys.readouterr().out
    assert "| plain_rag | 8 | 0 |" in out and "Key facts all there: " in out


def test_approximate_answers_are_not_evaluated(evaluate, monkeypatch, capsys):
    monkeypatch.setenv("PASSAGE_STATES", "all:8")
    load_settings.cache_clear()
    try:
        assert evaluate("one", "--limit", "2") == 2 and "only approximates" in capsys.readouterr().err
    finally:
        monkeypatch.undo()
        load_settings.cache_clear()


def test_the_profile_can_be_named(evaluate, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROFILE", "embedded")
    try:
        assert evaluate("one", "--limit", "2", "--profile", "qwen2.5-3b") == 0
        assert read_run(tmp_path / "results" / "one").profile == "qwen2.5-3b"
        assert evaluate("two", "--limit", "2", "--profile", "qwen9") == 2 and "qwen9" in capsys.readouterr().err
    finally:
        monkeypatch.undo()
        load_settings.cache_clear()


def test_answers_alone_need_no_name(evaluate, tmp_path, capsys):
    fake_run.main(0, ["--limit", "2", "--out", str(tmp_path / "o"), "--results", str(tmp_path / "results")])
    assert "| tuned_rag | 2 | 0 |" in capsys.readouterr().out
    assert (tmp_path / "o" / "answers.jsonl").exists() and not (tmp_path / "results").exists()


def test_shards_make_the_same_run(evaluate, tmp_path, capsys):
    evaluate("whole", "--limit", "7")
    for shard in ("2/3", "1/3"):
        assert evaluate("cut", "--limit", "7", "--shard", shard) == 0
        assert "run the other shards" in capsys.readouterr().out and not (tmp_path / "results" / "cut").exists()
    assert evaluate("cut", "--limit", "7", "--shard", "3/3") == 0
    assert audited(tmp_path / "results" / "cut") == audited(tmp_path / "results" / "whole")


def test_failed_answers_are_counted_and_tried_again(evaluate, tmp_path, capsys):
    broken = FakeEngine({"tuned": UserError("No adapter.", "")})
    assert evaluate("one", "--limit", "8", engine=broken) == 0
    assert "8 of 24 answers failed (No adapter.)" in capsys.readouterr().err
    found = read_run(tmp_path / "results" / "one")
    facts = {m.variant: m for m in found.means if m.metric == "key_facts"}
    assert facts["tuned"].failed == facts["tuned"].expected > 0 and facts["tuned"].mean is None
    assert "tuned is left out" in found.sentences["key_facts"] and "tuned" not in found.models
    evaluate("one", "--limit", "8", engine=FakeEngine())
    assert not any(m.failed for m in read_run(tmp_path / "results" / "one").means if m.variant == "tuned"
                   and m.metric == "key_facts")
    everything = FakeEngine(dict.fromkeys(("plain", "tuned", "tuned_rag"), UserError("No model.", "")))
    assert evaluate("two", "--limit", "2", engine=everything) == 1


def test_a_larger_run_is_not_replaced_by_a_smaller_one(evaluate, capsys):
    evaluate("one", "--limit", "3")
    for smaller in (["--limit", "2"], ["--limit", "3", "--variants", "plain"], ["--limit", "3", "--part", "heldout"]):
        assert evaluate("one", *smaller) == 2
        assert "one holds 3 questions of dev by plain, tuned, tuned_rag" in capsys.readouterr().err
    assert evaluate("one", "--limit", "4") == 0


def test_the_gate(evaluate, tmp_path, capsys):
    facts = " ".join(dict.fromkeys(f for e in load_examples(part="dev") for f in e.key_facts))
    evaluate("good", "--limit", "20", engine=FakeEngine(dict.fromkeys(("plain", "tuned", "tuned_rag"), facts)))
    assert evaluate("same", "--check", "good", engine=FakeEngine(dict.fromkeys(
        ("plain", "tuned", "tuned_rag"), facts))) == 0
    assert read_run(tmp_path / "results" / "same").questions == 20
    capsys.readouterr()
    assert evaluate("bad", "--check", "good", engine=FakeEngine({"plain": facts, "tuned_rag": facts})) == 1
    out = capsys.readouterr().out
    n = sum(e.kind != "unanswerable" for e in run.slice_of(load_examples(part="dev"), 20))
    assert f"tuned, Key facts all there: worse than in good by 1, worse on {n} of {n} questions" in out
    assert "\nplain, Key" not in out
    engine = FakeEngine()
    assert evaluate("bad", "--check", "good", engine=engine) == 1 and not engine.requests  # compares what is there
    assert evaluate("good", "--check", "bad") == 0
    assert evaluate("x", "--check", "nowhere") == 2
    assert "There is no evaluation run nowhere" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence_and_nothing_is_lost(evaluate, monkeypatch, tmp_path, capsys):
    append, room = ledger.append, [5]

    def filling(path, row):
        room[0] -= 1
        if room[0] == 0:
            with path.open("a") as file:
                file.write('{"half')
            raise OSError(errno.ENOSPC, "No space left on device")
        append(path, row)

    monkeypatch.setattr(ledger, "append", filling)
    assert evaluate("full", "--limit", "3") == 2
    assert "A file cannot be written (No space left on device). Make room there" in capsys.readouterr().err
    engine = FakeEngine()
    assert evaluate("full", "--limit", "3", engine=engine) == 0 and len(engine.requests) == 3 * 3 - 4
    assert len(read_samples(tmp_path / "results" / "full", read_run(tmp_path / "results" / "full"))) == 9


@pytest.mark.parametrize("arguments", [[], ["--check", "a", "--out", "b"], ["--name", "a", "--limit", "-1"],
                                       ["--name", "a", "--check", "b", "--shard", "1/2"]])
def test_what_makes_no_sense_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(arguments)
    assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", ""])
def test_shards_are_checked(shard):
    with pytest.raises(UserError, match="is not a shard"):
        run.parse_shard(shard)


def test_a_slice_is_spread_over_the_documents():
    examples = load_examples(part="dev")
    few = run.slice_of(examples, 24)
    assert len(few) == 24 == len({topic(e) for e in few}) and few == [e for e in examples if e in few]
    assert len({topic(e) for e in run.slice_of(examples, 30)}) == 26
    assert run.slice_of(examples, 500) == examples and few == run.slice_of(examples, 24)


def test_a_judged_run(evaluate, tmp_path, capsys):
    arguments = ("--limit", "8", "--variants", ALL, "--judge", "local")
    assert evaluate("one", *arguments) == 0
    assert "The judge: On faithfulness" in capsys.readouterr().out
    found = read_run(tmp_path / "results" / "one")
    rows = read_samples(tmp_path / "results" / "one", found)
    assert (found.judge["kind"], found.judge["name"], found.judge["spent"]["calls"] > 32) == ("local", "hash", True)
    assert found.judge["dollars"] == found.judge["spent"]["calls"] / 1000 and found.judge["controls"]
    for row in rows:
        judged = {"faithfulness", "answer_relevancy", "faithfulness_retrieved"} & row.scores.keys()
        assert len(judged) == (0 if row.kind == "unanswerable" else 3 if row.variant.endswith("rag") else 2)
        assert row.verdicts.keys() == judged
    assert [m.label for m in found.metrics[:3]] == [m.label for m in judging.metrics_of("hash judge")]
    assert "faithfulness" in found.sentences and {m.variant for m in found.means if m.metric ==
                                                  "faithfulness_retrieved"} == {"plain_rag", "tuned_rag"}
    assert evaluate("one", "--limit", "8", "--variants", ALL) == 2
    assert "holds the scores of a judge" in capsys.readouterr().err
    before = audited(tmp_path / "results" / "one")
    assert evaluate("one", *arguments) == 0 and audited(tmp_path / "results" / "one") == before
    assert evaluate("two", "--check", "one") == 0  # judged as the baseline was
    assert read_run(tmp_path / "results" / "two").judge == found.judge
    assert evaluate("none", "--limit", "8", "--variants", ALL) == 0
    assert evaluate("none", "--check", "one") == 2
    assert "were scored by different judges" in capsys.readouterr().err


def kill_and_finish(tmp_path, kills, limit):
    """A real process, killed again and again at random, half of the times while answers are collected and half
    while they are judged; the results that it ends with, and those of an undisturbed one."""
    chance = random.Random(3407)

    def command(name, delay_s):
        return [sys.executable, "-m", "tests.eval.fake_run", str(delay_s), "--limit", str(limit), "--variants", ALL,
                "--judge", "local", "--name", name, "--out", str(tmp_path / name),
                "--results", str(tmp_path / "results")]

    def kill(path):
        size = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen(command("killed", 0.02), cwd=ROOT, **QUIET)
        while process.poll() is None and (not path.exists() or path.stat().st_size <= size):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.4)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
        if chance.random() < 0.5:  # as a power cut would leave it
            path.write_bytes(path.read_bytes()[:-chance.randrange(1, 300)])

    answers, judged = (tmp_path / "killed" / name for name in ("answers.jsonl", "judged.jsonl"))
    for _ in range(kills // 2):
        kill(answers)
    assert answers.read_bytes().count(b"\n") < 4 * limit and not judged.exists()
    rest = [sys.executable, "-m", "tests.eval.fake_run", "0", "--limit", str(limit), "--variants", ALL]
    subprocess.run([*rest, "--out", str(tmp_path / "killed")], cwd=ROOT, check=True, **QUIET)
    for _ in range(kills // 2):
        kill(judged)
    assert not (tmp_path / "results").exists()
    for name in ("killed", "whole"):
        subprocess.run(command(name, 0), cwd=ROOT, check=True, **QUIET)
    return (audited(tmp_path / "results" / name) for name in ("killed", "whole"))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("times", "limit"), [(6, 12), pytest.param(50, 40, marks=pytest.mark.heavy)])
def test_sigkills_leave_the_same_results(tmp_path, times, limit):
    killed, whole = kill_and_finish(tmp_path, times, limit)
    assert killed == whole
