"""The importance matrix: what it measures, that llama.cpp rounds by it, and which rows it reads."""

import numpy as np
import pytest

from space import prompts, questions
from tests.train import tiny
from train import importance, llama


@pytest.fixture(scope="module")
def model(tmp_path_factory, small_gguf):
    """(Hugging Face folder, float16 GGUF) of a tiny Llama."""
    folder = tmp_path_factory.mktemp("importance")
    weights = tiny.llama(folder / "weights", small_gguf, spread=0.1)
    return weights, tiny.gguf(weights, small_gguf, folder / "f16.gguf")


def tensor(path, name):
    from gguf import GGUFReader, dequantize

    found = next(t for t in GGUFReader(path).tensors if t.name == name)
    return dequantize(found.data, found.tensor_type).reshape(tuple(reversed(found.shape)))


@pytest.mark.model
def test_it_is_the_mean_square_of_what_reaches_each_column(model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from train.tune import encode_rows

    weights, base = model
    rows = tiny.rows(4)
    found = importance.measure(weights, base, rows)
    assert sorted(found) == sorted(f"blk.{n}.{part}.weight" for n in (0, 1) for part in
                                   ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"))
    assert found["blk.1.ffn_down.weight"].shape == (128,) and found["blk.0.attn_q.weight"].dtype == np.float32
    inner = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32).model
    ids = [i for row in encode_rows(rows, AutoTokenizer.from_pretrained(weights), 512) for i in row["input_ids"]]
    with torch.inference_mode():  # the first layer's input knows nothing of places: one row of all tokens will do
        reached = inner.layers[0].input_layernorm(inner.embed_tokens(torch.tensor(ids)))
    expected = reached.square().mean(0).numpy()
    for part in ("attn_q", "attn_k", "attn_v"):
        np.testing.assert_allclose(found[f"blk.0.{part}.weight"], expected, rtol=1e-4)
    products = importance.measure(weights, base, rows, ["blk.0.attn_q.weight"])["blk.0.attn_q.weight"]
    np.testing.assert_allclose(products, (reached.T @ reached / len(ids)).numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.model
@pytest.mark.parametrize("name", ["blk.0.attn_q.weight", "blk.1.ffn_up.weight"])
def test_llama_rounds_the_columns_that_matter_with_more_care(model, tmp_path, name):
    _, base = model
    exact = tensor(base, name)
    matters = np.where(np.arange(exact.shape[1]) % 8 == 0, 100.0, 1.0).astype(np.float32)
    alike = llama.quantize(base, tmp_path / "alike.gguf", 1)
    cared = llama.quantize(base, tmp_path / "cared.gguf", 1, {name: matters})

    def cost(path):
        return float((matters * (tensor(path, name) - exact) ** 2).mean())

    assert cost(cared) < 0.9 * cost(alike)
    other = "blk.0.attn_k.weight"  # of which nothing was said
    assert np.array_equal(tensor(cared, other), tensor(alike, other))


@pytest.mark.model
def test_it_reads_training_questions_alone_every_other_one_with_what_was_found():
    rows = importance.train_rows(12)
    split = {e.id: e.split for e in questions.load_examples()}
    assert len({row.example_id for row in rows}) == 12 and {split[row.example_id] for row in rows} == {"train"}
    assert [prompts.READ in prompts.text(row.prompt) for row in rows] == [False, True] * 6
    assert importance.identity(rows) == importance.identity(importance.train_rows(12))
    assert importance.identity(rows)["sha256"] != importance.identity(rows[::-1])["sha256"]
