"""Small GGUF files of the Qwen2 architecture, written by the tests with random weights.

`qwen2_gguf` is a whole model: llama.cpp loads it and streams (meaningless) answers. `qwen2_header`
has the shape of the real Qwen2.5-3B in its header and no more than a few bytes of weights.
"""

import numpy as np
from gguf import GGUFReader, GGUFWriter, LlamaFileType

Q4_K_M = LlamaFileType.MOSTLY_Q4_K_M


def _finish(writer):
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def qwen2_header(path, layers=36, width=2048, file_type=Q4_K_M, architecture="qwen2", kind="model"):
    """A file whose header says what the arguments say; returns its bytes."""
    writer = GGUFWriter(str(path), architecture)
    writer.add_type(kind)
    writer.add_name("Qwen2.5 3B Instruct")
    writer.add_file_type(file_type)
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    _finish(writer)
    return path.read_bytes()


def qwen2_gguf(path, vocabulary, layers=2, width=64, seed=1):
    """A model with the tokenizer and the chat template of the GGUF `vocabulary`; returns its bytes."""
    source = GGUFReader(str(vocabulary))
    tokens = source.fields["tokenizer.ggml.tokens"].contents()
    writer, random = GGUFWriter(str(path), "qwen2"), np.random.default_rng(seed)
    writer.add_type("model")
    writer.add_name("Qwen2.5 tiny")
    writer.add_file_type(Q4_K_M)
    for add, value in ((writer.add_block_count, layers), (writer.add_embedding_length, width),
                       (writer.add_context_length, 4096), (writer.add_feed_forward_length, 2 * width),
                       (writer.add_head_count, 4), (writer.add_head_count_kv, 2),
                       (writer.add_layer_norm_rms_eps, 1e-6), (writer.add_rope_freq_base, 1e6)):
        add(value)
    for key in ("model", "pre"):
        writer.add_string(f"tokenizer.ggml.{key}", source.fields[f"tokenizer.ggml.{key}"].contents())
    writer.add_token_list(tokens)
    writer.add_token_types(source.fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(source.fields["tokenizer.ggml.merges"].contents())
    for key in ("bos", "eos"):
        field = source.fields[f"tokenizer.ggml.{key}_token_id"].contents()
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", field)
    writer.add_chat_template(source.fields["tokenizer.chat_template"].contents())

    def weights(name, *shape):
        writer.add_tensor(name, random.normal(0, 0.05, shape).astype(np.float32))

    half = width // 2
    weights("token_embd.weight", len(tokens), width)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for n in range(layers):
        for name, rows in (("q", width), ("k", half), ("v", half)):
            weights(f"blk.{n}.attn_{name}.weight", rows, width)
            weights(f"blk.{n}.attn_{name}.bias", rows)
        weights(f"blk.{n}.attn_output.weight", width, width)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{name}.weight", np.ones(width, np.float32))
        for name, shape in (("gate", (2 * width, width)), ("up", (2 * width, width)), ("down", (width, 2 * width))):
            weights(f"blk.{n}.ffn_{name}.weight", *shape)
    _finish(writer)
    return path.read_bytes()
