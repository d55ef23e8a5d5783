"""The tokeniser that ragas is given to work with, with the methods that ragas calls."""

from __future__ import annotations

import itertools

from space import models, references


class ReversibleTokenizer:
    """The embedder's word pieces, as ragas' BaseTokenizer, cut where it cuts but kept as written: ragas
    decodes what it encoded and shows it to the model, and the embedder's own decoding is lower case."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self._cutter = Tokenizer.from_file(str(references.resolve(models.EMBEDDER) / "tokenizer.json"))
        self._cutter.no_truncation()
        self._cutter.no_padding()
        self._pieces: list[str] = []
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        starts = [start for start, end in self._cutter.encode(text, add_special_tokens=False).offsets if end > start]
        edges = [0, *sorted(set(starts) - {0}), len(text)]
        return [self._id(text[a:b]) for a, b in itertools.pairwise(edges) if b > a]

    def decode(self, tokens: list[int]) -> str:
        return "".join(self._pieces[token] for token in tokens)

    def _id(self, piece: str) -> int:
        if piece not in self._ids:
            self._ids[piece] = len(self._pieces)
            self._pieces.append(piece)
        return self._ids[piece]
