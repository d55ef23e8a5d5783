"""Rounding with made-up errors: the output changes less, and llama.cpp stores what was chosen."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, dequantize

from tests.train import tiny
from train import importance, llama, rounding


def plain_q5(weights):
    """llama.cpp's own rounding to q5_0, number by number."""
    blocks = weights.reshape(len(weights), -1, 32)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[..., None], 2)
    scale = (peak / -16).astype(np.float16).astype(np.float64)
    return (np.clip(np.rint(blocks / scale), -16, 15) * scale).reshape(weights.shape)


def test_the_output_changes_less_on_inputs_of_the_same_kind():
    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(24, 96))  # inputs lie near a plane of 24 dimensions, as a layer's do
    inputs, others = (rng.normal(size=(rows, 24)) @ mixing + 0.1 * rng.normal(size=(rows, 96)) for rows in (900, 300))
    weights = rng.normal(size=(40, 96)).astype(np.float32)
    chosen = rounding.on_grid(weights, inputs.T @ inputs / len(inputs))

    def cost(rounded):
        return float(np.square(others @ (rounded - weights).T).mean())

    assert cost(chosen) < 0.5 * cost(plain_q5(weights))
    np.testing.assert_allclose(plain_q5(chosen), chosen, atol=1e-6)  # it lies on the grid


def test_blocks_of_zeros_stay_zeros():
    weights = np.zeros((2, 64), np.float32)
    weights[1, 40] = 3.0
    chosen = rounding.on_grid(weights, np.eye(64, dtype=np.float32))
    assert chosen[1, 40] == 3.0 and np.count_nonzero(chosen) == 1


@pytest.mark.model
def test_llama_stores_what_was_chosen(tmp_path, small_gguf):
    weights = tiny.llama(tmp_path / "weights", small_gguf, spread=0.1)
    base = tiny.gguf(weights, small_gguf, tmp_path / "f16.gguf")
    fallen = rounding.fallen_back(llama.quantize(base, tmp_path / "probe.gguf", 1))
    assert {"blk.0.attn_q.weight", "blk.1.ffn_up.weight"} <= set(fallen)
    moments = importance.measure(weights, base, tiny.rows(6), fallen)
    adjusted = rounding.adjust(base, {name: moments[name] for name in fallen}, tmp_path / "adjusted.gguf")
    final = llama.quantize(adjusted, tmp_path / "final.gguf", 1)
    before, after, exact = ({t.name: t for t in GGUFReader(path).tensors} for path in (adjusted, final, base))
    for name in fallen:
        assert after[name].tensor_type == GGMLQuantizationType.Q5_0
        chosen = np.array(before[name].data, np.float32)
        stored = dequantize(after[name].data, after[name].tensor_type).reshape(chosen.shape)
        np.testing.assert_allclose(stored, chosen, rtol=1e-3)
        assert np.abs(chosen - exact[name].data).max() > 0
    kept = "blk.0.attn_norm.weight"
    assert np.array_equal(before[kept].data, exact[kept].data)
