"""The work-load of `eval.bench serve`, and what is noted of it: the same questions for every system."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

from space import prompts
from space.schema import CHAT_VARIANTS, Passage
from space.settings import ASSETS

PASSAGES = 3
WORDS_PER_TOKEN = 0.52
"""Of the shipped papers, numbers and tables included; only sets how long the passages come out."""


@dataclass(frozen=True)
class Load:
    """`users` ask at the same moment, each one question to three variants; every answer has exactly
    `answer_tokens` tokens, end tokens or not. `passage_tokens` is roughly how long the passages of the
    third variant are together. `alone`: one answer after another, each timed from when it is asked."""

    users: int
    seed: int
    answer_tokens: int = 150
    passage_tokens: int = 450
    alone: bool = False


@dataclass(frozen=True)
class Ask:
    """One answer that is wanted."""

    user: int
    variant: str
    question: str
    passages: tuple[Passage, ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        return prompts.messages(self.question, self.passages)


@dataclass(frozen=True)
class Told:
    """When an answer's first text and its end came, in seconds after all were asked."""

    user: int
    variant: str
    first_s: float
    done_s: float
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class Round:
    """One load answered by one system. `memory_mb` is what the process holds for itself after it, model
    file pages included where they are its own (proportional set size)."""

    told: tuple[Told, ...]
    cpu_s: float
    memory_mb: float

    @property
    def all_s(self) -> float:
        """Until everybody has all three answers."""
        return max(t.done_s for t in self.told)

    @property
    def tokens_per_cpu_s(self) -> float:
        return sum(t.answer_tokens for t in self.told) / self.cpu_s

    def first_s(self, variant: str) -> float:
        """Mean over users, until the first text of this variant."""
        firsts = [t.first_s for t in self.told if t.variant == variant]
        return sum(firsts) / len(firsts)

    @property
    def fairness(self) -> float:
        """The latest first text of anyone, in shares: `all_s` divided by the number of answers is one share."""
        return max(t.first_s for t in self.told) / (self.all_s / len(self.told))

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def of_json(data: dict) -> Round:
        return Round(tuple(Told(**told) for told in data["told"]), data["cpu_s"], data["memory_mb"])


def asks(load: Load) -> list[Ask]:
    """What the users of a load ask, user by user. Equal loads ask the same."""
    rng = random.Random(load.seed)
    papers = [path.read_text(encoding="utf-8").split() for path in sorted((ASSETS / "corpus").glob("*.md"))]
    wanted = []
    for user in range(load.users):
        question = f"What is said about {' '.join(_stretch(rng, papers, 4))}, and why does it matter?"
        words = int(load.passage_tokens * WORDS_PER_TOKEN) // PASSAGES
        passages = tuple(Passage(f"bench-{n}", " ".join(_stretch(rng, papers, words)), "bench", "A paper", "Results")
                         for n in range(PASSAGES))
        wanted += [Ask(user, v.key, question, passages if v.retrieves else ()) for v in CHAT_VARIANTS]
    return wanted


def _stretch(rng: random.Random, papers: list[list[str]], words: int) -> list[str]:
    paper = rng.choice([paper for paper in papers if len(paper) > words])
    start = rng.randrange(len(paper) - words)
    return paper[start:start + words]
