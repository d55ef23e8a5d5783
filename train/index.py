"""Cut the corpus into passages and build the search index.

    python -m train.index                         the shipped corpus -> assets/index
    python -m train.index --corpus DIR            your own documents -> DIR/index (then: CORPUS_DIR=DIR make demo)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from space import corpus, models, retriever, sums
from space.errors import UserError
from space.files import unwritable
from space.settings import ASSETS


def build(corpus_dir: Path, out: Path, aim: int = corpus.PASSAGE_SIZE) -> dict:
    """Write the index of all documents in `corpus_dir` to `out`; returns its manifest."""
    documents = corpus.read_documents(corpus_dir, changed=True)
    passages = [p for document in documents for p in corpus.passages(document, aim)]
    manifest = retriever.write_index(out, passages, models.EMBEDDER, corpus.corpus_hash(documents),
                                     documents=len(documents), passage_size=aim)
    if sums.names(corpus_dir):
        sums.seal(corpus_dir, "*.md")
    return manifest


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=ASSETS / "corpus")
    parser.add_argument("--out", type=Path, help="index folder; default: beside the documents")
    options = parser.parse_args(argv)
    options.out = options.out or (ASSETS if options.corpus == ASSETS / "corpus" else options.corpus) / "index"
    try:
        manifest = build(options.corpus, options.out)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(unwritable(error), file=sys.stderr)
        return 2
    print(f"{manifest['passages']} passages of {manifest['documents']} documents -> {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
