import json
from dataclasses import asdict

import pytest

from eval.results import build_run, write_run
from space import results
from space.errors import UserError
from space.results import canonical_hash, list_runs, read_run, read_samples
from space.schema import Sampling
from tests.eval.made import records


@pytest.fixture
def folder(tmp_path):
    rows = records(plain=[1, 0] * 4, tuned=[1] * 8)
    write_run(tmp_path / "one", build_run("one", "dev", (), ["plain", "tuned"], rows, Sampling(), 3), rows)
    return tmp_path / "one"


def rewrite(folder, sign=True, **changes):
    row = json.loads((folder / "run.json").read_text()) | changes
    row.pop("run_sha256")
    if sign:
        row["run_sha256"] = canonical_hash(row)
    (folder / "run.json").write_text(json.dumps(row))


def test_a_folder_made_elsewhere_opens_under_its_own_name(folder):
    moved = folder.rename(folder.with_name("two"))
    run = read_run(moved)
    assert run.name == "two" and len(read_samples(moved, run)) == 16


def test_changed_numbers_are_noticed(folder):
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"mean": 0.5', '"mean": 0.9', 1))
    assert '"mean": 0.9' in (folder / "run.json").read_text()
    with pytest.raises(UserError, match="run.json of one was changed after the run"):
        read_run(folder)


def test_spaces_in_run_json_do_not_matter(folder):
    run = read_run(folder)
    (folder / "run.json").write_text(json.dumps(json.loads((folder / "run.json").read_text())))
    assert read_run(folder) == run


def test_changed_samples_are_noticed(folder):
    run = read_run(folder)
    path = folder / "samples.jsonl"
    path.write_text(path.read_text().replace('"key_facts": 0.0', '"key_facts": 1.0', 1))
    with pytest.raises(UserError, match="samples.jsonl of one was changed"):
        read_samples(folder, run)
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        read_samples(folder, run)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"schema": 1}', '{"schema": NaN, "run_sha256": ""}',
                                  "\x00", '"x"'])
def test_what_is_no_run_is_refused(folder, text):
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match="unreadable"):
        read_run(folder)


def test_bytes_that_are_no_text_are_refused(folder):
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="unreadable"):
        read_run(folder)


def test_a_missing_run_names_its_command(tmp_path):
    with pytest.raises(UserError, match=r"python -m eval.run --part heldout --name nine"):
        read_run(tmp_path / "nine")


@pytest.mark.parametrize("changes, words", [
    ({"schema": 99}, "has format 99; this version reads up to 2"),
    ({"schema": "1"}, "has format '1'; this version"),
    ({"schema": 0}, "has format 0, which is no longer read"),
    ({"surplus": 1}, "lacks something or has too much"),
    ({"means": [{}]}, "lacks something"),
    ({"models": []}, "lacks something"),
])
def test_other_formats_are_refused_with_a_sentence(folder, changes, words):
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=words):
        read_run(folder)


def test_an_old_format_is_upgraded_step_by_step(folder, monkeypatch):
    row = json.loads((folder / "run.json").read_text())
    run = read_run(folder)
    monkeypatch.setitem(results.UPGRADES, -1, lambda row: row | {"schema": 0, "machine": row["machine"] + "!"})
    monkeypatch.setitem(results.UPGRADES, 0, lambda row: row | {"schema": 1, "part": "heldout"})
    rewrite(folder, schema=-1)
    upgraded = read_run(folder)
    assert (upgraded.schema, upgraded.part, upgraded.machine) == (2, "heldout", row["machine"] + "!")
    assert asdict(upgraded) | {"part": "dev", "machine": run.machine} == asdict(run)


def test_a_run_whose_time_is_none_is_refused(folder):
    rewrite(folder, created_utc="yesterday")
    with pytest.raises(UserError, match="lacks something or has too much"):
        read_run(folder)


def test_one_bad_folder_does_not_hide_the_others(folder):
    rows = records(plain=[1] * 8)
    write_run(folder.with_name("two"), build_run("two", "dev", (), ["plain"], rows, Sampling(), 3), rows)
    folder.with_name("three").mkdir()
    (folder.with_name("three") / "run.json").write_text("{")
    folder.with_name("empty").mkdir()
    runs, problems = list_runs(folder.parent)
    assert sorted(r.name for r in runs) == ["one", "two"]
    assert len(problems) == 1 and "three" in problems[0]
    assert list_runs(folder.parent / "nowhere") == ([], [])
