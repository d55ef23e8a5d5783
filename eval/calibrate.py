"""Fit the local judge on right and wrong claims made from our own training questions.

    python -m eval.calibrate            prints how well kinds of wrong claims are told from right ones,
                                        documents apart, and writes eval/local_judge.json

Right claims are the sentences of reference answers beside the passages of their evidence. Wrong ones are the
same sentences with a number or a name changed or the sense turned round, and sentences beside passages that
do not hold their evidence, of the same document and of others. Nothing but training questions is read.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.corrupt import change_name, change_number, contradict
from eval.judge import as_read
from eval.judge_features import FEATURES, Passages, features
from space import parts, retriever
from space.files import write_whole
from space.questions import evidence_passages, load_examples, topic
from space.schema import Example, Passage
from space.stats import auroc
from space.support import sentence_spans

WEIGHTS = Path(__file__).with_name("local_judge.json")
SEED = 3407
L2 = 1e-3
CORRUPTIONS = {"number": change_number, "name": change_name, "contradiction": contradict}


@dataclass(frozen=True)
class Claim:
    """A sentence beside passages. `kind` is right, or what is wrong: number | name | contradiction | near
    (passages of the same document) | far (of another); `document` groups claims."""

    text: str
    question: str
    passages: tuple[str, ...]
    kind: str
    document: str


def make_claims(examples: Sequence[Example], passages: Sequence[Passage], seed: int = SEED) -> list[Claim]:
    """Right and wrong claims of all examples whose evidence the index holds."""
    chance = random.Random(seed)
    by_id = {p.id: p for p in passages}
    holding = {e.id: list(dict.fromkeys(i for ids in evidence_passages(e, passages) for i in ids)) for e in examples}
    found: list[Claim] = []
    for example in (e for e in examples if holding[e.id]):
        own = [by_id[i] for i in holding[example.id]]
        rest = [p for p in passages if p.source == own[0].source and p.id not in holding[example.id]]
        far = [p for p in passages if p.source != own[0].source]
        beside = own + chance.sample(rest, min(len(rest), chance.choice((0, 0, 1, 2))))
        chance.shuffle(beside)
        given = {"right": beside, "near": chance.sample(rest, min(len(rest), 3)), "far": chance.sample(far, 3)}
        texts = {kind: tuple(map(as_read, group)) for kind, group in given.items() if group}
        for start, end in sentence_spans(example.reference):
            text = example.reference[start:end]
            made = {kind: (text, texts[kind]) for kind in texts}
            others = [p.text for p in beside] + [p.text for p in rest[:20]]
            for kind, change in CORRUPTIONS.items():
                if wrong := change(text, others, chance):
                    made[kind] = wrong, texts["right"]
            found += [Claim(t, example.question, given_, kind, topic(example)) for kind, (t, given_) in made.items()]
    return found


def measure(claims: Sequence[Claim]) -> Any:
    """The features of claims, shape (claims, len(FEATURES))."""
    import numpy as np

    prepared: dict[tuple[str, tuple[str, ...]], Passages] = {}
    rows = []
    for claim in claims:
        key = claim.question, claim.passages
        if key not in prepared:
            prepared[key] = Passages(claim.passages, claim.question)
        rows.append(features([claim.text], prepared[key])[0])
    return np.array(rows)


def fit(x: Any, kinds: Sequence[str]) -> tuple[Any, float]:
    """Weights (none negative, as every feature grows with doubt) and bias of a logistic regression of "wrong";
    right claims and each kind of wrong ones have the same total weight as the other side and kinds."""
    import numpy as np
    from scipy.optimize import minimize

    wrong = np.array([kind != "right" for kind in kinds], dtype=float)
    counts = {kind: list(kinds).count(kind) for kind in set(kinds)}
    weight = np.array([(0.5 if kind == "right" else 0.5 / (len(counts) - 1)) / counts[kind] for kind in kinds])

    def loss(theta: Any) -> tuple[float, Any]:
        z = x @ theta[:-1] + theta[-1]
        p = 1 / (1 + np.exp(-z))
        value = float((weight * (np.logaddexp(0, z) - wrong * z)).sum() + L2 * (theta[:-1] ** 2).sum())
        slope = weight * (p - wrong)
        return value, np.append(x.T @ slope + 2 * L2 * theta[:-1], slope.sum())

    bounds = [(0, None)] * x.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x[:-1], float(found.x[-1])


def apart(x: Any, claims: Sequence[Claim], folds: int = 5) -> dict[str, float]:
    """AUROC of right claims against each kind of wrong ones, each document scored by weights that were
    fitted without it."""
    import numpy as np

    documents = sorted({c.document for c in claims})
    fold = np.array([documents.index(c.document) % folds for c in claims])
    kinds = np.array([c.kind for c in claims])
    z = np.zeros(len(claims))
    for n in range(folds):
        weights, bias = fit(x[fold != n], kinds[fold != n].tolist())
        z[fold == n] = x[fold == n] @ weights + bias
    return {kind: auroc(-z[kinds == "right"], -z[kinds == kind]) for kind in sorted(set(kinds) - {"right"})}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args(argv)
    claims = make_claims(load_examples(part="train"), retriever.read_passages(parts.index_folder() / "passages.jsonl"))
    x = measure(claims)
    kinds = [c.kind for c in claims]
    for kind, value in apart(x, claims).items():
        print(f"right ({kinds.count('right')}) against {kind} ({kinds.count(kind)}): AUROC {value:.3f}")
    weights, bias = fit(x, kinds)
    row = {"weights": {name: round(float(w), 4) for name, w in zip(FEATURES, weights, strict=True)},
           "bias": round(bias, 4), "claims": len(claims), "seed": SEED}
    write_whole(options.out, json.dumps(row, indent=1, allow_nan=False) + "\n")
    print(json.dumps(row["weights"]), row["bias"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
