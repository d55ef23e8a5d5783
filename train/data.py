"""The questions: checked, split, and turned into training rows.

    python -m train.data check            counts, leak report, every rule (exit 1 if one is broken)
    python -m train.data split            assign train / dev / heldout anew and write the file
    python -m train.data seal             take the files of assets/qa as they are now: write their SHA256SUMS
    python -m train.data export --out DIR write a folder for datasets.load_dataset (see train/dataset.py)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from space import corpus, questions, sums
from space.errors import UserError
from space.questions import load_examples, squeeze, topic
from space.schema import Example
from space.settings import ASSETS, ROOT

SEED = 3407
FILES = "*.[jt]*"
"""The data among the files of assets/qa: questions.jsonl and offtopic.txt."""
SHARES = {"train": 0.7, "dev": 0.1, "heldout": 0.2}


def section_of(example: Example, sections: Sequence[corpus.Section]) -> list[tuple[str, str]]:
    """(document, heading) of each quote. A passage never crosses a section, so questions of
    different sections never share a passage, however passages are cut."""
    found = []
    for evidence in example.evidence:
        for section in sections:
            if section.document == evidence.document and squeeze(evidence.quote) in squeeze(section.text):
                found.append((section.document, section.heading))
                break
    return found


def groups(examples: Sequence[Example], sections: Sequence[corpus.Section]) -> list[list[Example]]:
    """Examples that share a section, directly or through others, together."""
    parent: dict[object, object] = {}

    def root(key: object) -> object:
        parent.setdefault(key, key)
        while parent[key] != key:
            key = parent[key]
        return key

    places = {}
    for example in examples:
        places[example.id] = section_of(example, sections) or [(example.id, "")]
        for place in places[example.id][1:]:
            parent[root(place)] = root(places[example.id][0])
        root(places[example.id][0])
    together: dict[object, list[Example]] = defaultdict(list)
    for example in examples:
        together[root(places[example.id][0])].append(example)
    return list(together.values())


def split(examples: Sequence[Example], sections: Sequence[corpus.Section]) -> list[Example]:
    """The same examples with train / dev / heldout assigned, 70/10/20 by groups, stratified by
    document and kind. The same input gives the same split (seed 3407)."""
    strata = Counter(key for e in examples for key in _strata(e))
    filled: Counter[tuple[str, str]] = Counter()
    parts = {}
    order = groups(examples, sections)
    random.Random(SEED).shuffle(order)
    for group in sorted(order, key=len, reverse=True):
        def fullness(part: str, group: list[Example] = group) -> float:
            return sum((filled[part, key] + 1) / (SHARES[part] * strata[key])
                       for e in group for key in _strata(e))

        part = min(SHARES, key=fullness)
        for example in group:
            parts[example.id] = part
            filled.update((part, key) for key in _strata(example))
    return [replace(e, split=parts[e.id]) for e in examples]


def _strata(example: Example) -> tuple[str, ...]:
    """What is kept in proportion; the total twice, as it matters most."""
    return (f"document {topic(example)}", f"kind {example.kind}", "total", "sum")


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write the JSONL file, replacing it whole."""
    part = path.with_name(path.name + ".part")
    rows = []
    for example in examples:
        row = asdict(example)
        if not example.paraphrase_of:
            del row["paraphrase_of"]
        rows.append(json.dumps(row, ensure_ascii=False))
    part.write_text("\n".join(rows) + "\n", encoding="utf-8")
    os.replace(part, path)


def _export(options: argparse.Namespace) -> int:
    from train import dataset
    from train.config import load_recipe

    if options.out is None:
        raise UserError("The export has no folder to go to.", "Add --out DIR.")
    dataset.export(options.out, load_recipe(options.recipe), options.questions,
                   say=lambda line: print(line, flush=True))
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["check", "split", "seal", "export"])
    parser.add_argument("--questions", type=Path, default=questions.QUESTIONS)
    parser.add_argument("--corpus", type=Path, default=ASSETS / "corpus")
    parser.add_argument("--out", type=Path, help="export: the folder to write")
    parser.add_argument("--recipe", type=Path, default=ROOT / "train" / "recipes" / "smollm2-135m.toml",
                        help="export: whose chat rows are written")
    options = parser.parse_args(argv)
    try:
        if options.action == "export":
            return _export(options)
        if options.action == "seal":
            sums.seal(options.questions.parent, FILES)
            return 0
        examples = load_examples(options.questions)
        documents = corpus.read_documents(options.corpus)
        if options.action == "split":
            sections = [s for d in documents for s in corpus.sections(d)]
            own = split([e for e in examples if e.split != "paraphrase"], sections)
            write_examples(options.questions, own + [e for e in examples if e.split == "paraphrase"])
            if sums.names(options.questions.parent):
                sums.seal(options.questions.parent, FILES)
            print(Counter(e.split for e in own))
            return 0
        from train import check

        report = check.check(examples, documents)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
