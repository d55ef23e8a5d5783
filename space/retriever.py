"""Passages for a question: all-MiniLM-L6-v2 in a FAISS inner-product index, fused with BM25.

The index folder holds `passages.jsonl`, `vectors.faiss`, `sentences.npy` and `manifest.json` with the hashes of
all three, of the corpus and of the embedder; `python -m train.index` writes it. A folder whose hashes
do not match is refused, which switches off the RAG column and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from space import corpus, excerpts, references
from space.errors import UserError
from space.files import write_whole
from space.json_text import parse_json
from space.schema import Passage
from space.shapes import check_shape

SCHEMA = 2
FILES = ("passages.jsonl", "vectors.faiss", "sentences.npy")
BM25_WEIGHT = 0.3
"""Share of BM25 in the fused score, chosen on the training questions (docs/experiments.md)."""
COVERED_COSINE = 0.40
"""Under this best cosine the corpus probably does not cover a question; chosen on train and dev."""
REBUILD = "Build it again with `python -m train.index`."


class Searcher(Protocol):
    """Anything that finds passages."""

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        """The `k` best passages, best first, with their scores."""
        ...


@cache
def load_embedder(reference: str) -> Any:
    """The sentence-transformers model of a reference, on the CPU."""
    path = references.resolve(reference)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(path), device="cpu", local_files_only=True)


def embed(embedder: Any, texts: Sequence[str]) -> Any:
    """Unit vectors, float32, shape (texts, width)."""
    return embedder.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True,
                           show_progress_bar=False, batch_size=32).astype("float32")


def embedder_hash(reference: str) -> str:
    """SHA-256 of the embedder's weights file. Raises UserError where there is none."""
    path = references.resolve(reference) / "model.safetensors"
    try:
        return references.sha256_of(path)
    except OSError:
        raise UserError(f"The embedding model {reference} has no {path.name}.",
                        "Install it again with `make setup`, or name another in EMBEDDER.") from None


def passage_text(passage: Passage) -> str:
    """What is embedded of a passage: its title and heading, then its text."""
    return f"{passage.title}. {passage.heading}. {passage.text}"


class Retriever:
    """An index folder, opened and checked, with the embedder that made it."""

    def __init__(self, folder: Path, embedder: str) -> None:
        manifest = _read_manifest(folder)
        for name in FILES:
            path = folder / name
            if not path.exists():
                raise UserError(f"The search index lacks {name}.", REBUILD)
            if _file_hash(path) != manifest["files"].get(name):
                raise UserError(f"{name} of the search index is damaged or was changed.", REBUILD)
        if embedder_hash(embedder) != manifest["embedder_sha256"]:
            raise UserError("The search index was made with another embedding model.", REBUILD)
        import faiss

        self.manifest = manifest
        self.passages = read_passages(folder / "passages.jsonl")
        self._index = faiss.read_index(str(folder / "vectors.faiss"))
        if self._index.ntotal != len(self.passages):
            raise UserError("The search index and its passages differ in number.", REBUILD)
        self._embedder = load_embedder(embedder)
        self._bm25 = bm25([passage_text(p) for p in self.passages])
        vectors = _read_vectors(folder / "sentences.npy", len(excerpts.embedded(self.passages)))
        self._ranker = excerpts.Ranker(self.passages, vectors, lambda texts: embed(self._embedder, texts), words)

    def check_corpus(self, folder: Path) -> None:
        """Hold the index to the documents of a folder, where there are any: passages of another state of them would
        be shown as theirs. Raises UserError where they differ."""
        made_of = self.manifest.get("corpus_sha256")
        if any(folder.glob("*.md")) and corpus.corpus_hash(corpus.read_documents(folder)) != made_of:
            raise UserError("The search index was made of another state of the documents.", REBUILD)

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        """The `k` best passages by the fused score, best first; `score` is the fused score, 0..1."""
        cosines = self.cosines([question])[0]
        fused = (1 - BM25_WEIGHT) * cosines + BM25_WEIGHT * self.lexical(question)
        best = (-fused).argsort(kind="stable")[:k]
        return tuple(replace(self.passages[row], score=round(float(fused[row]), 4),
                             cosine=round(float(cosines[row]), 4)) for row in best)

    def rank_sentences(self, question: str, passages: Sequence[Passage]) -> list[excerpts.Sentence]:
        """The sentences of these passages, the closest to the question first."""
        return self._ranker.rank(question, passages)

    def cosines(self, questions: Sequence[str]) -> Any:
        """Cosine of each question to every passage, shape (questions, passages)."""
        import numpy as np

        scores, rows = self._index.search(embed(self._embedder, questions), len(self.passages))
        ordered = np.empty_like(scores)
        np.put_along_axis(ordered, rows, scores, axis=1)
        return ordered

    def lexical(self, question: str) -> Any:
        """BM25 of the question to every passage, divided by the highest: 0..1, shape (passages,). A question
        without a word that BM25 counts, as in another script, scores 0 everywhere; bm25s fails on it."""
        import numpy as np

        counted = words(question)
        scores = self._bm25.get_scores(counted) if counted else np.zeros(len(self.passages), dtype="float32")
        return scores / max(float(scores.max()), 1e-9)


