"""Write questions with reference answers, evidence and key facts from the documents of a folder.

    python -m train.synthesize --corpus DIR --size 500 --out FILE.jsonl [--generator openai|local] [--yes]

`openai` asks any OpenAI-compatible endpoint through RAGAS' TestsetGenerator: OPENAI_API_KEY,
OPENAI_BASE_URL and JUDGE_MODEL (or OPENAI_MODEL) in the environment name it, gpt-4o-mini is the default.
The cost is estimated and asked about first. `local` lets the embedded SmolLM2 write and costs nothing;
few of its questions pass, and of those that do a person should strike out more.

Everything written is appended to FILE.raw.jsonl in small units; the same command goes on where the last
one stopped, even after a kill -9, and tries again what failed. The rows that pass the filters go to
FILE.jsonl, ready for `python -m train.data split --questions FILE.jsonl`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from space import corpus, questions
from space.chat_client import NoAnswer, Usage
from space.corpus import Document
from space.errors import UserError
from space.retriever import Searcher
from space.settings import ASSETS
from train.data import write_examples
from train.units import MAX_PER_PASSAGE, Ledger, Unit, UnitFailed, Written, plan

log = logging.getLogger(__name__)

PRICE_IN, PRICE_OUT = 0.15, 0.60
"""US dollars per million tokens of gpt-4o-mini; other models want --price-in and --price-out."""
GIVE_UP_AFTER = 3
"""Units that fail one after the other before the run stops."""


class Writer(Protocol):
    """Anything that writes the rows of a unit."""

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        ...

    def write(self, unit: Unit) -> list[Written]:
        """At most `unit.questions` rows; raises UnitFailed where there is none."""
        ...


def estimate(units: Sequence[Unit]) -> Usage:
    """Calls and tokens that these units take at an endpoint: three readings of every passage, a
    pairing of personas with topics, and the question itself. Prompt lengths were measured over this
    corpus at four characters a token; answers are taken for 100 tokens each."""
    readings = 3 * sum(len(u.passages) for u in units)
    asked = sum(u.questions for u in units)
    pairings = round(1.2 * asked)
    calls = readings + pairings + asked
    return Usage(calls, 0, readings * 410 + pairings * 480 + asked * 950, calls * 100)


def run(units: Sequence[Unit], ledger: Ledger, writer: Writer, prices: tuple[float, float]) -> list[str]:
    """Do the open units; returns a line for each that failed. Raises UserError where going on is
    pointless."""
    failed: list[str] = []
    in_a_row = 0
    begun = time.monotonic()
    for n, unit in enumerate(units, 1):
        before = writer.usage
        try:
            written = writer.write(unit)
        except UserError:
            raise
        except Exception as error:  # ragas raises whatever its models lead it to
            log.debug("unit %s", unit.key, exc_info=True)
            reason = str(error) if isinstance(error, UnitFailed | NoAnswer) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())[:300]
            ledger.fail_unit(unit, reason, writer.usage - before)
            failed.append(f"{unit.key}: {reason}")
            print(f"FAILED {failed[-1]}", flush=True)
            in_a_row += 1
            if in_a_row == GIVE_UP_AFTER:
                raise UserError(f"{in_a_row} units failed one after the other, so the run stops.",
                                "Mend what the lines above say; the same command goes on from here.") from None
            continue
        in_a_row = 0
        ledger.close_unit(unit, written, writer.usage - before)
        left = (time.monotonic() - begun) / n * (len(units) - n)
        print(f"{n}/{len(units)} {unit.key}: {len(written)} questions, {_spent(ledger.spent, prices)}, "
              f"about {left / 60:.0f} min left", flush=True)
    return failed


def _spent(usage: Usage, prices: tuple[float, float]) -> str:
    retries = f" ({usage.retries} retried)" if usage.retries else ""
    if not usage.calls:
        return "no cost"
    return (f"{usage.calls:,} calls{retries}, {usage.input_tokens:,} + {usage.output_tokens:,} tokens, "
            f"${usage.dollars(*prices):.3f} so far")


def confirm(units: Sequence[Unit], prices: tuple[float, float], model: str, yes: bool) -> bool:
    """Print the estimate and ask. Raises UserError where there is nobody to ask."""
    cost = estimate(units)
    print(f"{model}: about {cost.calls:,} calls, {cost.input_tokens:,} tokens in and {cost.output_tokens:,} out; "
          f"${cost.dollars(*prices):.2f} at ${prices[0]:g} and ${prices[1]:g} per million tokens "
          "(--price-in, --price-out). Retries come on top.", flush=True)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("Nobody is there to confirm the cost.", "Add --yes to start without being asked.")
    return input("Start? [y/N] ").strip().lower() in ("y", "yes")


def synthesize(options: argparse.Namespace) -> int:
    """The whole command; returns 0, or 1 where units are left for the next run."""
    documents = corpus.read_documents(options.corpus)
    units = plan(documents, options.size)
    total = sum(u.questions for u in units)
    if not total:
        raise UserError(f"The documents in {options.corpus} have no text to ask about.", "Name another --corpus.")
    if total < options.size:
        print(f"The corpus has room for {total} questions ({MAX_PER_PASSAGE} a passage), not {options.size}.")
    prices = (options.price_in, options.price_out)
    local = options.generator == "local"
    endpoint = None
    if not local:
        from space.chat_client import endpoint_from_environment

        endpoint = endpoint_from_environment(options.timeout, options.retries, "--generator local")
    model = endpoint.model if endpoint else "SmolLM2-135M-Instruct"
    ledger = _ledger(options, documents, model)
    todo = [u for u in units if u.key not in ledger.done]
    if ledger.done:
        print(f"{len(ledger.done)} of {len(units)} units are done already, {_spent(ledger.spent, prices)}.")
    failed: list[str] = []
    if todo:
        if endpoint and not confirm(todo, prices, model, options.yes):
            print("Nothing was started.")
            return 0
        writer = _writer(options, documents, endpoint)
        failed = run(todo, ledger, writer, prices)
    _finish(options, documents, units, ledger, prices)
    if failed:
        print(f"{len(failed)} units failed and are left for the next run of the same command:")
        print("\n".join(f"  {line}" for line in failed))
    return 1 if failed else 0


def _ledger(options: argparse.Namespace, documents: Sequence[Document], model: str) -> Ledger:
    raw = options.out.with_suffix(".raw.jsonl")
    if options.out.exists() and not raw.exists():
        raise UserError(f"{options.out} exists and was not written by this command.", "Choose another --out.")
    ledger = Ledger(raw, {"corpus": corpus.corpus_hash(list(documents)), "size": options.size,
                          "generator": options.generator, "model": model})
    ledger.open()
    return ledger


def _writer(options: argparse.Namespace, documents: Sequence[Document], endpoint: object) -> Writer:
    bodies = {d.id: d.body for d in documents}
    if options.generator == "local":
        from train.local_questions import LocalWriter

        return LocalWriter(bodies)
    from space.chat_client import ChatClient
    from train.testset import TestsetWriter

    return TestsetWriter(ChatClient(endpoint), bodies, options.workers)  # type: ignore[arg-type]


def _finish(options: argparse.Namespace, documents: Sequence[Document], units: Sequence[Unit],
            ledger: Ledger, prices: tuple[float, float]) -> None:
    """Filter what there is, write FILE.jsonl, say what became of the rows."""
    from train.sieve import sift

    rows = [row for u in units for row in ledger.done.get(u.key, [])]
    others = questions.load_examples(options.against) if options.against.exists() else []
    finder = _finder(options.corpus, documents) if options.generator == "local" and rows else None
    sifted = sift(rows, documents, others, finder)
    write_examples(options.out, sifted.kept)
    print(f"{len(rows)} questions were written ({_spent(ledger.spent, prices)}):")
    print("\n".join(sifted.lines(round_trip=finder is not None)))
    print(f"{len(sifted.kept)} of {len(rows)} kept ({len(sifted.kept) / max(len(rows), 1):.0%}) -> {options.out}")


def _finder(folder: Path, documents: Sequence[Document]) -> Searcher:
    """The shipped index where it was made from these documents, else one made for the occasion."""
    import json
    import tempfile

    from space import models
    from space.retriever import Retriever
    from train.index import build

    shipped = ASSETS / "index"
    manifest = shipped / "manifest.json"
    if manifest.exists() and json.loads(manifest.read_text()).get("corpus_sha256") == corpus.corpus_hash(
            list(documents)):
        return Retriever(shipped, models.EMBEDDER)
    with tempfile.TemporaryDirectory() as made:
        build(folder, Path(made))
        return Retriever(Path(made), models.EMBEDDER)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=ASSETS / "corpus", help="folder of *.md documents")
    parser.add_argument("--size", type=int, default=500, help="questions to write, before the filters")
    parser.add_argument("--out", type=Path, required=True, help="FILE.jsonl; FILE.raw.jsonl lies beside it")
    parser.add_argument("--generator", choices=["openai", "local"], default="openai")
    parser.add_argument("--yes", action="store_true", help="start without asking about the cost")
    parser.add_argument("--price-in", type=float, default=PRICE_IN, help="dollars per million tokens read")
    parser.add_argument("--price-out", type=float, default=PRICE_OUT, help="dollars per million tokens written")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for one answer")
    parser.add_argument("--retries", type=int, default=4, help="how often a request is tried again")
    parser.add_argument("--workers", type=int, default=4, help="requests at a time")
    parser.add_argument("--against", type=Path, default=questions.QUESTIONS,
                        help="questions that must not be asked again")
    options = parser.parse_args(argv)
    if options.size < 1 or options.workers < 1 or options.timeout <= 0 or options.retries < 0:
        parser.error("--size and --workers must be 1 or more, --timeout above 0, --retries 0 or more")
    if options.out.suffix != ".jsonl":
        parser.error("--out must end in .jsonl")
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        return synthesize(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
