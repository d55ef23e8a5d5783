"""What happens when a visitor asks, stops, asks one column again or votes. No Gradio in here: everything
yields `Frame`s, which the tab draws."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from space import examples, follow_up, parts, recorded, votes
from space.answer import stream_answers
from space.comparison import Column, Comparison
from space.errors import UserError
from space.options import Options, default_options
from space.questions import clean_question
from space.schema import CHAT_VARIANTS, VARIANTS, Answer, AnswerFailed
from space.settings import load_settings
from space.visitors import load_visitors

log = logging.getLogger(__name__)
UPDATE_S = 0.1
"""At most ten screen updates a second."""
KEYS = tuple(v.key for v in CHAT_VARIANTS)


@dataclass(frozen=True)
class Frame:
    """What the screen shows at one moment. `says` is the status line, `running` the columns at work."""

    comparison: Comparison
    says: str
    running: frozenset[str] = frozenset()


class Run:
    """The stop flags of a running question: one for all its columns and one for each."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.stops = {key: threading.Event() for key in KEYS}


class Runs:
    """Running questions by browser session, one for each, so that the stop buttons find their own."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def begin(self, session: str) -> Run:
        """The flags of a new run; a question that still runs in this session is stopped."""
        self.stop(session)
        self._runs[session] = run = Run()
        return run

    def stop(self, session: str, key: str = "") -> None:
        """Stop the session's question, or the column `key` of it."""
        if run := self._runs.get(session):
            (run.stops[key] if key else run.stop).set()

    def current(self, session: str, run: Run) -> bool:
        return self._runs.get(session) is run

    def end(self, session: str, run: Run) -> None:
        if self.current(session, run):
            del self._runs[session]


def begin(question: object, options: Options, previous: Comparison | None = None, blind: bool = False,
          follow: bool = False, live: bool = False, anew: bool = False) -> Comparison:
    """The comparison that a question opens: the recorded one where there is one (unless `live` is asked
    for), else one to run. It follows up on `previous` where `follow` says so or the words do, unless it is to
    begin `anew`.

    Raises UserError where the question cannot be asked.
    """
    text = clean_question(question)
    if follow and previous and text == previous.question:
        raise UserError("This is the question that was just answered.", "Type what you want to know next.")
    earlier: tuple[str, ...] = ()
    if previous and not anew and (follow or follow_up.is_follow_up(text)):
        earlier = follow_up.remembered(previous.earlier, previous.question)
    if blind and previous and not previous.blind and (text, earlier) == (previous.question, previous.earlier):
        raise UserError("You have just seen these answers with their names.", "Ask another question for a blind test.")
    found = None if live or earlier else recorded.find(text, options)
    if found is None:
        found = replace(unanswered(text, earlier, options), example=None if earlier else examples.find(text))
    return replace(found, blind=blind, order=_order(blind))


def unanswered(question: str, earlier: tuple[str, ...] = (), options: Options | None = None) -> Comparison:
    """A comparison before its first event."""
    options = options or default_options()
    empty = {key: Column(Answer(key), options.sampling) for key in KEYS}
    return Comparison(question, options, KEYS, empty, earlier)


def _order(blind: bool) -> tuple[str, ...]:
    return tuple(random.sample(KEYS, len(KEYS))) if blind else KEYS


def vote(comparison: Comparison, position: int) -> tuple[Comparison, str]:
    """The comparison with its names, and what to say, after a vote for the column at `position` (behind the last
    one: a tie). Raises UserError where there is nothing to vote on."""
    if not comparison.hidden or not comparison.finished:
        raise UserError("There is no blind test to vote on.", "Tick the blind test and ask a question.")
    choice = comparison.order[position] if position < len(comparison.order) else votes.TIE
    says = "You saw no difference" if choice == votes.TIE else f"You chose {VARIANTS[choice].label}"
    try:
        votes.record(comparison, choice)
        kept = "Your vote is counted in the Evaluation tab."
    except UserError as error:
        kept = str(error)
    return replace(comparison, vote=choice), f"{says}; here are the names. {kept}"


def reopen(comparison: Comparison, options: Options, blind: bool = False) -> Comparison:
    """The same question, follow-up or not, to be answered live."""
    columns = unanswered(comparison.question, options=options).columns
    return replace(comparison, options=options, columns=columns, order=_order(blind), blind=blind, vote="")


