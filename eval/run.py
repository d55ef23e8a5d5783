"""Evaluate: the answers of every variant to one part of the questions, through the chat's own path.

    python -m eval.run [--part dev|heldout|paraphrase] [--variants …] [--limit N] --out DIR

Answers go to DIR/answers.jsonl, one line per (question, variant); the same command resumes. What is
printed needs no judge: key facts, abstentions, how answers end, speed.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from eval.collect import collect
from space import parts
from space.ask import parse_variants
from space.errors import UserError
from space.questions import PARTS, load_examples
from space.schema import CHAT_VARIANTS, Sampling
from space.settings import load_settings


def table(rows: Iterable[dict]) -> str:
    """One line per variant: rates over the questions that each metric applies to."""
    by_variant: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        by_variant[row["variant"]].append(row)
    head = ("variant", "answers", "failed", "key facts", "abstains right", "abstains wrong",
            "ends itself", "tokens", "first token s", "tok/s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for variant, answers in by_variant.items():
        done = [r["done"] for r in answers if r["done"]]

        def rate(name: str, answers: list[dict] = answers) -> str:
            values = [r["scores"][name] for r in answers if name in r["scores"]]
            return f"{sum(values) / len(values):.1%} of {len(values)}" if values else "-"

        def mean(name: str, done: list[dict] = done) -> str:
            return f"{sum(d[name] for d in done) / len(done):.2f}" if done else "-"

        ended = f"{sum(d['finish'] == 'end' for d in done) / len(done):.1%}" if done else "-"
        lines.append("| " + " | ".join([
            variant, str(len(answers)), str(len(answers) - len(done)), rate("key_facts"),
            rate("right_abstention"), rate("wrong_abstention"), ended, mean("answer_tokens"),
            mean("first_token_s"), mean("decode_tps")]) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, default="dev")
    parser.add_argument("--variants", default=",".join(v.key for v in CHAT_VARIANTS))
    parser.add_argument("--limit", type=int, default=0, help="only the first N questions")
    parser.add_argument("--out", type=Path, required=True, help="folder of answers.jsonl")
    options = parser.parse_args(argv)
    try:
        settings = load_settings()
        variants = parse_variants(options.variants)
        examples = load_examples(part=options.part)[:options.limit or None]
        rows = []
        for row in collect(examples, variants, parts.load_engine(), parts.load_retriever(),
                           Sampling(max_tokens=settings.max_tokens), settings.passages,
                           options.out / "answers.jsonl"):
            rows.append(row)
            if sys.stderr.isatty():
                print(f"\r{len(rows)}/{len(examples) * len(variants)}", end="", file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
