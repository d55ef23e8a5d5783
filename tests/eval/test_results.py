import json
from dataclasses import replace

import pytest

from eval import results
from eval.metrics import METRICS
from space import models, prompts, references
from space.errors import UserError
from space.questions import load_examples
from space.results import read_run, read_samples
from space.schema import Evidence, Passage, Sampling
from tests.eval.made import record, records
from tests.fakes import IDENTITY


def made(rows, name="new", examples=()):
    variants = list(dict.fromkeys(r.variant for r in rows))
    return results.build_run(name, "dev", examples, variants, rows, Sampling(), 3)


def test_a_run_reads_back_as_it_was_written(tmp_path):
    rows = [*records(plain=[1, 0] * 8, tuned=[None] + [1] * 15),
            record(1, "tuned_rag", {"key_facts": 0.1}, text="Größe\u2028\x85 \"so\"",
                   passages=(Passage("d1#1", "Text.", "d1", "T", "H", 0.5, 0.25),), evidence=(Evidence("d1", "q"),)),
            record(2, "tuned_rag", done=None, error="Broken.", unscored={"key_facts": "The answer failed: Broken."})]
    run = made(rows)
    results.write_run(tmp_path / "new", run, rows)
    assert read_run(tmp_path / "new") == run
    assert list(read_samples(tmp_path / "new", run)) == rows
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["run.json", "samples.jsonl"]


def test_the_record_says_what_made_it(tmp_path):
    run = made(records(plain=[1] * 8), examples=load_examples(part="dev"))
    row = json.loads(json.dumps(run.__dict__, default=lambda o: o.__dict__))
    assert run.questions == 59 and row["models"]["plain"]["sha256"] == "ab" * 32 and run.judge == {"kind": "none"}
    assert run.created_utc.endswith("+00:00") and run.packages["python"].startswith("3.")
    assert all(len(h) == 64 for h in (run.dataset_sha256, run.prompts_sha256, run.corpus_sha256, run.index_sha256,
                                      run.embedder_sha256))
    revision, dirty = results.git_state()
    assert run.git_revision == revision and (len(revision) == 40 if revision else dirty is None)
    assert [m.key for m in run.metrics] == ["key_facts"]


def test_the_dataset_hash_feels_every_part_of_a_question():
    examples = load_examples(part="dev")
    first = examples[0]
    for change in ({"question": "x"}, {"reference": "x"}, {"key_facts": ("x",)}, {"evidence": ()}):
        assert results.dataset_hash([replace(first, **change), *examples[1:]]) != results.dataset_hash(examples)


def test_nan_is_never_written(tmp_path):
    rows = records(plain=[1.0, float("nan")] * 4)
    with pytest.raises(ValueError, match="JSON compliant"):
        results.write_run(tmp_path / "new", made(rows), rows)
    assert not (tmp_path / "new").exists()


def test_a_failed_save_leaves_the_old_files(tmp_path, monkeypatch):
    rows = records(plain=[1] * 8)
    results.write_run(tmp_path / "a", made(rows, "a"), rows)
    before = (tmp_path / "a" / "run.json").read_bytes()
    other = records(plain=[0] * 8)
    with pytest.raises(ValueError, match="not the records"):
        results.write_run(tmp_path / "a", made(other), rows)

    def full(source, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(results.os, "replace", full)
    with pytest.raises(OSError):
        results.write_run(tmp_path / "a", made(other), other)
    assert (tmp_path / "a" / "run.json").read_bytes() == before
    assert list(read_samples(tmp_path / "a", read_run(tmp_path / "a"))) == rows


def test_a_crash_between_the_two_files_is_noticed(tmp_path):
    rows, other = records(plain=[1] * 8), records(plain=[0] * 8)
    results.write_run(tmp_path / "a", made(rows, "a"), rows)
    (tmp_path / "a" / "samples.jsonl").write_bytes(results.samples_bytes(other))
    with pytest.raises(UserError, match="samples.jsonl of a was changed"):
        read_samples(tmp_path / "a", read_run(tmp_path / "a"))


def test_two_models_in_one_column_are_refused():
    rows = records(plain=[1] * 8)
    rows[3] = replace(rows[3], done=replace(rows[3].done, identity=replace(IDENTITY, sha256="cd" * 32)))
    with pytest.raises(UserError, match="two different models"):
        made(rows)


def test_names_are_folders_and_nothing_else():
    assert results.check_name("smollm2-135m.heldout_1") == "smollm2-135m.heldout_1"
    for name in ("", "..", "a/b", "../x", "a b", ".hidden", "x" * 65, "a\n"):
        with pytest.raises(UserError, match="cannot name a run"):
            results.check_name(name)


def test_a_stale_run_is_told_from_a_true_one(tmp_path, monkeypatch):
    examples = load_examples(part="dev")[:3]
    profile = models.load_profile("embedded")
    base = references.sha256_of(references.resolve(profile.base))
    monkeypatch.setattr(models, "load_profile", lambda name: replace(profile, adapter=""))
    rows = [record(n, "plain", {"key_facts": 1.0}, id=e.id) for n, e in enumerate(examples)]
    rows = [replace(r, done=replace(r.done, identity=replace(IDENTITY, sha256=base))) for r in rows]
    run = made(rows, "a", examples)
    results.write_run(tmp_path / "a", run, rows)
    assert results.stale(tmp_path / "a", run) == []
    for change, word in (({"corpus_sha256": "x"}, "corpus"), ({"dataset_sha256": "x"}, "questions"),
                         ({"index_sha256": "x"}, "search index"), ({"embedder_sha256": "x"}, "embedding model"),
                         ({"models": {"plain": IDENTITY}}, "base model"),
                         ({"sentences_read": 99}, "number of sentences read"),
                         ({"judge": {"kind": "local", "identity": {}}}, "local judge"),
                         ({"models": {"tuned": replace(IDENTITY, sha256=base, adapter="a", adapter_sha256="x")}},
                          "adapter")):
        assert results.stale(tmp_path / "a", replace(run, **change)) == [f"The {word} changed since the run a."]
    monkeypatch.setattr(prompts, "SYSTEM", "Answer in verse.")
    assert results.stale(tmp_path / "a", run) == ["The prompts changed since the run a."]


def test_metrics_have_one_name_each():
    assert len({m.key for m in METRICS}) == len(METRICS) == len({m.label for m in METRICS})
    assert {m.better for m in METRICS} == {"higher", "lower", ""}
