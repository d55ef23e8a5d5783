"""The race of our training against the plain script: its sums, and a short one with a tiny model."""

from dataclasses import asdict

import pytest

from eval.bench import training
from space.errors import UserError
from tests.train import tiny
from tests.train.tiny_tune import RECIPE
from train.config import Recipe
from train.files import write_json


def test_warm_up_is_left_out_of_the_speeds():
    lines = [{"step": n, "loss": 2.0 - n / 10, "wall_s": 100.0 if n <= 3 else 2.0, "cpu_s": 4.0} for n in range(1, 6)]
    found = training.summary([*lines, {"eval_loss": 1.25, "step": 5}, {"memory_mb": 900}], [1, 1, 1, 300, 500])
    assert (found["tokens"], found["wall_s"]) == (800, 4.0)
    assert (found["tokens_per_s"], found["tokens_per_cpu_s"]) == (200.0, 100.0)
    assert found["loss"] == [1.9, 1.8, 1.7, 1.6, 1.5] and found["dev_loss"] == 1.25 and found["memory_mb"] == 900


def test_tokens_of_the_steps():
    lines = [{"loss": 1, "num_tokens": 30.0}, {"loss": 1, "num_tokens": 70.0}, {"eval_loss": 1, "num_tokens": 99.0}]
    assert training.plain_tokens(lines) == [30, 40]
    recipe = Recipe(name="t", base="embedded", batch_size=2, gradient_accumulation=1, group_by_length=False)
    two_epochs = training.our_tokens(recipe, [1, 10, 100, 1000], 4)
    assert sum(two_epochs[:2]) == sum(two_epochs[2:]) == 1111


def test_a_side_that_dies_is_told_with_its_last_words(tmp_path):
    (tmp_path / "task.json").write_text('{"recipe": {"name": "t", "base": "embedded", "nothing": 1}}')
    with pytest.raises(UserError, match="side ours ended early.*nothing"):
        training.race(tmp_path, 5)


@pytest.mark.model
@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_both_sides_take_the_same_number_of_steps(tmp_path, small_gguf):
    pytest.importorskip("unsloth")
    base = tiny.llama(tmp_path / "base", small_gguf)
    recipe = Recipe(name="tiny", base="embedded", **{**RECIPE, "max_steps": 5, "keep_best": False})
    rows, dev = ([(r.example_id, [(p.text, p.control) for p in r.prompt], r.answer) for r in tiny.rows(count)]
                 for count in (20, 4))
    write_json(tmp_path / "task.json", {"recipe": asdict(recipe), "base": str(base), "rows": rows, "dev": dev})
    lines = training.race(tmp_path, 5)
    found = {name: training.summary(lines[name], training.plain_tokens(lines["plain"])) for name in training.SIDES}
    for name in training.SIDES:
        assert [line["step"] for line in lines[name] if "loss" in line] == [1, 2, 3, 4, 5]
        assert found[name]["tokens_per_s"] > 0 and found[name]["cpu_s"] > 0
    assert found["ours"]["dev_loss"] == pytest.approx(found["plain"]["dev_loss"], abs=0.05)
