"""Both Qwen recipes from end to end on a random Qwen2 of four layers: train, merge, q4_k_m, serve, ask, evaluate.

Nothing but the download and the GPU's own kernels is left untried. The recipes are the shipped ones; only their
weights, the number of rows and the GPU are replaced: all epochs are trained, two or four steps each.
"""

import json
from dataclasses import replace

import pytest

from space import ask, models, parts
from space.gguf_header import read_header
from space.settings import ROOT, load_settings
from tests.train import tiny
from tests.train.test_arc_rows import row, write
from train import export, llama, run
from train.config import load_recipe

pytestmark = [pytest.mark.model, pytest.mark.heavy, pytest.mark.timeout(900)]
CACHES = (load_settings, parts.load_engine, parts.local_engine, parts.load_retriever)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory, small_gguf):
    """(Hugging Face folder, its q4_k_m as the official one would be)."""
    folder = tmp_path_factory.mktemp("qwen")
    weights = tiny.qwen(folder / "weights", small_gguf)
    return weights, llama.quantize(tiny.gguf(weights, small_gguf, folder / "f16.gguf"), folder / "q4_k_m.gguf", 2)


@pytest.fixture(scope="module", params=["qwen2.5-3b-qlora", "qwen2.5-3b-arc"])
def trained(request, qwen, tmp_path_factory):
    """(recipe, folder of adapters/, runs/, arc/ and the exported files); the small model stands in the profile."""
    pytest.importorskip("unsloth")
    weights, base = qwen
    folder = tmp_path_factory.mktemp("trained")
    write(folder / "arc", "ARC-Easy-train.jsonl", [row(n) for n in range(40)])
    write(folder / "arc", "ARC-Easy-test.jsonl", [row(n) for n in range(100, 104)])
    shipped = load_recipe(ROOT / "train" / "recipes" / f"{request.param}.toml")
    small = replace(shipped, weights=f"file:{weights}", device="any", num_proc=2)

    def few(recipe, finder, gather=run.gather):
        material = gather(recipe, finder)
        rows = material.train[:8] + material.train[-8:], material.dev[:3] + material.dev[-3:]
        return replace(material, train=rows[0], dev=rows[1], choices=material.choices[:3],
                       identity=material.identity | {"train_rows": len(rows[0]), "dev_rows": len(rows[1])})

    profile = replace(models.PROFILES["qwen2.5-3b"], base=f"file:{base}", layers=4, width=256,
                      embedder=models.EMBEDDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.PROFILES, "qwen2.5-3b", profile)
        patch.setattr(run, "ROOT", folder)
        patch.setattr(run, "gather", few)
        patch.setenv("ARC_DIR", str(folder / "arc"))
        run.run(small, folder / "adapters", folder / "runs")
        source = replace(export.load_source(small.name, folder / "adapters"), calibration=lambda: tiny.rows(6))
        for form in export.FORMS:
            export.make(source, form, folder / "export")
        patch.setenv("PROFILE", "qwen2.5-3b")
        patch.setenv("TUNED_MODEL", f"file:{folder}/export/{small.name}-q4_k_m.gguf")
        patch.setenv("MAX_TOKENS", "16")
        for cached in CACHES:
            cached.cache_clear()
        yield small, folder
    for cached in CACHES:
        cached.cache_clear()


def test_training_left_its_card_and_its_log(trained):
    recipe, folder = trained
    card = json.loads((folder / "adapters" / recipe.name / "model_card.json").read_text())
    steps = recipe.epochs * 16 / (recipe.batch_size * recipe.gradient_accumulation)
    assert card["steps"] == len(card["train_loss"]) == steps
    assert [epoch for epoch, _ in card["dev_loss"]] == [n + 1 for n in range(int(recipe.epochs))]
    if recipe.metric == "accuracy":
        assert [epoch for epoch, _ in card["dev_accuracy"]] == [epoch for epoch, _ in card["dev_loss"]]
        assert all(share * 3 == pytest.approx(round(share * 3)) for _, share in card["dev_accuracy"])
        assert card["best_epoch"] == max(card["dev_accuracy"], key=lambda at: at[1])[0]
    else:
        assert not card["dev_accuracy"]
        assert card["best_epoch"] == min(card["dev_loss"], key=lambda at: at[1])[0]
    assert card["recipe"]["optimizer"] == recipe.optimizer and "8bit" not in card["optimizer"]  # no CUDA here
    assert card["recipe"]["chat_template"] == "qwen-2.5"
    assert ("arc" in card["data"]) == (recipe.name == "qwen2.5-3b-arc")
    assert (folder / "runs" / recipe.name / "run.json").exists()


def test_the_merged_model_is_a_q4_k_m_of_the_same_shape(trained):
    recipe, folder = trained
    header = read_header(folder / "export" / f"{recipe.name}-q4_k_m.gguf")
    assert (header.architecture, header.layers, header.quantization) == ("qwen2", 4, "Q4_K_M")
    assert (folder / "export" / "peft" / "adapter_model.safetensors").exists()


def test_it_is_served_and_asked(trained, capsys):
    recipe, _ = trained
    assert ask.main(["What is MLA?", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [a["variant"] for a in answers] == ["plain", "tuned", "tuned_rag"] and not any(a["error"] for a in answers)
    plain, tuned, rag = (a["model"] for a in answers)
    assert plain["file"] == "q4_k_m.gguf" and tuned["file"] == rag["file"] == f"{recipe.name}-q4_k_m.gguf"
    assert plain["quantization"] == tuned["quantization"] == "Q4_K_M" and not tuned["adapter"]
    assert len(answers[2]["passages"]) == 3


def test_it_is_evaluated(trained, capsys):
    from eval import arc
    from eval import run as evaluation

    recipe, folder = trained
    assert evaluation.main(["--part", "dev", "--limit", "2", "--name", recipe.name, "--out", str(folder / "answers"),
                            "--results", str(folder / "results")]) == 0
    found = json.loads((folder / "results" / recipe.name / "run.json").read_text())
    assert found["models"]["tuned"]["file"] == f"{recipe.name}-q4_k_m.gguf"
    assert arc.main(["--split", "test", "--set", "easy", "--data", str(folder / "arc")]) == 0
    assert "| tuned | Easy | 4 |" in capsys.readouterr().out
