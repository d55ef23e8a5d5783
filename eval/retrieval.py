"""Does retrieval find the evidence? recall@1, @3, @5 and MRR of MiniLM, BM25 and their fusion.

    python -m eval.retrieval [--parts train,dev] [--sweep]       choose on these
    python -m eval.retrieval --parts heldout                      report once
    python -m eval.retrieval --parts dev --sentences              what a model that reads sentences gets to see

Also: how well the best cosine tells questions that the corpus covers from those it does not
(unanswerable ones of the parts, and the off-topic ones in assets/qa/offtopic.txt).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from space import corpus, models, retriever
from space.errors import UserError
from space.key_facts import hits
from space.questions import evidence_passages, load_examples
from space.schema import Example, Passage
from space.settings import ASSETS, Settings

MOST_SENTENCES = 5
PREFIXES = {
    "text alone": lambda p: p.text,
    "heading": lambda p: f"{p.heading}. {p.text}",
    "title and heading": retriever.passage_text,
}


def ranks(examples: Sequence[Example], passages: Sequence[Passage], scores: Any) -> list[list[int]]:
    """For each quote of each example the rank (0 is best) of the first passage that holds it;
    `scores` has the shape (examples, passages). A quote no passage holds ranks last."""
    rows = {p.id: n for n, p in enumerate(passages)}
    found = []
    for example, score in zip(examples, scores, strict=True):
        place = (-score).argsort(kind="stable").argsort()
        found.append([min((int(place[rows[i]]) for i in ids), default=len(passages))
                      for ids in evidence_passages(example, passages)])
    return found


def recall(found: Sequence[Sequence[int]], k: int) -> float:
    """Mean over questions of the share of their quotes among the first `k` passages."""
    return sum(sum(r < k for r in quotes) / len(quotes) for quotes in found) / len(found)


def reciprocal_rank(found: Sequence[Sequence[int]]) -> float:
    """Mean over questions of 1 / (1 + rank) of the first right passage."""
    return sum(1 / (1 + min(quotes)) for quotes in found) / len(found)


def auroc(high: Sequence[float], low: Sequence[float]) -> float:
    """Chance that a value of `high` lies above one of `low`; ties count half."""
    wins = sum((h > x) + 0.5 * (h == x) for h in high for x in low)
    return wins / (len(high) * len(low))


class Bench:
    """A corpus cut and embedded in one way, and questions scored against it."""

    def __init__(self, documents: Sequence[corpus.Document], aim: int, prefix: str) -> None:
        self.passages = [p for d in documents for p in corpus.passages(d, aim)]
        self.texts = [PREFIXES[prefix](p) for p in self.passages]
        self._embedder = retriever.load_embedder(models.EMBEDDER)
        self._vectors = retriever.embed(self._embedder, self.texts)

    def cosines(self, questions: Sequence[str]) -> Any:
        return retriever.embed(self._embedder, questions) @ self._vectors.T

    def lexical(self, questions: Sequence[str]) -> Any:
        import numpy as np

        index = retriever.bm25(self.texts)
        scores = np.stack([index.get_scores(retriever.words(q)) for q in questions])
        return scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-9)


def table(bench: Bench, examples: Sequence[Example], weights: Sequence[float]) -> list[str]:
    """A Markdown row per weight of BM25: recall@1, @3, @5, MRR."""
    asked = [e.question for e in examples]
    cosines, lexical = bench.cosines(asked), bench.lexical(asked)
    lines = []
    for weight in weights:
        found = ranks(examples, bench.passages, (1 - weight) * cosines + weight * lexical)
        name = {0.0: "MiniLM", 1.0: "BM25"}.get(weight, f"fusion, BM25 {weight}")
        lines.append(f"| {name} | " + " | ".join(f"{recall(found, k):.3f}" for k in (1, 3, 5))
                     + f" | {reciprocal_rank(found):.3f} |")
    return lines


def coverage(bench: Bench, answerable: Sequence[Example], unanswerable: Sequence[Example],
             offtopic: Sequence[str], threshold: float) -> list[str]:
    """What the notice "the corpus may not cover this" does at `threshold`."""
    def best(questions: Sequence[str]) -> list[float]:
        return [float(row.max()) for row in bench.cosines(questions)] if questions else []

    covered = best([e.question for e in answerable])
    lines = [f"notice below a best cosine of {threshold}: wrongly on "
             f"{sum(c < threshold for c in covered)} of {len(covered)} answerable questions"]
    for name, values in (("off-topic", best(offtopic)), ("unanswerable", best([e.question for e in unanswerable]))):
        if values:
            lines.append(f"{name}: rightly on {sum(v < threshold for v in values)} of {len(values)}; "
                         f"AUROC against answerable ones {auroc(covered, values):.3f}")
    return lines


def facts_in_sentences(examples: Sequence[Example], finder: retriever.Retriever, passages: int,
                       most: int) -> list[float]:
    """For 1, 2, … `most` sentences, the best of the passages found: the share of examples all of whose key facts stand
    in them."""
    found = [0] * most
    for example in examples:
        ranked = finder.rank_sentences(example.question, finder.search(example.question, passages))
        for count in range(1, most + 1):
            found[count - 1] += all(hits(example.key_facts, " ".join(s.text for s in ranked[:count])))
    return [hit / len(examples) for hit in found]


def sentence_table(shares: Sequence[float]) -> list[str]:
    """`facts_in_sentences` as Markdown."""
    counts = " | ".join(str(n) for n, _ in enumerate(shares, 1))
    return [f"| best sentences | {counts} |", "|---" * (len(shares) + 1) + "|",
            f"| all key facts in them | {' | '.join(f'{share:.3f}' for share in shares)} |"]


def offtopic_questions(heldout: bool) -> list[str]:
    """Every third line is kept for the report, the others are for choosing."""
    lines = (ASSETS / "qa" / "offtopic.txt").read_text().splitlines()
    return [line for n, line in enumerate(lines) if line.strip() and (n % 3 == 2) == heldout]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="train,dev")
    parser.add_argument("--sweep", action="store_true", help="passage sizes, prefixes and weights")
    parser.add_argument("--sentences", action="store_true", help="key facts in the best sentences of three passages")
    options = parser.parse_args(argv)
    parts = options.parts.split(",")
    try:
        examples = [e for part in parts for e in load_examples(part=part)]
        documents = corpus.read_documents(ASSETS / "corpus")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    answerable = [e for e in examples if e.evidence]
    if not answerable:
        print(f"There are no questions in {options.parts}.", file=sys.stderr)
        return 2
    if options.sentences:
        shipped = retriever.Retriever(ASSETS / "index", models.EMBEDDER)
        print("\n".join(sentence_table(facts_in_sentences(answerable, shipped, Settings.passages, MOST_SENTENCES))))
        return 0
    sizes = (80, 100, 120, 160) if options.sweep else (corpus.PASSAGE_SIZE,)
    for aim in sizes:
        for prefix in PREFIXES if options.sweep else ("title and heading",):
            bench = Bench(documents, aim, prefix)
            print(f"\n{options.parts}, {len(answerable)} questions; "
                  f"{len(bench.passages)} passages of size {aim}, {prefix}\n"
                  "\n| retriever | recall@1 | recall@3 | recall@5 | MRR |\n|---|---|---|---|---|")
            weights = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0) if options.sweep else (0.0, retriever.BM25_WEIGHT, 1.0)
            print("\n".join(table(bench, answerable, weights)), flush=True)
    if not options.sweep:
        print("\n" + "\n".join(coverage(bench, answerable, [e for e in examples if not e.evidence],
                                        offtopic_questions("heldout" in parts), retriever.COVERED_COSINE)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
