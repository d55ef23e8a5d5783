"""The transformers engine on a small random model: batches, adapters, what ZeroGPU demands."""

import json
import sys
import textwrap
import threading
from dataclasses import replace

import pytest

from space import models, prompts, references, zero_gpu
from space.engine import Request
from space.errors import UserError
from space.lora_gguf import part_rotary, read_lora
from space.schema import VARIANTS, AnswerDone, AnswerFailed, Passage, PromptReading, Sampling, TextDelta
from space.zero_gpu import TransformersEngine

pytestmark = pytest.mark.model
QWEN = models.PROFILES["qwen2.5-3b"]
PASSAGE = Passage("lora#1", "LoRA trains two small matrices beside each frozen one.", "lora", "LoRA", "What it is")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def small_model(kind, vocabulary):
    """A model of two layers with random weights, large enough that the most likely token is never a near tie."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(5)
    config, build = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}[kind]
    shape = config(vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                   num_attention_heads=4, num_key_value_heads=2, initializer_range=0.5, tie_word_embeddings=False)
    return build(shape).float().eval()


def random_adapter(model, folder):
    """A PEFT adapter whose effect is large, saved by PEFT itself."""
    import torch
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM"))
    torch.manual_seed(6)
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, 0, 0.4)
    adapted.save_pretrained(folder)
    return adapted


def shape_gguf(kind, path):
    """A GGUF without weights that says how such a model is built."""
    from gguf import GGUFWriter

    writer = GGUFWriter(str(path), kind)
    for add, value in ((writer.add_block_count, 2), (writer.add_head_count, 4), (writer.add_head_count_kv, 2)):
        add(value)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.close):
        step()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, base_gguf):
    """(base folder, GGUF adapter, base model, adapted model) of architecture qwen2."""
    from train import adapters, base

    folder = tmp_path_factory.mktemp("small")
    tokenizer = base.load_tokenizer(base_gguf)
    model = small_model("qwen2", len(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    adapted = random_adapter(small_model("qwen2", len(tokenizer)), folder / "peft")
    adapter = adapters.write_adapter(shape_gguf("qwen2", folder / "base.gguf"), folder / "peft",
                                     folder / "adapter.gguf")
    return folder / "base", adapter, model, adapted


@pytest.fixture
def profile(made):
    return replace(QWEN, base_hf=f"file:{made[0]}", adapter=f"file:{made[1]}")


@pytest.fixture
def engine(profile):
    return TransformersEngine(profile, context_tokens=400)


def request(key, passages=(), **changes):
    variant = VARIANTS[key]
    return Request(**{"variant": variant, "prompt": prompts.build("What is LoRA?", passages),
                      "sampling": Sampling(max_tokens=12)} | changes)


ALL = [request("plain"), request("tuned"), request("tuned_rag", [PASSAGE])]


def folded(events):
    """(texts, ends) by variant."""
    texts, ends = {}, {}
    for event in events:
        if isinstance(event, TextDelta):
            texts[event.variant] = texts.get(event.variant, "") + event.text
        elif isinstance(event, AnswerDone | AnswerFailed):
            assert event.variant not in ends
            ends[event.variant] = event
    return texts, ends


def alone(model, request, folder):
    """The same answer by transformers' own generate, one prompt at a time and without padding."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = prompts.encode(request.prompt, lambda text, special: tokenizer(
        text, add_special_tokens=False, split_special_tokens=not special)["input_ids"])
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
    with torch.no_grad():
        out = model.generate(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                             do_sample=False, max_new_tokens=request.sampling.max_tokens, eos_token_id=ends,
                             pad_token_id=0)
    return tokenizer.decode(out[0, len(ids):], skip_special_tokens=True)


def test_one_batch_answers_as_each_prompt_alone(engine, made):
    folder, _, model, adapted = made
    events = list(engine.stream(ALL))
    texts, ends = folded(events)
    assert {e.variant: e.prompt_tokens for e in events if isinstance(e, PromptReading)} == {
        key: done.prompt_tokens for key, done in ends.items()}
    assert texts["plain"] == alone(model, ALL[0], folder)
    assert texts["tuned"] == alone(adapted, ALL[1], folder)
    assert texts["tuned_rag"] == alone(adapted, ALL[2], folder)
    assert len(set(texts.values())) == 3  # the adapter and the passages change the answers
    assert all(d.finish in ("end", "length") and d.answer_tokens <= 12 for d in ends.values())


