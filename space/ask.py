"""Ask on the command line, through the same code as the app.

    python -m space.ask "What pass@1 did DeepSeek-R1-Zero reach on AIME 2024?" --json
    python -m space.ask --questions FILE.jsonl --variants plain,tuned_rag --json

Greedy by default. With --json each answer is one JSON line (question, variant, text, passages,
timings, model identity). FILE holds lines like {"q": "..."}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from space import parts
from space.answer import answer_all, stream_answers
from space.errors import UserError
from space.json_text import parse_json
from space.schema import CHAT_VARIANTS, VARIANTS, Answer, Sampling, Variant
from space.settings import load_settings


def parse_variants(text: str) -> list[Variant]:
    """Variants of a comma-separated list of keys."""
    unknown = [key for key in text.split(",") if key.strip() not in VARIANTS]
    if unknown:
        raise UserError(f"There is no variant {unknown[0]!r}.", f"Known: {', '.join(VARIANTS)}.")
    return [VARIANTS[key.strip()] for key in text.split(",")]


def read_questions(path: Path) -> Iterator[str]:
    """The `q` of each line of a JSONL file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read.", "Name a text file with a JSON object a line.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line)["q"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"Line {number} of {path.name} is not a JSON object with \"q\".",
                            'Write lines like {"q": "What is MLA?"}.') from None


def as_json(question: str, answer: Answer) -> str:
    """One finished or failed answer as a JSON line."""
    done = asdict(answer.done) if answer.done else {}
    identity = done.pop("identity", None)
    done.pop("variant", None)
    return json.dumps({"question": question, "variant": answer.variant, "text": answer.text,
                       "error": answer.error, "passages": [asdict(p) for p in answer.passages],
                       "timings": done, "model": identity}, ensure_ascii=False)


def as_text(answer: Answer) -> str:
    """One answer for reading."""
    head = f"--- {VARIANTS[answer.variant].label}"
    if answer.done:
        d = answer.done
        head += (f" ({d.identity.file}{' + ' + d.identity.adapter if d.identity.adapter else ''}, "
                 f"first token {d.first_token_s:.2f} s, {d.answer_tokens} tokens at {d.decode_tps:.0f}/s)")
    lines = [head, answer.error or answer.text]
    lines += [f"  [{n}] {p.score:.2f} {p.title}: {p.heading}" for n, p in enumerate(answer.passages, 1)]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", help="the question")
    parser.add_argument("--questions", type=Path, metavar="FILE.jsonl")
    parser.add_argument("--variants", default=",".join(v.key for v in CHAT_VARIANTS))
    parser.add_argument("--json", action="store_true", help="one JSON line per answer")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=Sampling.seed)
    options = parser.parse_args(argv)
    if (options.question is None) == (options.questions is None):
        parser.error("give a question, or --questions FILE.jsonl")
    failed = False
    try:
        settings = load_settings()
        variants = parse_variants(options.variants)
        sampling = Sampling(temperature=options.temperature, seed=options.seed,
                            max_tokens=settings.max_tokens)
        asked = [options.question] if options.questions is None else read_questions(options.questions)
        for question in asked:
            events = stream_answers(question, variants, parts.load_engine(), parts.load_retriever(),
                                    sampling, settings.passages, settings.deadline_s)
            for answer in answer_all(events, variants).values():
                failed |= answer.state == "failed"
                print(as_json(question, answer) if options.json else as_text(answer), flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
