"""Proof that what was trained is what is served: the same tokens from transformers and from llama.cpp.

    python -m train.parity NAME [--prompts 40] [--max-tokens 48] [--adapters DIR] [--runs DIR]

Dev prompts (every other one with its passages) must be the same tokens in both. The exported float16 GGUF
answers them greedily; then the merged model reads the same tokens in transformers, which shows at each place
whether it would have chosen the same one. They may part at most twice in forty, and only where the two best
logits lie within 0.05 of each other: there, the order of additions decides. The q4_k_m file is held to the
first token of nine answers in ten; its full agreement, and that of the adapter on the 4-bit base that the
app serves, are reported. Writes assets/runs/<name>/parity.json; ends with 1 where a bound is not kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from space import prompts, references, sums
from space.errors import UserError
from space.lane import Weights
from space.settings import ASSETS, ROOT, load_settings
from train import export, runs
from train.files import write_json

MARGIN = 0.05
"""Logits closer than this may change places with the order of additions."""
SPLITS = 2 / 40
FIRST = 0.9


@dataclass(frozen=True)
class Split:
    """Where an answer parts from the one that transformers would give: the tokens of both, and by how much
    transformers prefers its own."""

    prompt: int
    token: int
    llama: str
    transformers: str
    margin: float


@dataclass(frozen=True)
class Agreement:
    """How a file's answers agree with those of the float16 GGUF. `first` and `whole` are shares of the
    answers; `tokens` is the mean share of an answer before it parts."""

    first: float
    whole: float
    tokens: float


def agreement(answers: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> Agreement:
    """Compare answers one by one."""
    count = len(reference)
    shares = [_common(a, b) / max(len(a), len(b)) for a, b in zip(answers, reference, strict=True)]
    return Agreement(
        first=sum(a[:1] == b[:1] for a, b in zip(answers, reference, strict=True)) / count,
        whole=sum(list(a) == list(b) for a, b in zip(answers, reference, strict=True)) / count,
        tokens=round(sum(shares) / count, 3))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def find_splits(model: Any, tokenizer: Any, asked: Sequence[Sequence[int]],
                answers: Sequence[Sequence[int]]) -> list[Split]:
    """The first place in each answer where the model in transformers, having read the same tokens so far,
    has another one as its likeliest. No split means: its own greedy answer is this very one."""
    import torch

    splits = []
    for number, (prompt, answer) in enumerate(zip(asked, answers, strict=True)):
        ids = torch.tensor([[*prompt, *answer]])
        with torch.inference_mode():
            logits = model(ids).logits[0, len(prompt) - 1:-1].float()
        best = logits.argmax(-1)
        apart = (best != torch.tensor(list(answer))).nonzero()
        if len(apart):
            at = int(apart[0])
            mine, theirs = int(best[at]), answer[at]
            splits.append(Split(number, at, tokenizer.decode([theirs]), tokenizer.decode([mine]),
                                round(float(logits[at, mine] - logits[at, theirs]), 4)))
    return splits


def troubles(splits: Sequence[Split], quantized: Agreement, count: int, same_tokens: int) -> list[str]:
    """The bounds that are not kept, as sentences; `same_tokens` of `count` prompts are the same tokens in both."""
    wide = [s for s in splits if s.margin > MARGIN]
    found = [f"{count - same_tokens} prompts are tokenised otherwise by llama.cpp"] if same_tokens < count else []
    found += [f"prompt {s.prompt}: {s.llama!r} instead of {s.transformers!r}, {s.margin} apart" for s in wide]
    if len(splits) > SPLITS * count:
        found.append(f"{len(splits)} of {count} answers part; at most {int(SPLITS * count)} may")
    if quantized.first < FIRST:
        found.append(f"q4_k_m begins like float16 in {quantized.first:.0%} of the answers; {FIRST:.0%} are wanted")
    return found


def prove(source: export.Source, pieces: Sequence[Sequence[prompts.Piece]], max_tokens: int, out: Path,
          threads: int, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Export under `out`, ask all files the same prompts, and return the record; `say` hears what is done next."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from train import llama
    from train.base import tokenize_with

    started = time.monotonic()
    say("exporting")
    made = {form: export.make(source, form, out) for form in ("merged", "f16", "q4_k_m")}
    tokenizer = AutoTokenizer.from_pretrained(made["merged"])
    tokenize = tokenize_with(tokenizer)
    asked = [prompts.encode(p, tokenize) for p in pieces]
    weights = Weights(made["f16"])
    same_tokens = sum(prompts.encode(p, weights.tokenize) == ids for p, ids in zip(pieces, asked, strict=True))
    if not weights.is_end(tokenizer.eos_token_id):
        raise UserError("The exported GGUF has another end token than the merged folder.", "Export it again.")
    say("asking the float16 GGUF, the q4_k_m one, and the adapter on the 4-bit base")
    files: list[tuple[Path, Path | None]] = [(made["f16"], None), (made["q4_k_m"], None), (source.base, source.adapter)]
    with ProcessPoolExecutor(len(files), get_context("spawn")) as pool:  # a thread for each beats many for one
        each = max(threads // len(files), 1)
        exact, *others = [work.result() for work in [pool.submit(llama.greedy, file, asked, max_tokens, each, adapter)
                                                     for file, adapter in files]]
    small, served = (agreement(answers, exact) for answers in others)
    say("reading the same answers in transformers")
    model = AutoModelForCausalLM.from_pretrained(made["merged"], dtype=torch.float32).eval()
    splits = find_splits(model, tokenizer, asked, exact)
    return {
        "schema": 1, "name": source.name, "prompts": len(asked), "same_prompt_tokens": same_tokens,
        "max_tokens": max_tokens, "answer_tokens": sum(map(len, exact)), "same_answers": len(asked) - len(splits),
        "splits": [asdict(s) for s in splits], "margin": MARGIN, "q4_k_m": asdict(small),
        "adapter_on_4_bit_base": asdict(served), "troubles": troubles(splits, small, len(asked), same_tokens),
        "importance": json.loads(export.note_of(made["q4_k_m"]).read_text()).get("importance"),
        "adapter_sha256": references.sha256_of(source.adapter), "base_sha256": references.sha256_of(source.base),
        "f16_sha256": references.sha256_of(made["f16"]), "q4_k_m_sha256": references.sha256_of(made["q4_k_m"]),
        "f16_mb": round(made["f16"].stat().st_size / 1e6, 1),
        "q4_k_m_mb": round(made["q4_k_m"].stat().st_size / 1e6, 1),
        "packages": _packages(), "seconds": round(time.monotonic() - started)}


def _packages() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "llama-cpp-python", "gguf")}


def dev_prompts(count: int) -> list[tuple[prompts.Piece, ...]]:
    """The first dev questions as the app asks them, every other one with what was found for it."""
    from space import parts, questions

    asked = [e for e in questions.load_examples() if e.split == "dev"][:count]
    finder, passages = parts.load_retriever(), load_settings().passages
    return [prompts.build(e.question, finder.search(e.question, passages) if n % 2 else ())
            for n, e in enumerate(asked)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--adapters", type=Path, default=ASSETS / "adapters")
    parser.add_argument("--runs", type=Path, default=ASSETS / "runs")
    options = parser.parse_args(argv)
    try:
        source = export.load_source(options.name, options.adapters)
        record = prove(source, dev_prompts(options.prompts), options.max_tokens,
                       ROOT / "work" / "export" / options.name, load_settings().thread_count,
                       lambda line: print(line, file=sys.stderr, flush=True))
        folder = options.runs / options.name
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "parity.json", record)
        if (folder / sums.NAME).exists():
            runs.seal(folder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{record['same_answers']} of {record['prompts']} answers are the same in transformers and the float16 GGUF")
    for title, key in (("q4_k_m", "q4_k_m"), ("adapter on the 4-bit base", "adapter_on_4_bit_base")):
        of = record[key]
        print(f"{title}: first token the same in {of['first']:.0%}, whole answer in {of['whole']:.0%}")
    print("\n".join(f"NOT KEPT: {line}" for line in record["troubles"]) or "All bounds are kept.")
    return 1 if record["troubles"] else 0


if __name__ == "__main__":
    sys.exit(main())
