"""A sweep over learning rates: what is run, what is read back, what is refused."""

import json

import pytest

from space.errors import UserError
from space.settings import ROOT
from train import sweep
from train.config import load_recipe

PATH = ROOT / "train" / "recipes" / "smollm2-135m.toml"


class Trainer:
    """Instead of train.run.run: writes the record that a run leaves; dev loss is lowest at 7e-4."""

    def __init__(self):
        self.asked = []

    def __call__(self, recipe, adapters, runs, fresh=False):
        self.asked.append(recipe)
        folder = runs / recipe.name
        folder.mkdir(parents=True)
        losses = [[n, 4.0 - n / 10] for n in range(1, recipe.max_steps + 1)]
        record = {"steps": recipe.max_steps, "train_loss": losses,
                  "dev_loss": [[0.1, 1 + abs(recipe.learning_rate - 7e-4) * 1000]]}
        (folder / "run.json").write_text(json.dumps(record))


def test_each_rate_is_a_run_and_the_lowest_dev_loss_is_marked(tmp_path, monkeypatch, capsys):
    trainer = Trainer()
    monkeypatch.setattr(sweep.run, "run", trainer)
    assert sweep.main([str(PATH), "--steps", "10", "--out", str(tmp_path)]) == 0
    assert [(r.learning_rate, r.max_steps, r.name) for r in trainer.asked] == [
        (3e-4, 10, "smollm2-135m-0.0003"), (7e-4, 10, "smollm2-135m-0.0007"), (1.5e-3, 10, "smollm2-135m-0.0015")]
    assert len({(r.rank, r.batch_size, r.rag_rows, r.scheduler) for r in trainer.asked}) == 1
    assert "| 0.0007 | 10 | 3.05 | **1.0** |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "sweep.json").read_text())
    assert [row["dev_loss"] for row in rows] == [1.4, 1.0, 1.8]


@pytest.mark.parametrize("rates", ["7e-4", "a,b", "", "7e-4,7e-4", "1e-3,0.001"])
def test_lists_of_rates_are_checked(rates):
    with pytest.raises(UserError, match="rates"):
        sweep.parse_rates(rates)


def test_a_rate_that_no_recipe_may_have_is_refused_before_anything_is_run():
    with pytest.raises(UserError, match="learning_rate must be above 0"):
        sweep.recipes(load_recipe(PATH), [1e-4, 0.5], 10)