def test_the_columns_say_what_answered(engine, made):
    _, ends = folded(engine.stream(ALL))
    plain, tuned = ends["plain"].identity, ends["tuned_rag"].identity
    assert plain.quantization == tuned.quantization == "f32 on CPU" and "GGUF" not in plain.quantization
    assert (plain.base, plain.architecture, plain.layers, plain.adapter) == ("Qwen2.5-3B-Instruct", "qwen2", 2, "")
    assert plain.sha256 == tuned.sha256 == references.sha256_of(made[0] / "model.safetensors")
    assert tuned.adapter_sha256 == references.sha256_of(made[1])


def test_sampling_is_repeatable_and_not_greedy(engine):
    warm = Sampling(max_tokens=12, temperature=1.5, top_p=0.95, seed=3)
    first, again, greedy = (folded(engine.stream([request("plain", sampling=s)]))[0]["plain"]
                            for s in (warm, warm, Sampling(max_tokens=12)))
    assert first == again != greedy


def test_a_stopped_question_ends_and_the_next_one_is_answered(engine):
    stop = threading.Event()
    events = []
    for event in engine.stream(ALL, stop):
        events.append(event)
        if isinstance(event, TextDelta):
            stop.set()
    assert {d.finish for d in folded(events)[1].values()} == {"stopped"}
    stream = engine.stream(ALL)
    next(stream)
    stream.close()
    late = folded(engine.stream([request("plain", deadline_s=0.0)]))[1]["plain"]
    assert late.finish == "deadline"
    assert folded(engine.stream(ALL))[1].keys() == {"plain", "tuned", "tuned_rag"}


def test_one_answer_is_stopped_alone(engine):
    stop = threading.Event()
    stop.set()
    _, ends = folded(engine.stream([request("plain", stop=stop), request("tuned")]))
    assert ends["plain"].finish == "stopped" and ends["tuned"].finish in ("end", "length")


def test_what_cannot_be_answered_is_a_sentence(profile, made, tmp_path, caplog):
    def said(profile, *requests):
        _, ends = folded(TransformersEngine(profile, 400).stream(requests or ALL))
        assert all(isinstance(e, AnswerFailed) for e in ends.values()), ends
        return {e.message for e in ends.values()}.pop()

    assert "names no weights for transformers" in said(replace(profile, base_hf=""))
    assert "is not there" in said(replace(profile, base_hf=f"file:{tmp_path}/gone"))
    assert "No fine-tuned adapter is set" in said(replace(profile, adapter=""))
    assert "more than the 400" in said(profile, request("plain", sampling=Sampling(max_tokens=399)))
    config = json.loads((made[0] / "tokenizer_config.json").read_text())
    for file in made[0].iterdir():
        (tmp_path / file.name).symlink_to(file)
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": "{{ messages }}"}))
    assert "has no ChatML chat template" in said(replace(profile, base_hf=f"file:{tmp_path}"))
    assert "was made for another base model" in said(replace(profile, adapter=models.PROFILES["embedded"].adapter))


def test_a_bug_is_logged_and_told_without_details(engine, monkeypatch, caplog):
    def broken(rows):
        raise RuntimeError("CUDA out of memory at 0x1")
        yield

    monkeypatch.setattr(engine, "_run", broken)
    _, ends = folded(engine.stream(ALL))
    assert {e.message for e in ends.values()} == {"This answer failed on our side. Please ask again."}
    assert "CUDA out of memory" in caplog.text


FAKE_HOST = '''
import pickle
calls = []

class Error(Exception):
    """As gradio's: a message for the visitor."""
    def __init__(self, message):
        self.message = message

def GPU(task=None, *, duration=60):
    def wrap(function):
        def handler(*args):
            calls.append(duration(*args))
            if len(calls) > 1:
                raise Error("You have exceeded your GPU quota")
            for value in function(*pickle.loads(pickle.dumps(args))):
                yield pickle.loads(pickle.dumps(value))
        return handler
    return wrap(task) if task else wrap
'''


