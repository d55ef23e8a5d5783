"""Runs with the shape of real ones, made by the project's own code from the shipped questions and
passages; only the answers are invented: `python -m tests.made_results FOLDER`. For tests and for drawing
the dashboard while there is no run; never shipped."""

import random
import sys
from dataclasses import asdict, replace
from pathlib import Path

from eval import metrics, results
from eval.judge import metrics_of
from eval.run import slice_of
from space.questions import evidence_passages, load_examples
from space.results import Verdict
from space.retriever import read_passages
from space.schema import AnswerDone, ModelIdentity, Sampling
from space.settings import ASSETS
from tests.eval.fake_run import embed

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} {{value}} & \"so\""
FAITHFUL, _, RELEVANT = metrics_of("local judge")
SHUFFLED = {"name": "Faithfulness: the evidence of another question", "auroc": 0.97, "low": 0.94, "high": 0.99,
            "n": 120}
SWAPPED = {"name": "Faithfulness: a number changed", "auroc": 0.66, "low": 0.58, "high": 0.73, "n": 112}
JUDGE = {
    "kind": "local", "name": "lexical support + MiniLM", "controls": [SHUFFLED, SWAPPED],
    "words": "It notices evidence that does not belong to the answer; a swapped number it often misses."}
BASE = ModelIdentity("smollm2-135m-instruct-q4_1.gguf", "5a139571" * 8, "SmolLM2-135M-Instruct", "llama", "Q4_1", 30,
                     98.9)
TUNED = replace(BASE, adapter="smollm2-135m/adapter.gguf", adapter_sha256="1f" * 32)
CHANCE = {"plain": 0.06, "tuned": 0.14, "plain_rag": 0.38, "tuned_rag": 0.58}


def make(folder, name="heldout", part="heldout", variants=("plain", "tuned", "tuned_rag"), limit=None, seed=7,
         judge=JUDGE, better=0.0):
    """Write one run into `folder/name` and return it with its records."""
    chance = random.Random(seed)
    examples = load_examples(part=part)
    examples = slice_of(examples, limit) if limit else examples
    passages = read_passages(ASSETS / "index" / "passages.jsonl")
    rows = {}
    for example in examples:
        found = _found(example, passages, chance)
        for variant in variants:
            rows[example.id, variant] = _row(example, variant, found, chance, better)
    records = metrics.records(examples, rows, variants, embed, passages)
    if judge["kind"] != "none":
        records = [_judged(r, chance) for r in records]
    records[0] = replace(records[0], text=f"{HOSTILE} {records[0].text}")
    run = results.build_run(name, part, examples, variants, records, Sampling(), 3, judge,
                            (FAITHFUL, RELEVANT, *metrics.METRICS) if judge["kind"] != "none" else metrics.METRICS)
    results.write_run(Path(folder) / name, run, records)
    return run, records


def make_three(folder):
    """The runs that the dashboard is tested with: one without a judge, one to compare, and `heldout`, which opens by
    itself (runs made within one second stand in the order of their names). Returns that one."""
    make(folder, "paraphrase", part="paraphrase", limit=10, judge={"kind": "none"})
    make(folder, "older", limit=30, seed=8, better=-0.4)
    return make(folder, "heldout", limit=40)[0]


def _found(example, passages, chance):
    """The passage of the evidence (mostly) and its neighbours, the part that is read marked."""
    own = [p for p in passages if example.evidence and p.source == example.evidence[0].document] or passages
    ids = [i for group in evidence_passages(example, own) for i in group] if chance.random() < 0.93 else []
    picked = [p for p in own if p.id in ids][:2] + chance.sample(own, min(3, len(own)))
    scores = sorted((chance.uniform(0.3, 0.85) for _ in range(3)), reverse=True)
    return [replace(p, score=round(s, 3), cosine=round(s, 3), excerpt=p.text.split(". ")[0].strip())
            for p, s in zip(dict.fromkeys(picked), scores, strict=False)]


def _row(example, variant, found, chance, better):
    retrieves = variant.endswith("rag")
    if chance.random() < CHANCE[variant] + better:
        text = example.reference
    elif chance.random() < (0.4 if retrieves else 0.15):
        text = "The corpus does not tell this."
    else:
        text = " ".join(chance.choice(found).text.split()[:chance.randint(12, 60)]) if retrieves else (
            "The model is a type of machine learning model that uses a large number of parameters. "
            f"It was trained on {chance.randint(2, 90)} billion tokens and reaches {chance.randint(10, 99)}%. " * 2)
    tokens = len(text.split()) * 4 // 3
    done = AnswerDone(variant, "end" if variant != "plain" else "length", 420 if retrieves else 60, tokens, 30, 0.0,
                      round(chance.uniform(0.9, 1.6) if retrieves else chance.uniform(0.1, 0.3), 3),
                      round(chance.gauss(52, 4), 2), TUNED if variant.startswith("tuned") else BASE)
    failed = chance.random() < 0.01
    return {"variant": variant, "text": "" if failed else text,
            "passages": [asdict(p) for p in found] if retrieves else [],
            "done": None if failed else asdict(done), "error": "The answer took longer than 300 s." if failed else ""}


def _judged(record, chance):
    if record.kind == "unanswerable" or not record.done:
        return record
    right = record.scores["key_facts"]
    score = round(min(max(chance.gauss(0.35 + 0.5 * right, 0.2), 0), 1), 4)
    scores = record.scores | {FAITHFUL.key: score}
    said = {FAITHFUL.key: (Verdict(record.text[:80], score, "not in the passages: 12" if score < 0.5 else ""),)}
    record = replace(record, verdicts=said)
    if record.variant == "plain" and chance.random() < 0.4:
        return replace(record, scores=scores, unscored={RELEVANT.key: "The judge gave no verdict."})
    return replace(record, scores=scores | {RELEVANT.key: round(min(max(chance.gauss(0.6, 0.2), 0), 1), 4)})


def make_all(folder):
    """Two full runs of the same questions, one of the paraphrases without a judge, one that is broken."""
    make(folder, "heldout")
    make(folder, "heldout-before", variants=("plain", "tuned", "plain_rag", "tuned_rag"), seed=8, better=-0.1)
    make(folder, "paraphrase", part="paraphrase", judge=results.NO_JUDGE)
    broken = Path(folder) / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "run.json").write_text('{"schema": 1, "run_sha256": "0", "name": "<b>broken</b>"}')


if __name__ == "__main__":
    make_all(sys.argv[1])