def again(comparison: Comparison, key: str, options: Options) -> Comparison:
    """The comparison with one column emptied, to be asked anew with today's options. Above temperature 0
    the seed moves on, so that another answer comes."""
    tries = comparison.columns[key].tries + 1
    sampling = replace(options.sampling, seed=options.seed + tries if options.temperature else options.seed)
    column = Column(Answer(key), sampling, tries=tries)
    return replace(comparison.with_column(key, column), options=replace(comparison.options,
                                                                      passages=options.passages))


def run(comparison: Comparison, keys: Sequence[str], session: str, runs: Runs) -> Iterator[Frame]:
    """Answer the columns `keys` of a comparison, in their order on the screen."""
    flags = runs.begin(session)
    order = [key for key in comparison.order if key in keys]
    try:
        for frame in _answer(comparison, order, flags, session):
            if not runs.current(session, flags):
                return
            yield frame
    finally:
        flags.stop.set()
        runs.end(session, flags)


def _answer(comparison: Comparison, order: Sequence[str], flags: Run, session: str) -> Iterator[Frame]:
    yield Frame(comparison, "Looking for passages.", frozenset(order))
    variants = [VARIANTS[key] for key in order]
    try:
        events = stream_answers(
            comparison.full_question, variants, parts.load_engine(), parts.load_retriever(),
            comparison.columns[order[0]].sampling, comparison.options.passages, load_settings().deadline_s,
            flags.stop, flags.stops, owner=session)
        events = load_visitors().watch(events, variants, flags.stop, session, load_settings().deadline_s)
        drawn = time.monotonic()
        for event in events:
            comparison = comparison.add(event)
            if time.monotonic() - drawn >= UPDATE_S:
                drawn = time.monotonic()
                yield Frame(comparison, progress(comparison), _at_work(comparison, order))
        yield Frame(comparison, summary(comparison, order))
    except UserError as error:
        yield Frame(failed(comparison, order, error), str(error))
    except Exception:
        log.exception("a question failed")
        told = UserError("Something failed on our side.", "Please ask again.")
        yield Frame(failed(comparison, order, told), str(told))


def failed(comparison: Comparison, keys: Sequence[str], error: UserError) -> Comparison:
    """The comparison with the unfinished ones of `keys` closed by a sentence."""
    for key in keys:
        if not comparison.columns[key].answer.finished:
            comparison = comparison.add(AnswerFailed(key, str(error)))
    return comparison


def _at_work(comparison: Comparison, order: Sequence[str]) -> frozenset[str]:
    return frozenset(key for key in order if not comparison.columns[key].answer.finished)


def progress(comparison: Comparison) -> str:
    """One short sentence for the status line; it changes only when a phase does."""
    answers = {key: comparison.columns[key].answer for key in comparison.order}
    if comparison.hidden:
        ready = sum(a.finished for a in answers.values())
        return f"{ready} of {len(answers)} answers are ready; they appear together."
    for key, answer in answers.items():
        if answer.state in ("reading", "streaming"):
            return f"{VARIANTS[key].label} is {'reading' if answer.state == 'reading' else 'answering'}."
    if any(a.state == "queued" and a.ahead for a in answers.values()):
        return "Waiting in line."
    waiting = [key for key, answer in answers.items() if not answer.finished]
    if not waiting:
        return "Done."
    return f"{VARIANTS[waiting[0]].label} is next." if len(waiting) < len(answers) else "Starting the models."


def summary(comparison: Comparison, order: Sequence[str]) -> str:
    """The status line when all columns of `order` are finished."""
    answers = [comparison.columns[key].answer for key in order]
    lost = [VARIANTS[a.variant].label for a in answers if a.state == "failed"]
    if lost and not comparison.hidden:
        return f"Done; no answer from: {', '.join(lost)}."
    if any(a.done and a.done.finish == "stopped" for a in answers):
        return "Stopped."
    if comparison.hidden:
        return "Which answer is best? The names come after your vote."
    if len(order) == 1:
        same = comparison.columns[order[0]].sampling.temperature == 0
        return f"{VARIANTS[order[0]].label} has answered again." + (
            " At temperature 0 it is the same answer each time; raise it in the settings for another." if same else "")
    return "All three answers are ready."