def test_the_host_gets_a_generator_with_a_duration_and_everything_can_be_pickled(profile, tmp_path, monkeypatch):
    (tmp_path / "spaces.py").write_text(textwrap.dedent(FAKE_HOST))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    engine = TransformersEngine(profile, context_tokens=400)
    texts, ends = folded(engine.stream(ALL))
    assert len(texts) == 3 and all(isinstance(e, AnswerDone) for e in ends.values())
    assert sys.modules["spaces"].calls == [zero_gpu.seconds(engine._rows(ALL))] == [7]
    _, ends = folded(engine.stream(ALL))
    assert {e.message for e in ends.values()} == {"No GPU could be had: You have exceeded your GPU quota"}
    monkeypatch.delitem(sys.modules, "spaces")


def test_the_engine_is_chosen_by_the_environment(monkeypatch):
    from space import chat_words, parts

    assert not zero_gpu.switched_on() and not zero_gpu.on_zero_gpu()
    monkeypatch.setenv("ENGINE", "transformers")
    monkeypatch.setenv("BASE_HF", "file:/somewhere")
    engine = parts.load_engine.__wrapped__()
    assert isinstance(engine, TransformersEngine) and engine.loading()
    assert engine._profile.base_hf == "file:/somewhere"
    assert "4-bit" not in chat_words.intro(engine._profile)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_a_gguf_adapter_becomes_the_peft_adapter_that_it_was(kind, tmp_path):
    """Against the converter that training uses, which was written apart from this one."""
    from safetensors.numpy import load_file

    from train import adapters

    random_adapter(small_model(kind, 100), tmp_path / "peft")
    path = adapters.write_adapter(shape_gguf(kind, tmp_path / "base.gguf"), tmp_path / "peft",
                                  tmp_path / "adapter.gguf")
    lora, saved = read_lora(path, 4, 2), load_file(tmp_path / "peft" / "adapter_model.safetensors")
    assert (lora.architecture, lora.rank, lora.alpha, list(lora.modules)) == (kind, 4, 8.0, sorted(TARGETS))
    assert lora.tensors.keys() == saved.keys()
    for name, tensor in saved.items():
        assert abs(lora.tensors[name] - tensor).max() < 2e-3, name  # GGUF holds it in float16


def test_rows_are_parted_as_llama_cpp_paired_them():
    import numpy as np

    rows = np.arange(16.0).reshape(8, 2)
    paired = rows.reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(8, 2)
    assert (part_rotary(paired, 2) == rows).all() and not (paired == rows).all()


def test_a_model_is_no_adapter(tmp_path):
    with pytest.raises(UserError, match="is not a LoRA adapter"):
        read_lora(shape_gguf("qwen2", tmp_path / "model.gguf"), 4, 2)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_the_small_model_would_say_in_transformers_what_it_says_in_llama_cpp(base_gguf):
    """The served files by llama.cpp, their weights by transformers: each token that the one writes is among the
    two best of the other, but for one in ten, as llama.cpp rounds what it multiplies with 4-bit weights."""
    import torch

    from space.engine import LocalEngine
    from space.gpu_model import ADAPTER, BASE
    from space.settings import ROOT
    from train import base

    folder = base.dequantize(base_gguf, ROOT / "work" / f"{base_gguf.stem}-float32")
    profile = replace(models.PROFILES["embedded"], base_hf=f"file:{folder}")
    asked = [replace(r, sampling=Sampling(max_tokens=16), deadline_s=1500) for r in ALL]
    said, _ = folded(LocalEngine(profile, 2048, 2).stream(asked))
    engine = TransformersEngine(profile, 2048)
    engine.warm()
    model = zero_gpu._loaded[0]
    for r in asked:
        prompt = list(model.encode(r.prompt))
        answer = model.tokenizer(said[r.variant.key], add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model.model(input_ids=torch.tensor([prompt + answer]), adapter_names=[
                ADAPTER if r.variant.tuned else BASE]).logits[0, len(prompt) - 1:-1]
        best = logits.topk(2).indices.tolist()
        agree = sum(token in two for token, two in zip(answer, best, strict=True))
        assert agree >= 0.9 * len(answer) and len(answer) >= 5, (r.variant.key, said)
