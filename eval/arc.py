"""ARC: accuracy on multiple-choice science questions by the log-likelihood of the options.

    python -m eval.arc --split test [--set easy|challenge|both] [--limit N] [--data DIR]
    python -m eval.arc --split test --variants plain,tuned --out FILE.jsonl

The models are the GGUF files that the chat serves. By default the prompt is raw, without chat
template, and zero-shot, as in lm-evaluation-harness: "Question: ...\\nAnswer:", then " option".
Compare the normalised average of plain with the public figure for SmolLM2-135M-Instruct, about
37 %. --chat asks through the chat's own prompt instead, and variants with RAG get their passages.

Two accuracies: the option with the highest sum of log-probabilities ("sum", acc there), and the
highest sum per byte of the option ("per byte", acc_norm there). Behind each stands its standard
error; the average is that of the two sets, whatever their sizes. --limit takes the first N
questions of each set. With --out every question is one line of FILE.jsonl, appended as it is
scored, and the same command resumes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval import ledger
from eval.arc_questions import SETS, SPLITS, ArcQuestion, find_folder, load
from space import parts, prompts
from space.ask import parse_variants
from space.errors import UserError
from space.lane import Lane
from space.schema import ModelIdentity, Passage, Variant
from space.settings import load_settings

# Threads that wait must sleep: beside any other work, spinning makes small batches ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

METRICS = {"sum": "accuracy by sum", "per_byte": "accuracy per byte"}
Ask = Callable[[ArcQuestion, Variant], tuple[tuple[prompts.Piece, ...], str]]
"""(question, variant) -> the prompt, and what stands between it and an option."""


@dataclass(frozen=True)
class Estimate:
    """A mean of `count` values and its standard error (sample standard deviation / root of n);
    the error is None where one value alone tells nothing of it."""

    mean: float
    error: float | None
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and standard error of at least one value."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return Estimate(mean, None, n)
    return Estimate(mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n), n)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Unweighted mean of independent estimates."""
    k = len(estimates)
    known = [e.error for e in estimates if e.error is not None]
    error = math.sqrt(sum(e ** 2 for e in known)) / k if len(known) == k else None
    return Estimate(sum(e.mean for e in estimates) / k, error, sum(e.count for e in estimates))


def grade(question: ArcQuestion, logprobs: Sequence[float]) -> dict[str, float]:
    """1 or 0 of each metric. Bytes are those of the option alone, without the space before it;
    of equals the first is chosen, both as lm-evaluation-harness does."""
    per_byte = [value / len(option.encode()) for value, option in zip(logprobs, question.options, strict=True)]
    return {name: float(max(range(len(values)), key=values.__getitem__) == question.gold)
            for name, values in (("sum", logprobs), ("per_byte", per_byte))}


def ask_raw(question: ArcQuestion, variant: Variant) -> tuple[tuple[prompts.Piece, ...], str]:
    """The prompt of lm-evaluation-harness for ARC."""
    return (prompts.Piece(f"Question: {question.question}\nAnswer:", control=False),), " "


def ask_chat(question: ArcQuestion, variant: Variant) -> tuple[tuple[prompts.Piece, ...], str]:
    """The chat's prompt, with the passages that the variant would read."""
    passages: tuple[Passage, ...] = ()
    if variant.retrieves:
        passages = parts.load_retriever().search(question.question, load_settings().passages)
    return prompts.build(question.question, passages), ""


def measure(questions: Sequence[ArcQuestion], variants: Sequence[Variant],
            lanes: Mapping[str, tuple[Lane, ModelIdentity]], ask: Ask, out: Path | None) -> Iterator[dict]:
    """One row per question and variant: those that `out` holds, for the same prompt and the same
    model files, are taken from there; the others are scored, appended to `out` and yielded."""
    kept = {_key(row): row for row in ledger.read(out)} if out else {}
    for question in questions:
        for variant in variants:
            lane, identity = lanes[variant.key]
            prompt, lead = ask(question, variant)
            row: dict = {"id": question.id, "set": question.set, "variant": variant.key,
                         "hash": _hash(question, prompts.text(prompt) + lead),
                         "model": {"file": identity.file, "sha256": identity.sha256,
                                   "adapter": identity.adapter, "adapter_sha256": identity.adapter_sha256}}
            if found := kept.get(_key(row)):
                yield found
                continue
            tokenize = lane.weights.tokenize
            logprobs = lane.score(prompts.encode(prompt, tokenize),
                                  [tokenize(lead + option, False) for option in question.options])
            row |= {"gold": question.gold, "logprobs": [round(value, 6) for value in logprobs],
                    "scores": grade(question, logprobs)}
            if out:
                ledger.append(out, row)
            yield row


