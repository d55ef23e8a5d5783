"""The training page: runs and adapters read from their files, as curves and as HTML."""

import json

import pytest

from space import curves, run_log, train_cards
from space.errors import UserError
from tests.space.test_markup import EVIL

CARD = {
    "schema": 1,
    "name": "small",
    "base": "Base-1M",
    "recipe": {"name": "small", "rank": 8, "keep_best": False, "chat_template": "", "new_key": EVIL, "note": EVIL},
    "data": {"train_rows": 1756, "dev_rows": 118},
    "steps": 4,
    "minutes": 24.0,
    "best_epoch": 2.0,
    "adapter_sha256": "aa",
}
PARITY = {
    "prompts": 40,
    "same_answers": 39,
    "splits": [{"margin": 0.012}],
    "q4_k_m": {"first": 0.95, "whole": 0.4},
    "adapter_on_4_bit_base": {"first": 0.925, "whole": 0.55},
    "troubles": [],
    "adapter_sha256": "aa",
}
LOG = [
    {"step": 1, "steps": 4, "loss": 2.0, "tokens_per_s": 300.0},
    {"step": 2, "steps": 4, "loss": 1.0, "tokens_per_s": 500.0},
    {"step": 2, "steps": 4, "eval_loss": 1.5, "epoch": 1.0},
    {"step": 3, "steps": 4, "loss": 0.5, "tokens_per_s": 400.0},
    {"step": 4, "steps": 4, "eval_loss": 1.7, "epoch": 2.0},
]


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "small")
    return tmp_path


def write(here, card=CARD, log=LOG, parity=None):
    here.mkdir(exist_ok=True)
    (here / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    for name, value in (("run.json", card), ("parity.json", parity)):
        if value is not None:
            (here / name).write_text(json.dumps(value))


def test_a_run_is_read_from_its_files(folder):
    run = run_log.read_run("small", folder)
    assert run.losses == ((1, 2.0), (2, 1.0), (3, 0.5)) and run.steps == 4 and run.status == "finished"
    assert [(e.epoch, e.step, e.loss) for e in run.dev] == [(1.0, 2, 1.5), (2.0, 4, 1.7)]
    assert run.lowest.epoch == 1.0 and run.kept.epoch == 2.0
    assert run.tokens_per_s is None and run.parity is None


def test_a_run_that_is_going_on_shows_what_it_has(tmp_path):
    write(tmp_path / "small", card=None, log=LOG[:2])
    with (tmp_path / "small" / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    run = run_log.read_run("small", tmp_path)
    assert run.status == "running" and run.losses == ((1, 2.0), (2, 1.0)) and run.dev == ()
    assert "no dev loss yet" in train_cards.dev_table(run) and curves.losses(run) is not None


def test_a_run_that_is_not_there_or_not_readable_is_a_sentence(folder):
    for name in ("", "none", "../small"):
        with pytest.raises(UserError, match="no training run"):
            run_log.read_run(name, folder)
    (folder / "small" / "run.json").write_text("{")
    with pytest.raises(UserError, match="small/run.json cannot be read"):
        run_log.read_run("small", folder)


def test_both_losses_are_drawn_and_the_best_epoch_is_marked(folder):
    figure = curves.losses(run_log.read_run("small", folder))
    json.dumps(figure, allow_nan=False)
    assert [trace["y"] for trace in figure["data"]] == [[2.0, 1.0, 0.5], [2.0, 1.5, 1.1667], [1.5, 1.7]]
    assert {mark["x"]: mark["text"] for mark in figure["layout"]["annotations"]} == {
        2: "<b>lowest dev loss</b>",
        4: "<b>kept</b>",
    }
    best = curves.losses(run_log.read_run("small", write_best(folder)))
    assert [mark["text"] for mark in best["layout"]["annotations"]] == ["<b>lowest dev loss, kept</b>"]


def write_best(folder):
    write(folder / "small", card=CARD | {"best_epoch": 1.0})
    return folder


def test_speed_is_drawn_only_where_steps_are_timed(folder):
    assert curves.speed(run_log.read_run("small", folder))["data"][0]["y"] == [300.0, 500.0, 400.0]
    write(folder / "small", log=[{"step": 1, "loss": 2.0}])
    assert curves.speed(run_log.read_run("small", folder)) is None


def test_the_running_mean_forgets_what_is_older_than_its_window():
    assert curves.running_mean([4.0, 2.0, 6.0, 0.0], window=2) == [4.0, 3.0, 4.0, 3.0]


def test_facts_and_recipe_are_shown_and_escaped(folder):
    run = run_log.read_run("small", folder)
    drawn = train_cards.facts(run) + train_cards.recipe(run) + train_cards.commands(run)
    assert "1,756 train, 118 dev" in drawn and "24 minutes" in drawn and "finished, 4 steps" in drawn
    assert "<dd>false</dd>" in drawn and '<dd>""</dd>'.replace('"', "&quot;") in drawn
    assert "train/recipes/small.toml" in drawn and EVIL not in drawn and "<script" not in drawn
    assert "speed" not in train_cards.facts(run)


def test_the_proof_says_what_agrees_and_what_is_stale(folder):
    assert "python -m train.parity small" in train_cards.parity(run_log.read_run("small", folder))
    write(folder / "small", parity=PARITY)
    drawn = train_cards.parity(run_log.read_run("small", folder))
    for text in ("39 of 40", "95 %", "40 %", "92 %", "55 %", "0.012 logits"):
        assert text in drawn, text
    assert "earlier adapter" not in drawn and "Not kept" not in drawn
    write(folder / "small", parity=PARITY | {"adapter_sha256": "bb", "troubles": [f"too far {EVIL}"]})
    drawn = train_cards.parity(run_log.read_run("small", folder))
    assert "earlier adapter" in drawn and "Not kept: too far" in drawn and EVIL not in drawn


def test_an_adapter_whose_file_differs_from_its_card_is_marked(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "model_card.json").write_text(json.dumps(CARD))
    assert run_log.read_adapters(tmp_path)[0].hash_matches is None
    (tmp_path / "small" / "adapter.gguf").write_bytes(b"GGUF")
    cards = run_log.read_adapters(tmp_path)
    assert cards[0].hash_matches is False and "hash differs" in train_cards.adapters(cards)


def test_the_shipped_runs_and_adapters_are_whole():
    assert run_log.run_names()
    for name in run_log.run_names():
        run = run_log.read_run(name)
        assert run.status == "finished" and run.losses and run.dev and run.kept and run.tokens_per_s
    for adapter in run_log.read_adapters():
        assert adapter.hash_matches, f"{adapter.name}: the file is not that of its card"
