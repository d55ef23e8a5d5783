"""Evaluate: the answers of every variant to one part of the questions, through the chat's own path.

    python -m eval.run --part heldout --name RUN [--judge local|openai] [--variants …]
                            [--limit N] [--profile P]
    python -m eval.run --part heldout --name RUN --shard 1/2        (and 2/2, here or elsewhere)
    python -m eval.run --check BASELINE --name RUN                  exit 1 if RUN is worse

Answers go to work/eval/RUN/answers.jsonl (or to --out DIR), one line per (question, variant), and the
same command resumes. When all are there, assets/results/RUN/ is written: run.json and samples.jsonl.
Shards write answers-1-of-2.jsonl and so on; put into one folder they merge, and the last one to end,
or the command without --shard, writes the results. A judge scores when all answers are there: `local`
needs nothing, `openai` is ragas with any OpenAI-compatible endpoint (eval/ragas_judge.py).

--check compares RUN with BASELINE, variant by variant and question by question; where RUN has no
results yet it is made first, of the baseline's questions and variants.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval import collect, gate, metrics, results
from eval import judge as judging
from space import models, parts, retriever
from space.ask import parse_variants
from space.errors import UserError
from space.files import unwritable
from space.passage_states import Mode
from space.questions import PARTS, load_examples, topic
from space.results import RESULTS, EvalRecord, EvalRun, Metric, read_run, read_samples
from space.schema import CHAT_VARIANTS, Example, Sampling, Variant
from space.settings import ROOT, Settings, load_settings


@dataclass(frozen=True)
class Plan:
    """What a run asks: `examples` of the whole run, `mine` those of this shard; `out` is the file that
    this process appends to."""

    part: str
    examples: list[Example]
    mine: list[Example]
    variants: list[Variant]
    sampling: Sampling
    passages: int
    out: Path


def table(records: Sequence[EvalRecord]) -> str:
    """One line per variant: rates over the questions that each metric applies to."""
    by_variant: dict[str, list[EvalRecord]] = defaultdict(list)
    for record in records:
        by_variant[record.variant].append(record)
    head = ("variant", "answers", "failed", "key facts", "abstains right", "abstains wrong",
            "ends itself", "tokens", "first token s", "tok/s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for variant, answers in by_variant.items():
        def rate(name: str, answers: list[EvalRecord] = answers) -> str:
            values = [r.scores[name] for r in answers if name in r.scores]
            return f"{sum(values) / len(values):.1%} of {len(values)}" if values else "-"

        def mean(name: str, answers: list[EvalRecord] = answers) -> str:
            values = [r.scores[name] for r in answers if name in r.scores]
            return f"{sum(values) / len(values):.2f}" if values else "-"

        lines.append("| " + " | ".join([
            variant, str(len(answers)), str(sum(r.done is None for r in answers)), rate("key_facts"),
            rate("right_abstention"), rate("wrong_abstention"), rate("ends_itself"), mean("answer_tokens"),
            mean("first_token_s"), mean("decode_tps")]) + " |")
    return "\n".join(lines)


def slice_of(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` questions spread over the documents: the first of each, then the second of each."""
    seen: dict[str, int] = defaultdict(int)
    turns = []
    for place, example in enumerate(examples):
        turns.append((seen[topic(example)], place))
        seen[topic(example)] += 1
    return [examples[place] for place in sorted(place for _, place in sorted(turns)[:count])]


def parse_shard(text: str) -> tuple[int, int]:
    """`2/4` -> (2, 4)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"{text!r} is not a shard.", "Write --shard 1/2 and --shard 2/2.")
    return int(match[1]), int(match[2])


def make_plan(options: argparse.Namespace, settings: Settings, baseline: EvalRun | None) -> Plan:
    """The plan of the options; what they leave open is the baseline's, where there is one."""
    part = options.part or (baseline.part if baseline else "dev")
    examples = load_examples(part=part)
    if baseline and not options.limit:
        asked = {r.id for r in read_samples(options.results / baseline.name, baseline)}
        examples = [e for e in examples if e.id in asked]
    examples = slice_of(examples, options.limit) if options.limit else examples
    if not examples:
        raise UserError(f"There are no questions to ask in {part}.", "Choose another --part.")
    keys = options.variants or ",".join(baseline.variants if baseline else (v.key for v in CHAT_VARIANTS))
    folder = options.out or ROOT / "work" / "eval" / results.check_name(options.name)
    mine, file = examples, "answers.jsonl"
    if options.shard:
        number, shards = parse_shard(options.shard)
        mine, file = examples[number - 1::shards], f"answers-{number}-of-{shards}.jsonl"
    return Plan(part, examples, mine, parse_variants(keys), Sampling(max_tokens=settings.max_tokens),
                settings.passages, folder / file)


def answer(plan: Plan) -> list[EvalRecord]:
    """Answer what is missing of this shard; the scored records of the whole run, or those of the
    questions that all variants have answered so far."""
    index = results.read_manifest(parts.index_folder())["index_sha256"]
    total = len(plan.mine) * len(plan.variants)
    rows = collect.collect(plan.mine, plan.variants, parts.load_engine(), parts.load_retriever(), plan.sampling,
                           plan.passages, plan.out, index, parts.sentences_read())
    for count, _ in enumerate(rows, 1):
        if sys.stderr.isatty():
            print(f"\r{count}/{total}", end="" if count < total else "\n", file=sys.stderr)
    setups = {v.key: collect.setup_of(v, plan.sampling, plan.passages, index, parts.sentences_read())
              for v in plan.variants}
    found = collect.gather(plan.out, plan.examples, setups)
    whole = [e for e in plan.examples if all((e.id, v.key) in found for v in plan.variants)]
    passages = parts.index_folder() / "passages.jsonl"
    retrieves = any(v.retrieves for v in plan.variants) and passages.exists()
    return metrics.records(whole, found, [v.key for v in plan.variants], embed,
                           retriever.read_passages(passages) if retrieves else ())


