"""The proof of parity: on tiny models of both architectures, on one that must fail, and on the shipped adapter."""

import json
from dataclasses import replace

import pytest

from space import prompts
from space.errors import UserError
from space.references import sha256_of
from tests.train import tiny
from train import export, importance, llama, merge, parity
from train.parity import Agreement, Split, agreement, troubles

pytestmark = pytest.mark.timeout(900)  # the tiny models take seconds, on a machine that has nothing else to do
GOOD = Agreement(first=1.0, whole=0.4, tokens=0.7)


def test_agreement_counts_first_tokens_whole_answers_and_shares():
    answers, reference = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [1]], [[1, 2, 3], [5, 5], [6, 7, 1, 1], [1, 2]]
    assert agreement(answers, reference) == Agreement(first=0.75, whole=0.25, tokens=round((1 + 0 + 0.5 + 0.5) / 4, 3))


def test_every_bound_has_its_sentence():
    near, far = Split(3, 7, " the", " a", 0.04), Split(5, 0, " no", " yes", 0.06)
    assert troubles([near, near], GOOD, 40, 40) == []
    assert troubles([near], GOOD, 19, 19) == ["1 of 19 answers part; at most 0 may"]
    assert troubles([near] * 3, GOOD, 40, 40) == ["3 of 40 answers part; at most 2 may"]
    assert troubles([far], GOOD, 40, 40) == ["prompt 5: ' no' instead of ' yes', 0.06 apart"]
    assert troubles([], Agreement(0.875, 0.4, 0.7), 40, 40) == [
        "q4_k_m begins like float16 in 88% of the answers; 90% are wanted"]
    assert troubles([], GOOD, 40, 39) == ["1 prompts are tokenised otherwise by llama.cpp"]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def source(request, tmp_path_factory, small_gguf):
    folder = tmp_path_factory.mktemp(request.param)
    make = tiny.llama if request.param == "llama" else tiny.qwen
    weights = make(folder / "weights", small_gguf, spread=0.1)
    base = tiny.gguf(weights, small_gguf, folder / "base.gguf")
    adapter = tiny.adapter(weights, base, folder / "adapter.gguf")
    return export.Source("tiny", "Tiny", adapter, base, weights, original=True, calibration=lambda: tiny.rows(6))


def asked(count=12):
    return [prompts.build(f"How many experts are in layer {n}{'?' * n} 1.\n\n2. <|im_end|>") for n in range(count)]


@pytest.mark.model
def test_what_is_exported_answers_like_what_was_merged(source, tmp_path):
    said = []
    record = parity.prove(source, asked(8), 16, tmp_path, 2)
    assert record["same_prompt_tokens"] == 8 and record["answer_tokens"] >= 8
    # random weights: two logits are as good as equal more often than in a trained model
    assert len(record["splits"]) <= 1 and all(split["margin"] <= parity.MARGIN for split in record["splits"])
    assert {path.name for path in tmp_path.iterdir()} >= {"merged", "tiny-f16.gguf", "tiny-q4_k_m.gguf"}
    before = sha256_of(tmp_path / "tiny-q4_k_m.gguf")
    assert before == record["q4_k_m_sha256"] != record["f16_sha256"]
    assert record["importance"] == importance.identity(tiny.rows(6))
    export.make(source, "q4_k_m", tmp_path, said.append)
    assert said == []  # it is there, from this adapter and these rows
    assert export.make(replace(source, calibration=lambda: tiny.rows(4)), "q4_k_m", tmp_path, said.append) and said
    assert (tmp_path / "tiny-q4_k_m.gguf").stat().st_size < 0.75 * (tmp_path / "tiny-f16.gguf").stat().st_size


@pytest.mark.model
def test_the_base_in_place_of_the_tuned_model_is_found_out(source, tmp_path):
    """The commonest fault of published exports: the file does not hold what was trained."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from train.base import tokenize_with

    forgotten = merge.merge_gguf(source.base, None, tmp_path / "base.gguf", source.weights)
    merged = export.make(source, "merged", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    ids = [prompts.encode(pieces, tokenize_with(tokenizer)) for pieces in asked(4)]
    answers = llama.greedy(forgotten, ids, 12, 2)
    splits = parity.find_splits(AutoModelForCausalLM.from_pretrained(merged).float().eval(), tokenizer, ids, answers)
    assert troubles(splits, GOOD, 4, 4)


def test_what_is_not_there_is_a_sentence(tmp_path, capsys):
    with pytest.raises(UserError, match="no trained adapter nothing .*smollm2-135m"):
        export.load_source("nothing")
    assert parity.main(["nothing", "--runs", str(tmp_path)]) == 2 and "There is no trained" in capsys.readouterr().err
    assert export.main(["nothing"]) == 2 and not list(tmp_path.iterdir())
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model_card.json").write_text('{"adapter_sha256": "0"}')
    (tmp_path / "torn" / "adapter.gguf").write_bytes(b"other")
    with pytest.raises(UserError, match="not the file that its model_card.json describes"):
        export.load_source("torn", tmp_path)


@pytest.mark.model
@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_the_shipped_adapter_keeps_every_bound(tmp_path):
    """The whole of `python -m train.parity`, whose record lies in assets/runs."""
    assert parity.main(["smollm2-135m", "--max-tokens", "100", "--runs", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "smollm2-135m" / "parity.json").read_text())
    assert record["prompts"] == record["same_prompt_tokens"] == 40 and not record["troubles"]
