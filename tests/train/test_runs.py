"""The folder of a run: its key, its state, and what is put aside."""

import io
import json
import tomllib
from dataclasses import asdict, replace

import pytest

from space import run_log
from space.errors import UserError
from space.settings import ROOT
from tests.train import tiny
from train import run, runs
from train.config import Recipe, load_recipe
from train.progress import Progress

RECIPE = Recipe(name="t", base="embedded", note='says "so"')
ROWS = tiny.rows(4)


def key(recipe=RECIPE, rows=ROWS, base="ab"):
    return runs.key_of(recipe, (rows, rows[:1]), base)


def test_another_recipe_other_rows_or_another_base_are_another_run():
    assert key() == key(replace(RECIPE, note="", num_proc=4))
    others = [key(replace(RECIPE, learning_rate=2e-4)), key(rows=ROWS[::-1]), key(base="cd")]
    others.append(key(rows=[replace(ROWS[0], answer="No."), *ROWS[1:]]))
    assert len({key(), *others}) == 5


def test_the_recipe_is_written_with_every_value():
    assert tomllib.loads(runs.recipe_toml(RECIPE)) == asdict(RECIPE)


def line(step, **values):
    return {"step": step, "steps": 9, "loss": 1.0, "tokens_per_s": 100.0 + step, "memory_mb": 70 + step, **values}


def test_a_run_that_goes_on_keeps_its_log_and_its_time(tmp_path, capsys):
    first = runs.RunFolder(tmp_path / "run", key(), tmp_path / "aside")
    first.start(RECIPE, {"git_revision": "abc"}, 0)
    first.log.append(line(1, elapsed_s=100.0))
    first.log.append(line(2, elapsed_s=200.0))
    again = runs.RunFolder(tmp_path / "run", key(), tmp_path / "aside")
    again.start(RECIPE, {"git_revision": "abc"}, 1)
    again.report(line(2))
    lines = again.log.read()
    assert [x["step"] for x in lines] == [1, 2] and 100 <= lines[1]["elapsed_s"] < 150
    assert again.speed() == {"tokens_per_s": 102.0, "memory_mb": 72}
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["status"] == "running" and [s["from_step"] for s in state["starts"]] == [0, 1]
    assert again.finished() == {}
    again.finish({"steps": 2})
    assert again.finished() == {"steps": 2}
    assert not (tmp_path / "aside").exists()


def test_another_key_begins_anew_and_puts_the_earlier_run_aside(tmp_path):
    first = runs.RunFolder(tmp_path / "run", key(), tmp_path / "aside")
    first.start(RECIPE, {}, 0)
    first.log.append(line(1))
    first.finish({"steps": 1})
    other = runs.RunFolder(tmp_path / "run", key(base="cd"), tmp_path / "aside")
    assert other.finished() == {}
    other.start(RECIPE, {}, 0)
    assert other.log.read() == [] and not (tmp_path / "run" / "run.json").exists()
    (old,) = (tmp_path / "aside").iterdir()
    assert json.loads((old / "run.json").read_text()) == {"steps": 1} and (old / "log.jsonl").exists()


def test_a_finished_run_is_held_to_its_sums_and_a_new_start_takes_them_away(tmp_path):
    folder = runs.RunFolder(tmp_path / "run", key(), tmp_path / "aside")
    folder.start(RECIPE, {}, 0)
    folder.log.append(line(1))
    assert run_log.read_run("run", tmp_path).status == "running"
    folder.finish({"steps": 1})
    assert run_log.read_run("run", tmp_path).losses == ((1, 1.0),)
    path = tmp_path / "run" / "log.jsonl"
    path.write_text(path.read_text().replace("1.0", "0.1", 1))
    with pytest.raises(UserError, match="log.jsonl is not the file that SHA256SUMS of run/ names"):
        run_log.read_run("run", tmp_path)
    folder.start(RECIPE, {}, 1)
    assert run_log.read_run("run", tmp_path).status == "running"


def test_why_a_run_was_stopped_is_noted(tmp_path):
    folder = runs.RunFolder(tmp_path / "run", key(), tmp_path / "aside")
    folder.start(RECIPE, {}, 0)
    folder.stop("The loss became nan at step 3.")
    state = json.loads((tmp_path / "run" / "state.json").read_text())
    assert state["status"] == "stopped" and "nan" in state["reason"]


def test_one_run_is_not_started_twice_at_once(tmp_path):
    release = runs.lock(tmp_path / "lock")
    with pytest.raises(UserError, match="going on in another process"):
        runs.lock(tmp_path / "lock")
    release()
    runs.lock(tmp_path / "lock")()


def test_progress_tells_the_end_by_the_median_step():
    now = [0.0]
    out = io.StringIO()
    progress = Progress(out, lambda: now[0])
    for step, seconds in enumerate((10, 10, 300, 10), 1):  # an evaluation behind the third
        now[0] += seconds
        progress.show(step, 64, 1.25, 290)
    assert out.getvalue().splitlines() == [
        "[#...................] step 3/64  loss 1.250  290 tokens/s  ends in 10 min",
    ]
    assert progress.remaining(60) == "10 min" and progress.remaining(3) == "30 s"
    assert progress.remaining(2880) == "8.0 h"


@pytest.mark.model
def test_recipe_keys_that_came_later_change_no_older_runs_key(retriever):
    """Else `make train` would put a half-done run aside and begin anew."""
    recipe = load_recipe(ROOT / "train" / "recipes" / "smollm2-135m.toml")
    material = run.gather(recipe, retriever)
    base = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert runs.key_of(recipe, (material.train, material.dev), base) == "80f30723b0c28b16"
    assert key(replace(RECIPE, rag_drawn=True)) != key() != key(replace(RECIPE, changed_share=0.5))