def embed(texts: Sequence[str]) -> object:
    """Unit vectors of the profile's embedder, for likeness to the reference."""
    embedder = models.load_profile(load_settings().profile).embedder
    return retriever.embed(retriever.load_embedder(embedder), texts)


def evaluate(options: argparse.Namespace) -> int:
    """Make the run and print it; see the module. Raises UserError where answers would only be approximate."""
    if Mode.parse(load_settings().passage_states).others:
        raise UserError(f"PASSAGE_STATES={load_settings().passage_states} only approximates answers; runs are exact.",
                        "Unset it, or measure it with `python -m eval.bench reading states`.")
    folder = options.results / results.check_name(options.name) if options.name else None
    baseline = read_run(options.results / results.check_name(options.check)) if options.check else None
    if baseline and folder and (folder / "run.json").exists():
        return check(options.results, baseline, read_run(folder))
    plan = make_plan(options, load_settings(), baseline)
    kind = options.judge or (str(baseline.judge["kind"]) if baseline else "none")
    if folder:
        _refuse_smaller(folder, plan, kind)
    judge = judging.load_judge(kind)
    records = answer(plan)
    print(table(records))
    done = len(records) // len(plan.variants)
    if done < len(plan.examples):
        print(f"\n{done} of {len(plan.examples)} questions are answered: run the other shards.")
        return 0
    records, said, measured = judge_answers(judge, plan, records)
    run = results.build_run(options.name, plan.part, plan.examples, [v.key for v in plan.variants], records,
                            plan.sampling, plan.passages, said, measured)
    print("\n" + "\n".join([*run.sentences.values(), *([f"The judge: {said['words']}"] if judge else [])]))
    failed = [r.error for r in records if r.error]
    if failed:
        print(f"\n{len(failed)} of {len(records)} answers failed ({failed[0]}) The same command tries them again.",
              file=sys.stderr)
    if folder:
        results.write_run(folder, run, records)
        print(f"\nWritten: {folder}")
    if baseline:
        return check(options.results, baseline, run)
    return 1 if len(failed) == len(records) else 0


def judge_answers(judge: judging.Judge | None, plan: Plan, records: Sequence[EvalRecord]) -> tuple[
        list[EvalRecord], dict[str, Any], Sequence[Metric]]:
    """The records with the judge's scores, what the run says of its judge, and all metrics."""
    if not judge:
        return list(records), results.NO_JUDGE, metrics.METRICS
    passages = retriever.read_passages(parts.index_folder() / "passages.jsonl")
    scored, said = judging.judge_run(judge, plan.examples, records, passages, plan.out.with_name("judged.jsonl"))
    return scored, said, (*judging.metrics_of(judge.label), *metrics.METRICS)


def check(folder: Path, baseline: EvalRun, run: EvalRun) -> int:
    """Print how `run` stands against the baseline; 1 where it is worse."""
    before, after = (read_samples(folder / r.name, r) for r in (baseline, run))
    found = gate.regressions(baseline, before, run, after)
    print("\n".join(found) or f"Nothing in {run.name} is significantly worse than in {baseline.name}.")
    return 1 if found else 0


def use_profile(name: str) -> None:
    """Answer with the models of this profile, as PROFILE would. Raises UserError where there is none."""
    models.load_profile(name)
    os.environ["PROFILE"] = name
    load_settings.cache_clear()


def _refuse_smaller(folder: Path, plan: Plan, judge: str) -> None:
    """Results are replaced by those of the same part with as many questions and variants, or more, and
    those of a judge not by none."""
    try:
        there = read_run(folder)
    except UserError:
        return
    if there.part != plan.part or there.questions > len(plan.examples) or not set(there.variants) <= {
            v.key for v in plan.variants}:
        raise UserError(f"{there.name} holds {there.questions} questions of {there.part} by "
                        f"{', '.join(there.variants)}, which this run would not replace.",
                        f"Choose another --name, or remove {folder}.")
    if judge == "none" and there.judge.get("kind") != "none":
        raise UserError(f"{there.name} holds the scores of a judge, which this run would not replace.",
                        f"Add --judge {there.judge.get('kind')}, choose another --name, or remove {folder}.")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="dev unless told")
    parser.add_argument("--profile", default="", help="which models answer; PROFILE, or embedded, unless told")
    parser.add_argument("--judge", choices=judging.KINDS, help="none unless told, or the baseline's")
    parser.add_argument("--name", default="", help="folder of the results in assets/results/")
    parser.add_argument("--variants", default="", help="those of the chat unless told; there is also plain_rag")
    parser.add_argument("--limit", type=int, default=0, help="only N questions, spread over the documents")
    parser.add_argument("--shard", default="", metavar="I/N", help="only every N-th question, from the I-th")
    parser.add_argument("--out", type=Path, help="folder of answers.jsonl")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of all runs")
    parser.add_argument("--check", default="", metavar="BASELINE", help="exit 1 if RUN is significantly worse")
    options = parser.parse_args(argv)
    if options.limit < 0 or (options.check and options.shard):
        parser.error("--limit is 1 or more" if options.limit < 0 else "--check wants the whole run, not a shard")
    if not options.name and (not options.out or options.check):
        parser.error("give --name RUN" + ("" if options.check else ", or --out DIR to answer without writing results"))
    try:
        if options.profile:
            use_profile(options.profile)
        return evaluate(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(unwritable(error), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
