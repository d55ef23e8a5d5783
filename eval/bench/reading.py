"""What the reading of passages costs and brings, on the dev questions that have an answer:

    python -m eval.bench reading states       passages read ahead of time, against reading them all
    python -m eval.bench reading passages     number and length of passages, and the limit of the answer

Each row is one way to ask: answers with all their key facts, likeness to the reference answer, tokens, and the time
to the first token. Differences are paired with the first row of the same column, with 95 % intervals by document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from space import corpus, excerpts, key_facts, models, parts, prompts, retriever, stats
from space.answer import answer_all
from space.engine import Ahead, LocalEngine, Request
from space.errors import UserError
from space.files import write_whole
from space.passage_states import Mode
from space.questions import load_examples, topic
from space.schema import PLAIN_RAG, TUNED_RAG, Answer, Example, Passage, Sampling, Variant
from space.settings import ROOT, load_settings

BUDGET = 4 * 2**30
LIMITS = (15, 20, 30, 40, 60, 100, 200)
SENTENCES = (2, 1, 3, 4)
GRID = {100: (3, 1, 2, 5), 60: (1, 3, 5), 160: (1, 3)}
"""Size of the passages -> how many of them."""


@dataclass(frozen=True)
class Way:
    """One way to ask: `sentences` of the passages, or the passages whole (0); `size` is how long passages are, in
    the units of space/corpus.py."""

    variant: Variant
    sentences: int = 0
    passages: int = 3
    size: int = corpus.PASSAGE_SIZE
    states: str = "off"

    @property
    def label(self) -> str:
        what = f"{self.sentences} sentences" if self.sentences else f"{self.passages} x {self.size}"
        return f"{self.variant.label}, {what}, states {self.states}"


@dataclass(frozen=True)
class Told:
    """One answer; `read` are the prompt tokens that were read for it."""

    id: str
    text: str
    tokens: tuple[str, ...]
    hit: bool
    likeness: float
    prompt: int
    read: int
    first_s: float


def ways(kind: str) -> list[Way]:
    """The rows of a table, those of one column together, the one they are compared with first."""
    if kind == "states":
        return [Way(variant, sentences, states=states)
                for variant, sentences, modes in (
                    (TUNED_RAG, 2, ("off", "first", "all:0", "all:4", "all:8")),
                    (TUNED_RAG, 0, ("off", "all:0", "all:8", "all:16")),
                    (PLAIN_RAG, 0, ("off", "all:0", "all:8", "all:16")))
                for states in modes]
    return [Way(TUNED_RAG, count) for count in SENTENCES] + [
        Way(TUNED_RAG, 0, count, size) for size, counts in GRID.items() for count in counts]


class Desk:
    """Asks the questions in every way, so many `abreast`; indexes of other passage sizes are built once in `folder`."""

    def __init__(self, questions: Sequence[Example], folder: Path, abreast: int = 1) -> None:
        settings = load_settings()
        self._profile = models.load_profile(settings.profile)
        self._questions, self._folder, self._abreast = questions, folder, abreast
        self._finders: dict[int, retriever.Retriever] = {}
        self._engines: dict[str, LocalEngine] = {}
        self._sampling = Sampling(max_tokens=settings.max_tokens)

    def ask(self, way: Way) -> list[Told]:
        """All answers of a way; where it uses states, all of them are made before the first question."""
        engine = self._engine(way.states)
        asked = [Request(way.variant, prompts.build(e.question, self._found(e.question, way)), self._sampling)
                 for e in self._questions]
        if way.states != "off":
            engine.read_ahead(asked)
            time.sleep(0.2)
            while engine.reading_ahead:
                time.sleep(0.1)

        def answered(one: Request) -> Answer:
            return answer_all(engine.stream([one]), [way.variant])[way.variant.key]

        with ThreadPoolExecutor(self._abreast) as pool:
            answers = list(pool.map(answered, asked))
        embedder = retriever.load_embedder(self._profile.embedder)
        pairs = zip(retriever.embed(embedder, [a.text for a in answers]),
                    retriever.embed(embedder, [e.reference for e in self._questions]), strict=True)
        told = []
        weights = engine.lane(way.variant.tuned)[0].weights
        for example, answer, (mine, wanted) in zip(self._questions, answers, pairs, strict=True):
            assert answer.done, answer.error
            pieces = tuple(weights.piece(t).decode("utf-8", "replace") for t in weights.tokenize(answer.text, False))
            told.append(Told(example.id, answer.text, pieces, all(key_facts.hits(example.key_facts, answer.text)),
                             float(mine @ wanted), answer.done.prompt_tokens,
                             answer.done.prompt_tokens - answer.done.cached_tokens, answer.done.first_token_s))
        return told

    def _engine(self, states: str) -> LocalEngine:
        if states not in self._engines:
            settings = load_settings()
            ahead = None if states == "off" else Ahead(Mode.parse(states), self._folder / "states" / states, BUDGET)
            self._engines[states] = LocalEngine(self._profile, settings.context_tokens, settings.thread_count, ahead)
        return self._engines[states]

    def _found(self, question: str, way: Way) -> Sequence[Passage]:
        finder = self._finder(way.size)
        found = finder.search(question, way.passages)
        if way.sentences:
            return excerpts.excerpt(found, finder.rank_sentences(question, found)[:way.sentences])
        return found

    def _finder(self, size: int) -> retriever.Retriever:
        if size not in self._finders:
            folder = parts.index_folder()
            if size != corpus.PASSAGE_SIZE:
                from train import index

                folder = self._folder / f"index-{size}"
                if not folder.exists():
                    index.build(ROOT / "assets" / "corpus", folder, size)
            self._finders[size] = retriever.Retriever(folder, self._profile.embedder)
        return self._finders[size]


def compared(told: Sequence[Told], base: Sequence[Told], documents: Sequence[str], field: str) -> str:
    """The mean difference of a field to the base, with its interval."""
    differences = [float(getattr(a, field)) - float(getattr(b, field)) for a, b in zip(told, base, strict=True)]
    bounds = stats.interval(differences, documents)
    mean = f"{fmean(differences):+.3f}"
    return f"{mean} [{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else mean


def rows(done: Sequence[tuple[Way, list[Told]]], documents: Sequence[str]) -> Iterator[str]:
    """Markdown lines: a way a row."""
    yield ("| way | all key facts | difference | likeness, difference | same answers | prompt tokens | read | "
           "first token, s |")
    yield "|---|---|---|---|---|---|---|---|"
    base: tuple[Way, list[Told]] | None = None
    for way, told in done:
        if base is None or (base[0].variant, base[0].sentences > 0) != (way.variant, way.sentences > 0):
            base = way, told
        same = sum(a.text == b.text for a, b in zip(told, base[1], strict=True))
        hits, likeness = (compared(told, base[1], documents, field) for field in ("hit", "likeness"))
        yield (f"| {way.label} | {sum(t.hit for t in told)} of {len(told)} | {hits} | {likeness} | {same} "
               f"| {fmean(t.prompt for t in told):.0f} | {fmean(t.read for t in told):.0f} "
               f"| {fmean(t.first_s for t in told):.2f} |")


def limits(done: Sequence[tuple[Way, list[Told]]], questions: Sequence[Example]) -> Iterator[str]:
    """Markdown lines: how many answers keep all key facts when they are cut after so many tokens."""
    yield "| way | " + " | ".join(f"{limit} tokens" for limit in LIMITS) + " |"
    yield "|---" * (len(LIMITS) + 1) + "|"
    for way, told in done:
        counts = [sum(all(key_facts.hits(e.key_facts, "".join(t.tokens[:limit]))) for e, t in
                      zip(questions, told, strict=True)) for limit in LIMITS]
        yield f"| {way.label} | " + " | ".join(map(str, counts)) + " |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m eval.bench reading", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("states", "passages"))
    parser.add_argument("--part", default="dev", choices=("dev", "heldout"))
    parser.add_argument("--only", action="append", help="only ways whose label contains this; may come again")
    parser.add_argument("--limit", type=int, default=0, help="only so many questions")
    parser.add_argument("--abreast", type=int, default=1,
                        help="so many questions at once: sooner done, same answers, later first tokens")
    parser.add_argument("--folder", type=Path, help="keeps states and indexes here for another run")
    parser.add_argument("--out", type=Path, help="write every answer to this JSON file")
    options = parser.parse_args(arguments)
    questions = [e for e in load_examples(part=options.part) if e.kind != "unanswerable"]
    questions = questions[:options.limit or None]
    chosen = [way for way in ways(options.kind) if any(part in way.label for part in options.only or [""])]
    if not chosen:
        raise UserError(f"No way is called {' or '.join(options.only or [])!r}.", "Leave --only out to see them all.")
    done: list[tuple[Way, list[Told]]] = []
    with tempfile.TemporaryDirectory() as temporary:
        desk = Desk(questions, options.folder or Path(temporary), options.abreast)
        for way in chosen:
            done.append((way, desk.ask(way)))
            print(f"{way.label}: {sum(t.hit for t in done[-1][1])} of {len(questions)}", file=sys.stderr, flush=True)
            if options.out:
                found: list[dict[str, Any]] = [{"way": asdict(w), "answers": [asdict(t) for t in told]}
                                               for w, told in done]
                write_whole(options.out, json.dumps(found, ensure_ascii=False, indent=1))
    print("\n".join(rows(done, [topic(e) for e in questions])))
    if options.kind == "passages":
        print("\n" + "\n".join(limits(done, questions)))
    return 0