def _hash(question: ArcQuestion, prompt: str) -> str:
    """Sixteen hex digits that tell two prompts or two sets of options apart."""
    whole = json.dumps([prompt, question.options, question.gold])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _key(row: dict) -> tuple[str, ...]:
    return (row["set"], row["id"], row["variant"], row["hash"],
            row["model"]["sha256"], row["model"]["adapter_sha256"])


def table(rows: Iterable[dict]) -> str:
    """Accuracies of each variant on each set and on average; below, how far the other variants lie
    from the first on the same questions (paired, so with a smaller error than the two apart)."""
    hits: dict[str, dict[str, dict[str, dict[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        hits[row["variant"]][row["set"]][row["id"]] = row["scores"]
    head = ("variant", "set", "questions", *METRICS.values())
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for variant, sets in hits.items():
        lines += _lines(variant, {name: list(found.values()) for name, found in sets.items()}, sign="")
    first, *others = hits
    for other in others:
        lines += _lines(f"{other} - {first}", {
            name: [{m: scores[m] - hits[first][name][key][m] for m in METRICS} for key, scores in found.items()]
            for name, found in hits[other].items()}, sign="+")
    return "\n".join(lines)


def _lines(title: str, sets: Mapping[str, Sequence[Mapping[str, float]]], sign: str) -> list[str]:
    """A table row per set, and one for the average where there are several."""
    found = {SETS[name]: {m: estimate([values[m] for values in many]) for m in METRICS}
             for name, many in sets.items()}
    if len(found) > 1:
        found["average"] = {m: average([of[m] for of in found.values()]) for m in METRICS}
    return ["| " + " | ".join([title, name, str(of["sum"].count), *(_percent(of[m], sign) for m in METRICS)]) + " |"
            for name, of in found.items()]


def _percent(value: Estimate, sign: str) -> str:
    error = "-" if value.error is None else f"{100 * value.error:.1f}"
    return f"{100 * value.mean:{sign}.1f} ± {error} %"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--set", choices=(*SETS, "both"), default="both")
    parser.add_argument("--variants", default="plain,tuned")
    parser.add_argument("--limit", type=int, default=0, help="only the first N questions of each set")
    parser.add_argument("--chat", action="store_true", help="ask through the chat's prompt")
    parser.add_argument("--data", type=Path, help="folder of the ARC files (else REAL_DATA_DIR/arc)")
    parser.add_argument("--out", type=Path, metavar="FILE.jsonl", help="append each question here, and resume")
    options = parser.parse_args(argv)
    if options.limit < 0:
        parser.error("--limit must not be negative")
    try:
        variants = list(dict.fromkeys(parse_variants(options.variants)))
        if not options.chat and any(v.retrieves for v in variants):
            raise UserError("The raw ARC prompt carries no passages, so RAG changes nothing there.",
                            "Add --chat, or take --variants plain,tuned.")
        folder = find_folder(options.data)
        names = list(SETS) if options.set == "both" else [options.set]
        questions = [q for name in names for q in load(folder, name, options.split)[:options.limit or None]]
        lanes = {v.key: parts.local_engine().lane(v.tuned) for v in variants}
        rows = []
        for row in measure(questions, variants, lanes, ask_chat if options.chat else ask_raw, options.out):
            rows.append(row)
            if sys.stderr.isatty():
                print(f"\r{len(rows)}/{len(questions) * len(variants)}", end="", file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    models = "; ".join(f"{key}: {m.file} {m.sha256[:8]}" + (f" + {m.adapter} {m.adapter_sha256[:8]}" * bool(m.adapter))
                       for key, (_, m) in lanes.items())
    print(f"ARC {options.split}, {'chat' if options.chat else 'raw'} prompt, zero-shot; ± one standard error\n"
          f"{models}\n\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