def write_index(folder: Path, passages: Sequence[Passage], embedder: str,
                corpus_sha256: str, **about: object) -> dict[str, Any]:
    """Embed `passages` and write the index folder; returns the manifest. Files are replaced whole."""
    import faiss

    vectors = embed(load_embedder(embedder), [passage_text(p) for p in passages])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({k: v for k, v in asdict(p).items() if k not in ("score", "cosine", "excerpt")}) + "\n"
                    for p in passages)
    write_whole(folder / "passages.jsonl", lines.encode())
    write_whole(folder / "vectors.faiss", faiss.serialize_index(index).tobytes())
    write_whole(folder / "sentences.npy", _saved(embed(load_embedder(embedder), excerpts.embedded(passages))))
    manifest = {
        "schema": SCHEMA, "passages": len(passages), "width": int(vectors.shape[1]),
        "corpus_sha256": corpus_sha256, "embedder": embedder,
        "embedder_sha256": embedder_hash(embedder), **about,
        "files": {n: _file_hash(folder / n) for n in FILES},
    }
    write_whole(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    return manifest


def covered(passages: Sequence[Passage]) -> bool:
    """Whether the corpus seems to cover the question that found these passages."""
    return any(p.cosine >= COVERED_COSINE for p in passages)


def words(text: str) -> list[str]:
    """The words that BM25 counts: lower case, figures with their points and @ kept whole."""
    return re.findall(r"[a-z0-9]+(?:[.@][0-9]+)*", text.lower())


def bm25(texts: Sequence[str]) -> Any:
    """A BM25 index over texts."""
    import bm25s

    index = bm25s.BM25()
    index.index([words(text) for text in texts], show_progress=False)
    return index


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = parse_json((folder / "manifest.json").read_text())
        if manifest["schema"] != SCHEMA:
            raise UserError(f"The search index has format {manifest['schema']}, not {SCHEMA}.", REBUILD)
        _ = manifest["files"]["passages.jsonl"], manifest["embedder_sha256"]
        return manifest
    except FileNotFoundError:
        raise UserError("There is no search index.", REBUILD) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("The manifest of the search index is unreadable.", REBUILD) from error


def read_passages(path: Path) -> list[Passage]:
    """The passages of an index, from its passages.jsonl. Raises UserError for a line that is none."""
    passages = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        if not line:
            continue
        try:
            passages.append(check_shape(Passage(**parse_json(line))))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"Line {number} of {path.name} is no passage.", REBUILD) from None
    return passages


def _saved(vectors: Any) -> bytes:
    """An array as the bytes of a .npy file, in float16: half the size, and cosines differ by under 0.001."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, vectors.astype(np.float16), allow_pickle=False)
    return buffer.getvalue()


def _read_vectors(path: Path, rows: int) -> Any:
    import numpy as np

    try:
        vectors = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise UserError("sentences.npy of the search index is unreadable.", REBUILD) from error
    if vectors.ndim != 2 or len(vectors) != rows:
        raise UserError("The search index and its sentences differ in number.", REBUILD)
    return vectors


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
