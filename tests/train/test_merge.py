"""Base + adapter in every form, against PEFT's own arithmetic, for both architectures."""

import json

import numpy as np
import pytest

from space.errors import UserError
from tests.train import tiny
from train import adapters, merge

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def made(request, tmp_path_factory, small_gguf):
    """(Hugging Face folder, its f16 GGUF, PEFT folder, adapter GGUF) of a tiny model."""
    folder = tmp_path_factory.mktemp(request.param)
    make = tiny.llama if request.param == "llama" else tiny.qwen
    weights = make(folder / "weights", small_gguf)
    base = tiny.gguf(weights, small_gguf, folder / "base.gguf")
    adapter = tiny.adapter(weights, base, folder / "adapter.gguf")
    return weights, base, folder / "adapter.peft", adapter


def tensors(folder):
    return {key: load() for key, _, load in merge.folder_tensors(folder)}


def test_the_merged_folder_is_what_peft_merges(made, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    weights, base, peft, adapter = made
    merged = tensors(merge.merge_folder(base, adapter, weights, tmp_path / "merged"))
    whole = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    expected = PeftModel.from_pretrained(whole, peft).merge_and_unload().state_dict()
    assert len(merged) == len(tensors(weights)) > 15
    for key, values in merged.items():
        assert np.allclose(values, expected[key].numpy(), rtol=2e-3, atol=2e-3), key
    changed = [key for key, values in tensors(weights).items() if not np.allclose(values, merged[key], atol=1e-3)]
    assert changed and all("proj" in key for key in changed)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").dtype == torch.float16


def test_folder_and_gguf_hold_the_same_numbers(made, tmp_path):
    from gguf import GGUFReader

    weights, base, _, adapter = made
    folder = tensors(merge.merge_folder(base, adapter, weights, tmp_path / "merged"))
    file = GGUFReader(merge.merge_gguf(base, adapter, tmp_path / "merged.gguf", weights, "A name"))
    shape = adapters.shape_of(file)
    found = {tensor.name: np.asarray(tensor.data) for tensor in file.tensors}
    assert len(found) == len(folder) and file.get_field("general.name").contents() == "A name"
    for key, values in folder.items():
        heads = shape.heads_of(shape.name(key))
        ordered = adapters.interleave_rotary(values, heads) if heads else values
        assert (found[shape.name(key)] == ordered.astype(found[shape.name(key)].dtype)).all(), key


def test_the_base_can_come_from_its_gguf_alone(made, tmp_path):
    """Bfloat16 weights in [-6e4, 6e4] and float32 ones round to float16 once, whichever way they come."""
    weights, base, _, adapter = made
    one = merge.merge_gguf(base, None, tmp_path / "one.gguf", weights)
    two = merge.merge_gguf(base, None, tmp_path / "two.gguf")
    assert one.read_bytes() == two.read_bytes()


def test_the_adapter_comes_back_as_peft(made, tmp_path):
    from safetensors.numpy import load_file

    weights, base, peft, adapter = made
    pairs, scale = adapters.read_gguf_adapter(adapter)
    adapters.write_peft(base, pairs, scale, merge.linear_modules(weights), tmp_path / "back", "OWNER/NAME")
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (peft, tmp_path / "back"))
    assert before.keys() == after.keys()
    assert all((before[key].astype(np.float16) == after[key]).all() for key in before)
    about = json.loads((tmp_path / "back" / "adapter_config.json").read_text())
    assert about["r"] == 4 and about["lora_alpha"] == 8 and about["base_model_name_or_path"] == "OWNER/NAME"
    assert "q_proj" in about["target_modules"] and "down_proj" in about["target_modules"]


def test_an_adapter_of_another_model_is_refused(made, tmp_path, small_gguf):
    weights, base, _, _ = made
    other = tiny.llama(tmp_path / "other", small_gguf, layers=2, width=32)
    stranger = tiny.adapter(other, tiny.gguf(other, small_gguf, tmp_path / "other.gguf"), tmp_path / "a.gguf")
    with pytest.raises(UserError, match="does not fit the base"):
        merge.merge_gguf(base, stranger, tmp_path / "x.gguf", weights)
    with pytest.raises(UserError, match="not those of the base"):
        merge.merge_gguf(base, None, tmp_path / "x.gguf", tiny.llama(tmp_path / "wide", small_gguf, width=32))
    with pytest.raises(UserError, match="not a LoRA adapter"):
        adapters.read_gguf_adapter(base)
    assert not (tmp_path / "x.gguf").exists()
