"""How well the local judge's faithfulness tells answers that people marked as unfaithful.

    python -m eval.bench.judge FILE.jsonl
    python -m eval.bench.judge assets/results/RUN

FILE has an answer a line: source_id, question, context, answer, hallucinated (0 or 1), as in RAGTruth's QA test
split (Niu et al. 2024), which is not part of this repository. AUROC with 95 % intervals by source, beside
those of plainer scores and of a regression that is fitted on this very file (sources apart); differences are
paired. The words that a claim may have for free were chosen on the first half of the sources: the second
half stands alone.

Of a run it tells how well the judge's scores separate, among the answers that read passages, those that hold
all key facts from the others; intervals by document.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.calibrate import fit
from eval.judge import LABELS
from eval.judge_features import Passages, features
from eval.local_metrics import claims_of, verdicts_of
from space.errors import UserError
from space.results import EvalRecord, read_run, read_samples
from space.schema import VARIANTS
from space.stats import SEED, auroc, auroc_interval
from space.support import terms

FOLDS, RESAMPLES = 5, 1000


@dataclass(frozen=True)
class Answer:
    """An answer with its claims' features, shape (claims, features), and the plain scores of the whole."""

    source: str
    second_half: bool
    hallucinated: bool
    claims: Any
    share: float
    missing: int
    characters: int


def read(path: Path) -> list[Answer]:
    """Raises UserError where the file cannot be read."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        prepared: dict[str, Passages] = {}
        found = []
        for row in rows:
            source = str(row["source_id"])
            if source not in prepared:
                texts = re.split(r"\n\n(?=passage \d+:)", row["context"])
                prepared[source] = Passages(texts, row["question"])
            found.append(_answer(source, row, prepared[source]))
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no file of labelled answers ({error!r}).", "See the command's --help.") from error


def _answer(source: str, row: dict[str, Any], passages: Passages) -> Answer:
    text = row["answer"]
    own = {t.key for t in terms(text)}
    missing = len(own - passages.keys)
    return Answer(source, zlib.crc32(source.encode()) % 2 == 1, bool(row["hallucinated"]),
                  features(claims_of(text), passages), 1 - missing / max(len(own), 1), missing, len(text))


def scores(answers: Sequence[Answer]) -> dict[str, list[float]]:
    """Each score of each answer; the higher, the more faithful."""
    def each(of: Callable[[Answer], float]) -> list[float]:
        return [of(a) for a in answers]

    claims = [list(verdicts_of(a.claims)) or [1.0] for a in answers]
    return {
        "local judge: the weakest claim (what it reports)": [min(c) for c in claims],
        "its claims' mean (ragas' formula)": [sum(c) / len(c) for c in claims],
        "its claims' product": [sum(map(math.log, c)) for c in claims],
        "share of content stems found": each(lambda a: a.share),
        "number of content stems not found": each(lambda a: -a.missing),
        "length alone": each(lambda a: -a.characters),
        "regression fitted on this file": fitted_here(answers),
    }


def fitted_here(answers: Sequence[Answer]) -> list[float]:
    """The judge's features, worst and summed over the claims, with the answer's length and missing stems,
    in a regression of the labels, each source scored by weights from the others."""
    import numpy as np

    x = np.array([[*(a.claims.max(axis=0) if len(a.claims) else 0 * a.claims.sum(axis=0)),
                   *np.log1p(a.claims.sum(axis=0)), 1 - a.share, math.log1p(a.missing), math.log1p(a.characters) / 10]
                  for a in answers])
    kinds = np.array(["wrong" if a.hallucinated else "right" for a in answers])
    sources = sorted({a.source for a in answers})
    fold = np.array([sources.index(a.source) % FOLDS for a in answers])
    z = np.zeros(len(answers))
    for n in range(FOLDS):
        weights, bias = fit(x[fold != n], kinds[fold != n].tolist())
        z[fold == n] = x[fold == n] @ weights + bias
    return (-z).tolist()


def measured(answers: Sequence[Answer], values: Sequence[float]) -> tuple[float, float, float]:
    """AUROC with its interval."""
    good, bad = ([n for n, a in enumerate(answers) if a.hallucinated == side] for side in (False, True))
    sound, spoilt = ([values[n] for n in side] for side in (good, bad))
    groups, others = ([answers[n].source for n in side] for side in (good, bad))
    low, high = auroc_interval(sound, spoilt, groups, others, RESAMPLES) or (math.nan, math.nan)
    return auroc(sound, spoilt), low, high


def difference(answers: Sequence[Answer], ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """AUROC of `ours` minus that of `theirs`, with its interval: the same sources drawn for both."""
    import numpy as np

    labels = np.array([a.hallucinated for a in answers])
    names = sorted({a.source for a in answers})
    rows = [np.array([n for n, a in enumerate(answers) if a.source == name]) for name in names]
    a, b = np.array(ours), np.array(theirs)

    def gap(picked: Any) -> float:
        wrong = labels[picked]
        return auroc(a[picked][~wrong], a[picked][wrong]) - auroc(b[picked][~wrong], b[picked][wrong])

    chance = np.random.default_rng(SEED)
    draws = [gap(np.concatenate([rows[n] for n in chance.integers(0, len(rows), len(rows))])) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return gap(np.arange(len(answers))), float(low), float(high)


def report(answers: Sequence[Answer]) -> str:
    """The table, in Markdown."""
    all_scores = scores(answers)
    first = next(iter(all_scores.values()))
    second = [n for n, a in enumerate(answers) if a.second_half]
    lines = ["| score | AUROC, all | AUROC, second half | the judge's lead |", "|---|---|---|---|"]
    for name, values in all_scores.items():
        lead = "" if values is first else _interval(difference(answers, first, values), "+.3f")
        half = measured([answers[n] for n in second], [values[n] for n in second])
        lines.append(f"| {name} | {_interval(measured(answers, values))} | {_interval(half)} | {lead} |")
    return "\n".join(lines)


def against_key_facts(records: Sequence[EvalRecord]) -> str:
    """For each metric of a judge its AUROC for answers with all key facts, in Markdown."""
    judged = [r for r in records if VARIANTS[r.variant].retrieves and "key_facts" in r.scores]
    right, wrong = ([r for r in judged if bool(r.scores["key_facts"]) == side] for side in (True, False))
    lines = [f"{len(right)} answers hold their key facts, {len(wrong)} do not\n", "| score | AUROC |", "|---|---|"]
    for metric in LABELS:
        sides = [[r for r in side if metric in r.scores] for side in (right, wrong)]
        ours, theirs = ([r.scores[metric] for r in side] for side in sides)
        groups, others = ([r.document for r in side] for side in sides)
        low, high = auroc_interval(ours, theirs, groups, others) or (math.nan, math.nan)
        lines.append(f"| {metric} | {_interval((auroc(ours, theirs), low, high))} |")
    return "\n".join(lines)


def _interval(found: tuple[float, float, float], form: str = ".3f") -> str:
    value, low, high = found
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args(argv)
    try:
        if (options.file / "run.json").exists():
            print(against_key_facts(read_samples(options.file, read_run(options.file))))
            return 0
        answers = read(options.file)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(answers)} answers to {len({a.source for a in answers})} sources, "
          f"{sum(a.hallucinated for a in answers)} unfaithful\n")
    print(report(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
