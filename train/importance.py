"""How much each column of a matrix matters: llama.cpp's importance matrix, measured on training questions.

`python -m train.export NAME --q4_k_m` uses it. The measure is the mean of the squared inputs that reach a column,
as in llama.cpp's own tool (tools/imatrix); a quantiser that knows it rounds the columns with large inputs with
more care. Rows are of the training part alone, so that dev and held-out questions stay unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from space import prompts
from train.rows import Row

ROWS = 64
METHOD = "importance matrix; what falls back to q5_0 by GPTQ"
"""Stands in the record, and with it in what an exported file was made from: change it with the way of rounding."""


def train_rows(count: int = ROWS) -> list[Row]:
    """`count` training questions, spread over all documents, with their answers: as the app asks them, every other
    one behind what was found for it."""
    from space import parts, questions
    from space.settings import load_settings

    examples = questions.load_examples(part="train")
    finder, passages = parts.load_retriever(), load_settings().passages
    chosen = [examples[n * len(examples) // count] for n in range(count)]
    return [Row(e.id, prompts.build(e.question, finder.search(e.question, passages) if n % 2 else ()), e.reference)
            for n, e in enumerate(chosen)]


def measure(folder: Path, base: Path, rows: Sequence[Row], whole: Collection[str] = ()) -> dict[str, Any]:
    """For each linear layer of the Hugging Face folder the mean squared input of its columns, float32, under the
    tensor's name in the GGUF `base`; for the tensors of `whole` the mean products of all pairs of columns. The output
    layer is left out, as llama.cpp's tool leaves it out."""
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from train.adapters import shape_of
    from train.tune import encode_rows

    shape, on_gpu = shape_of(GGUFReader(base)), torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if on_gpu else torch.float32).eval()
    model.to("cuda" if on_gpu else "cpu")
    encoded = encode_rows(rows, AutoTokenizer.from_pretrained(folder), model.config.max_position_embeddings)
    sums: dict[str, Any] = {}

    def adder(name: str) -> Callable[..., None]:
        def add(_module: Any, args: tuple[Any, ...], _output: Any) -> None:
            inputs = args[0][0].float()
            found = inputs.T @ inputs if name in whole else inputs.double().square().sum(0)
            sums[name] = sums.get(name, 0) + found.double().cpu()

        return add

    for key, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and (name := shape.name(f"{key}.weight")).startswith("blk."):
            module.register_forward_hook(adder(name))
    with torch.inference_mode():
        for row in encoded:
            model(torch.tensor([row["input_ids"]], device=model.device), logits_to_keep=1)
    tokens = sum(len(row["input_ids"]) for row in encoded)
    return {name: (values / tokens).float().numpy() for name, values in sums.items()}


def identity(rows: Sequence[Row]) -> dict[str, Any]:
    """What the record says of the rounding: how, by how many rows, and a hash of their words."""
    text = "\n".join(f"{row.example_id} {prompts.text(row.prompt)}{row.answer}" for row in rows)
    return {"method": METHOD, "rows": len(rows), "part": "train", "sha256": hashlib.sha256(text.encode()).hexdigest()}
