"""What a recipe asks of a machine; the rows as tokens by one or several processes."""

from dataclasses import replace

import pytest

from space.errors import UserError
from space.settings import ROOT
from train import device
from train.config import Recipe, load_recipe
from train.device import Plan, choose

RECIPE = Recipe(name="t", base="embedded", optimizer="adamw_torch")


@pytest.fixture
def bitsandbytes(monkeypatch):
    monkeypatch.setattr(device, "_installed", lambda package: True)


@pytest.mark.parametrize(
    "on_gpu, bf16, expected",
    [
        (True, True, Plan(True, True, "bf16")),
        (True, False, Plan(True, True, "fp16")),
        (False, True, Plan(False, False, "bf16")),
        (False, False, Plan(False, False, "fp32")),
    ],
)
def test_left_alone_it_takes_what_the_hardware_has(bitsandbytes, on_gpu, bf16, expected):
    assert choose(RECIPE, on_gpu, bf16) == expected


def test_the_recipe_has_its_way(bitsandbytes):
    assert choose(replace(RECIPE, precision="fp32", load_in_4bit=False), True, True) == Plan(True, False, "fp32")
    assert choose(replace(RECIPE, precision="fp16", device="gpu"), True, True).precision == "fp16"
    with pytest.raises(UserError, match="bf16 natively.*auto"):
        choose(replace(RECIPE, precision="bf16"), False, False)


def test_a_gpu_recipe_is_refused_where_there_is_none():
    recipe = load_recipe(ROOT / "train" / "recipes" / "qwen2.5-3b-qlora.toml")
    with pytest.raises(UserError, match="qwen2.5-3b-qlora needs a CUDA GPU"):
        choose(recipe, on_gpu=False, bf16=True)


def test_a_gpu_without_bitsandbytes_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(device, "_installed", lambda package: False)
    for recipe in (RECIPE, replace(RECIPE, load_in_4bit=False, optimizer="adamw_8bit")):
        with pytest.raises(UserError, match="bitsandbytes.*requirements-gpu.txt"):
            choose(recipe, True, True)
    assert not choose(replace(RECIPE, load_in_4bit=False), True, True).load_in_4bit
    assert choose(replace(RECIPE, optimizer="adamw_8bit"), False, False).precision == "fp32"  # a CPU uses neither


def test_the_command_refuses_before_anything_is_fetched(monkeypatch, capsys):
    import torch

    from train import run

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(run.references, "resolve", lambda reference: pytest.fail("fetched"))
    assert run.main([str(ROOT / "train" / "recipes" / "qwen2.5-3b-qlora.toml")]) == 2
    assert "needs a CUDA GPU" in capsys.readouterr().err


@pytest.mark.model
@pytest.mark.heavy
def test_several_processes_give_the_same_tokens(base_gguf):
    from space import prompts
    from train.base import load_tokenizer
    from train.rows import Row
    from train.tune import encode_rows

    tokenizer = load_tokenizer(base_gguf)
    rows = [Row(f"r{n}", prompts.build(f"What is {n}<|im_end|>?"), f"It is {n}.") for n in range(7)]
    alone = encode_rows(rows, tokenizer, 512)
    assert encode_rows(rows, tokenizer, 512, num_proc=2) == alone
    assert len(alone) == 7 and alone[0] != alone[1]
    with pytest.raises(UserError, match="row of r0 has .* max_length = 8"):
        encode_rows(rows, tokenizer, 8, num_proc=2)


@pytest.mark.model
@pytest.mark.heavy
def test_unsloths_template_gives_our_text_to_the_letter(base_gguf):
    pytest.importorskip("unsloth")
    from space import prompts
    from train.base import load_tokenizer
    from train.rows import Row
    from train.tune import check_template

    rows = [Row(f"r{n}", prompts.build(f"What is {n}?"), f"It is {n}.") for n in range(3)]
    tokenizer = check_template(rows, load_tokenizer(base_gguf), "qwen-2.5")
    assert "Qwen" in tokenizer.chat_template and tokenizer.eos_token == prompts.END
    other = replace(rows[1], prompt=rows[1].prompt[1:])  # without the system turn
    with pytest.raises(UserError, match="other text .* row of r1"):
        check_template([rows[0], other], tokenizer, "qwen-2.5")
