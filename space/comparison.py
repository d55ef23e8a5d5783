"""One comparison: a question, its settings, and a column for each variant. Immutable; a run makes new ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from space import follow_up
from space.options import Options
from space.schema import Answer, AnswerEvent, Example, Passage, Sampling
from space.settings import load_settings


@dataclass(frozen=True)
class Source:
    """Where recorded answers come from: the run's folder name, its day, its file under assets/."""

    run: str
    day: str
    file: str


@dataclass(frozen=True)
class Column:
    """An answer and how it was sampled; `source` where it is recorded, `tries` how often it was asked anew."""

    answer: Answer
    sampling: Sampling
    source: Source | None = None
    tries: int = 0


@dataclass(frozen=True)
class Comparison:
    """`order` are the variants' keys from left to right; `earlier` the questions that a follow-up leans on.
    In a `blind` comparison nothing may tell the columns apart until `vote` (a key, or "tie") is given."""

    question: str
    options: Options
    order: tuple[str, ...]
    columns: dict[str, Column]
    earlier: tuple[str, ...] = ()
    blind: bool = False
    vote: str = ""
    example: Example | None = field(default=None)

    @property
    def full_question(self) -> str:
        """What is searched and asked: with the earlier questions, where this is a follow-up."""
        return follow_up.full_question(self.earlier, self.question, load_settings().max_question_chars)

    @property
    def hidden(self) -> bool:
        """Whether the names are still withheld."""
        return self.blind and not self.vote

    @property
    def finished(self) -> bool:
        return all(c.answer.finished for c in self.columns.values())

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages that were retrieved for this question, whichever column read them."""
        return next((c.answer.passages for c in self.columns.values() if c.answer.passages), ())

    @property
    def source(self) -> Source | None:
        """Where the recorded columns come from; None where all are live."""
        return next((c.source for c in self.columns.values() if c.source), None)

    def add(self, event: AnswerEvent) -> Comparison:
        """This comparison with an event folded into its column."""
        column = self.columns[event.variant]
        return self.with_column(event.variant, replace(column, answer=column.answer.add(event)))

    def with_column(self, key: str, column: Column) -> Comparison:
        return replace(self, columns=self.columns | {key: column})
