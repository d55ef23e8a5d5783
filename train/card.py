"""The README.md of a published dataset or adapter: YAML front matter for the Hub, then plain words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.questions import KINDS, PARTS
from space.settings import ROOT
from train import card_usage

PRETTY_NAME = "Questions about AI papers, with evidence"
HUB_IDS = {"SmolLM2-135M-Instruct": ("HuggingFaceTB/SmolLM2-135M-Instruct", {"license": "apache-2.0"}),
           "Qwen2.5-3B-Instruct": ("Qwen/Qwen2.5-3B-Instruct", {
               "license": "other", "license_name": "qwen-research",
               "license_link": "https://huggingface.co/Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE"})}
"""Base model label -> its repository on the Hub and the licence that a model made from it inherits."""
BINS = 10


@dataclass(frozen=True)
class DatasetFacts:
    """What the card states. `story` is the Markdown of how the questions were made and split, and of
    their limits; `kinds` and `documents` hold (value, part) of every question."""

    story: str
    questions_sha256: str
    recipe: dict[str, Any]
    counts: dict[str, int]
    kinds: Sequence[tuple[str, str]]
    documents: Sequence[tuple[str, str]]


def license_id(root: Path = ROOT) -> str:
    """The Hub's name of the licence in the LICENSE file; apache-2.0 where there is none."""
    path = root / "LICENSE"
    text = path.read_text(encoding="utf-8") if path.exists() else "Apache License"
    known = {"Apache License": "apache-2.0", "MIT License": "mit", "BSD 3-Clause": "bsd-3-clause"}
    return next((name for words, name in known.items() if words in text[:400]), "other")


def size_category(number: int) -> str:
    """The Hub's name for a number of rows."""
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for bound, name in bounds if number < bound), "n>1M")


def front_matter(values: dict[str, Any]) -> str:
    """YAML between two lines of hyphens."""
    import yaml

    return "---\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True) + "---\n"


def table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    texts = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in texts)


def dataset_card(facts: DatasetFacts) -> str:
    """The dataset's README.md."""
    total, recipe = len(facts.kinds), facts.recipe

    def by_part(pairs: Sequence[tuple[str, str]], order: Sequence[str]) -> str:
        counted = Counter(pairs)
        lines = [[value, *(counted[value, part] for part in PARTS), sum(counted[value, p] for p in PARTS)]
                 for value in order]
        return table(["", *PARTS, "all"], lines)

    chat = table(["chat rows", *PARTS], [["", *(facts.counts[f"chat/{part}.parquet"] for part in PARTS)]])
    return _dataset_head(total) + f"""
# {PRETTY_NAME}

{total} English questions about papers and software of AI research (DeepSeek's models and libraries, LoRA, RAG and
their kin), each with a short reference answer and the sentences it rests on. They were written for a demo that
compares a plain, a fine-tuned and a fine-tuned model with retrieval on the same question.

```python
from datasets import load_dataset

questions = load_dataset("OWNER/NAME")             # train, dev, heldout, paraphrase
chat = load_dataset("OWNER/NAME", "chat")["train"]  # `messages`, and `conversations` in ShareGPT's form
```

## Fields

- `question`, `reference`: what is asked, and the answer to learn or to compare with.
- `evidence_documents`, `evidence_quotes`: the documents and the exact sentences that the reference rests on, in step;
  two for a question that compares, none for an unanswerable one.
- `key_facts`: strings that any right answer contains, up to their spelling.
- `kind`: {", ".join(KINDS)}. `document`: what the question was written for.
- `paraphrase_of`: in the part `paraphrase`, the training question that is asked in other words.

The configuration `chat` holds the same questions as prompts: with the system prompt of the demo, each alone and again
behind retrieved passages (`with_passages`). Its training rows are those that the adapter learns (recipe
`{recipe["name"]}`, seed {recipe["seed"]}: for each question {recipe["rag_rows"]} with up to {recipe["rag_passages"]}
passages); some carry passages without the evidence, and then the reference says that they do not answer.

## Intended use

To train and to judge small models on questions with evidence, and as an example of how such a set is made and split.
Report on `heldout` and choose on `dev`; train on neither. It says nothing about subjects outside its documents.

## How it was made, and its limits

{facts.story.strip() or "No description lies beside the questions file."}

## Counts

{by_part(facts.kinds, KINDS)}

{by_part(facts.documents, sorted({value for value, _ in facts.documents}))}

{chat}

SHA-256 of the questions file: `{facts.questions_sha256}`
"""


