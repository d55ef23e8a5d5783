"""The adapter as GGUF, against PEFT's own arithmetic."""

import json

import numpy as np
import pytest

from space.errors import UserError
from train.adapters import interleave_rotary, read_adapter, write_adapter


class Field:
    def __init__(self, value):
        self.value = value

    def contents(self):
        return self.value


class Reader:
    """What read_adapter needs of a GGUFReader."""

    def __init__(self, **values):
        self.values = values

    def get_field(self, key):
        return Field(self.values[key])


LLAMA = Reader(
    **{
        "general.architecture": "llama",
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 1,
        "llama.block_count": 1,
    }
)
Q = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def save(folder, tensors, **config):
    from safetensors.numpy import save_file

    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, **config}))


def test_rotary_rows_are_paired():
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    assert interleave_rotary(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_names_scale_and_row_order(tmp_path):
    a, b = np.ones((4, 8), np.float32), np.arange(32, dtype=np.float32).reshape(8, 4)
    save(tmp_path, {Q.format("A"): a, Q.format("B"): b})
    pairs, scale = read_adapter(tmp_path, LLAMA)
    assert scale == 2.0 and list(pairs) == ["blk.0.attn_q.weight"]
    assert (pairs["blk.0.attn_q.weight"]["B"] == interleave_rotary(b, 2)).all()


@pytest.mark.parametrize(
    "tensors, config, part",
    [
        ({Q.format("A"): np.ones((4, 8), np.float32)}, {"use_dora": True}, "plain LoRA"),
        ({"base_model.model.something.lora_A.weight": np.ones((4, 8), np.float32)}, {}, "no place"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, tensors, config, part):
    save(tmp_path, tensors, **config)
    with pytest.raises(UserError, match=part):
        read_adapter(tmp_path, LLAMA)


@pytest.mark.model
def test_the_written_adapter_loads_and_changes_the_answer(tmp_path, base_gguf):
    """A random adapter, written by us, is accepted by llama.cpp and does something."""
    from gguf import GGUFReader

    from space.lane import Lane
    from space.sampler import Sampler
    from space.schema import Sampling
    from space.weights import Weights

    rng = np.random.default_rng(0)
    tensors = {}
    for part in ("q_proj", "v_proj"):
        width = {"q_proj": 576, "v_proj": 192}[part]
        for layer in range(30):
            key = f"base_model.model.model.layers.{layer}.self_attn.{part}.lora_"
            tensors[f"{key}A.weight"] = rng.normal(0, 0.2, (4, 576)).astype(np.float32)
            tensors[f"{key}B.weight"] = rng.normal(0, 0.2, (width, 4)).astype(np.float32)
    save(tmp_path, tensors)
    out = write_adapter(base_gguf, tmp_path, tmp_path / "adapter.gguf")
    assert len(GGUFReader(out).tensors) == 120
    weights = Weights(base_gguf)
    prompt = weights.tokenize("The capital of France is", False)
    said = []
    for adapter in (None, out):
        lane, sampler = Lane(weights, 256, 2, adapter), Sampler(Sampling())
        lane.read(0, prompt)
        tokens = []
        for _ in range(12):
            tokens.append(lane.sample(0, sampler))
            lane.write({0: tokens[-1]})
        sampler.close()
        said.append(tokens)
    assert said[0] != said[1]
