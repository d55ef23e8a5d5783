"""Questions written by the embedded SmolLM2 model: no key, no network, no cost, and a low yield.

The model only turns a sentence and a number in it into a question, behind an opening that fits the
number; the sentence itself is the reference and the evidence. (Asked for questions about names, a model
of this size writes nonsense that the filters cannot tell from sense.) It is greedy, so a unit done again
gives the same rows. The filters decide what is kept, and a person should read what they keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from space import models, prompts
from space.answer import answer_all
from space.chat_client import Usage
from space.engine import Engine, LocalEngine, Request
from space.key_facts import contains
from space.prompts import Piece
from space.questions import squeeze
from space.schema import PLAIN, Evidence, Example, Passage, Sampling
from space.settings import load_settings
from train import evidence
from train.units import Unit, UnitFailed, Written

MIN_WORDS, MAX_WORDS = 15, 60
INSTRUCTION = "Write the question about the fact whose answer is given."
EXAMPLES = (
    ("BERT masks 15% of the tokens of each training sequence and learns to predict them.", "15%",
     "What percentage of the tokens of a training sequence does BERT mask?"),
    ("The Transformer was trained by Vaswani et al. on eight P100 GPUs for 3.5 days.", "3.5",
     "How many days did Vaswani et al. train the Transformer on eight P100 GPUs?"),
    ("The authors of word2vec released their code in 2013 under the Apache license.", "2013",
     "In which year did the authors of word2vec release their code?"),
)
SAMPLING = Sampling(temperature=0.0, max_tokens=40)


def question_prompt(fact: str, answer: str, opening: str) -> tuple[Piece, ...]:
    """The ChatML prompt: three facts with answer and question, then this one, its question begun."""
    shown = "".join(f"<|im_start|>user\nFact: {f}\nAnswer: {a}{prompts.END}\n"
                    f"<|im_start|>assistant\n{q}{prompts.END}\n" for f, a, q in EXAMPLES)
    return (Piece(f"<|im_start|>system\n{INSTRUCTION}{prompts.END}\n{shown}<|im_start|>user\n", control=True),
            Piece(f"Fact: {fact}\nAnswer: {answer}", control=False),
            Piece(f"{prompts.END}\n<|im_start|>assistant\n", control=True),
            Piece(opening, control=False))


def opening_for(fact: str, answer: str) -> str:
    """How a question begins that this number answers."""
    if answer.endswith("%"):
        return "What percentage of"
    if re.fullmatch(r"(?:19|20)\d\d", answer):
        return "In which year"
    counted = re.search(re.escape(answer) + r" ([a-z]+s)\b", fact)
    return f"How many {counted[1]}" if counted else "What is the"


class LocalWriter:
    """Writes the rows of a unit with the plain model of this machine."""

    def __init__(self, bodies: Mapping[str, str], engine: Engine | None = None) -> None:
        settings = load_settings()
        self._engine = engine or LocalEngine(models.load_profile("embedded"), settings.context_tokens,
                                             settings.thread_count)
        self._bodies = bodies
        self.usage = Usage()

    def write(self, unit: Unit) -> list[Written]:
        """One row for each sentence chosen, at most `unit.questions`. Raises UnitFailed where the
        model fails."""
        facts = _facts(unit, self._bodies[unit.document])[:unit.questions]
        return [Written(self._row(unit.row_id(n), passage, fact), "local") for n, (passage, fact) in enumerate(facts)]

    def _row(self, id_: str, passage: Passage, fact: str) -> Example:
        answer = evidence.numbers(fact)[0]
        opening = opening_for(fact, answer)
        request = Request(PLAIN, question_prompt(squeeze(fact), answer, opening), SAMPLING)
        written = answer_all(self._engine.stream([request]), [PLAIN])[PLAIN.key]
        if written.error:
            raise UnitFailed(written.error)
        question = squeeze(f"{opening} {written.text}".split("?")[0]) + "?"
        facts = () if contains(answer, question) else (answer,)
        return Example(id_, question, squeeze(fact), (Evidence(passage.source, fact),), facts,
                       "number", split="")


def _facts(unit: Unit, body: str) -> list[tuple[Passage, str]]:
    """Sentences with a number, as they stand in the document; the passages take turns."""
    queues = [[(p, fact) for fact in _sentences(p, body)] for p in unit.passages]
    return [queue[n] for n in range(max(map(len, queues), default=0)) for queue in queues if n < len(queue)]


def _sentences(passage: Passage, body: str) -> list[str]:
    texts = (evidence.exact(s, body) for s in evidence.sentences(passage.text) if not s.startswith("|"))
    return [t for t in texts if MIN_WORDS <= len(t.split()) <= MAX_WORDS and evidence.numbers(t)]