def _dataset_head(total: int) -> str:
    configs = [{"config_name": name, **({"default": True} if name == "questions" else {}),
                "data_files": [{"split": part, "path": f"{folder}/{part}.parquet"} for part in PARTS]}
               for name, folder in (("questions", "data"), ("chat", "chat"))]
    return front_matter({
        "pretty_name": PRETTY_NAME, "license": license_id(), "language": ["en"],
        "task_categories": ["question-answering"], "size_categories": [size_category(total)],
        "tags": ["rag", "fine-tuning", "evaluation"], "configs": configs})


def model_card(about: dict[str, Any], files: Sequence[str], repo: str, results: str = "") -> str:
    """The adapter's README.md, from its model_card.json; `results` is Markdown of an evaluation."""
    recipe = about["recipe"]
    base, terms = HUB_IDS.get(about["base"], ("", {"license": license_id()}))
    head = front_matter({
        **terms, "language": ["en"], **({"base_model": base, "base_model_relation": "adapter"} if base else {}),
        "tags": ["lora", "gguf", "llama-cpp", "question-answering"], "pipeline_tag": "text-generation"})
    hyper = table(["hyper-parameter", "value"],
                  [(k, v) for k, v in recipe.items() if k not in ("name", "base", "note")])
    return head + f"""
# {about["name"]}

A LoRA adapter for {f"[{about['base']}](https://huggingface.co/{base})" if base else about["base"]} that answers short
questions about AI papers, alone or from passages put before the question. {recipe.get("note", "")}

Files: {", ".join(f"`{name}`" for name in files)}. The adapter was trained on the weights of `{about["base_file"]}`,
so use it with that file; on another quantisation of the base it works, but its answers are not those measured here.

## Intended use

For looking at what fine-tuning and retrieval change in a small model, on questions about the documents of one corpus,
with the answer's passages at hand. Not for decisions, not as a source, and not for people who cannot check it.

## Run it

{card_usage.usage(about, files, repo, base)}
## Results

{results.strip() or "No evaluation was published with this adapter; the loss below says how well it learned, no more."}

## Training

{_run_facts(about)}

{hyper}

### Loss

{loss_table(about["train_loss"], about["dev_loss"])}

## Limits

A model of this size states wrong facts fluently: use it with passages, and read them. It knows the documents of one
small corpus, answers in English only, and was not made safe for anything beyond this demonstration.
"""


def _run_facts(about: dict[str, Any]) -> str:
    data, kept = about["data"], about["best_epoch"]
    return table(["", ""], [
        ("epoch kept", f"{kept:g}"), ("dev loss after it", f"{dict(about['dev_loss'])[kept]:.3f}" if about["dev_loss"]
                                      else "-"),
        *([("ARC accuracy after it, dev", f"{dict(hits)[kept]:.1%}")] if (hits := about.get("dev_accuracy")) else []),
        ("steps", about["steps"]), ("minutes", about["minutes"]),
        ("trainable parameters", f"{about['trainable_parameters']:,}"), ("precision", about["dtype"]),
        ("hardware", about["hardware"]), ("method", about["method"]),
        ("training rows / dev rows", f"{data['train_rows']} / {data['dev_rows']}"),
        ("SHA-256 of the questions", f"`{data['questions_sha256']}`"),
        ("SHA-256 of the base file", f"`{about['base_sha256']}`"),
        ("SHA-256 of the adapter", f"`{about['adapter_sha256']}`"),
        ("packages", ", ".join(f"{k} {v}" for k, v in about["packages"].items()))])


def loss_table(train: Sequence[Sequence[float]], dev: Sequence[Sequence[float]]) -> str:
    """The curve in BINS lines (mean training loss of the steps), and the dev loss of each epoch."""
    width = max(-(-len(train) // BINS), 1)
    bins = [train[i:i + width] for i in range(0, len(train), width)]
    curve = table(["steps", "training loss"], [
        (f"{b[0][0]:g} to {b[-1][0]:g}", f"{sum(loss for _, loss in b) / len(b):.3f}") for b in bins])
    epochs = table(["epoch", "dev loss"], [(f"{epoch:g}", f"{loss:.3f}") for epoch, loss in dev])
    return re.sub(r"\n\n+", "\n\n", f"{curve}\n\n{epochs if dev else ''}").strip()
