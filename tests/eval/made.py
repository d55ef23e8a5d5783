"""Records made for tests."""

from space.results import EvalRecord
from space.schema import AnswerDone
from tests.fakes import IDENTITY


def record(number, variant, scores=None, unscored=None, documents=10, **changes):
    """A record of question `number`; questions go round `documents` documents."""
    document = f"d{number % documents}"
    done = AnswerDone(variant, "end", 42, 5, 0, 0.0, 0.1, 50.0, IDENTITY)
    return EvalRecord(**{
        "id": f"{document}-{number:02}", "variant": variant, "document": document, "kind": "fact",
        "question": f"Question {number}?", "reference": "A reference.", "evidence": (), "key_facts": ("fact",),
        "text": "An answer.", "passages": (), "done": done, "error": "", "scores": scores or {},
        "unscored": unscored or {}} | changes)


def records(metric="key_facts", documents=10, **values):
    """For each variant a list of scores, one for each question; None is unscored."""
    return [record(n, variant, {metric: float(v)} if v is not None else {},
                   {metric: "The answer failed."} if v is None else {}, documents)
            for variant, column in values.items() for n, v in enumerate(column)]
