from space.schema import Answer, AnswerDone, AnswerFailed, AnswerQueued, PassagesFound, PromptReading, TextDelta
from tests.fakes import IDENTITY, PASSAGE


def test_answer_folds_its_own_events_only():
    done = AnswerDone("tuned", "end", 9, 2, 0, 0.5, 0.2, 40.0, IDENTITY)
    answer = Answer("tuned")
    states = []
    for event in (
        AnswerQueued("tuned", 2),
        PassagesFound("tuned", (PASSAGE,)),
        PromptReading("tuned", 9),
        TextDelta("tuned", " Yes"),
        TextDelta("plain", "no"),
        TextDelta("tuned", ". "),
        done,
    ):
        answer = answer.add(event)
        states.append(answer.state)
    assert states == ["queued", "queued", "reading", "streaming", "streaming", "streaming", "done"]
    assert answer.text == "Yes." and answer.passages == (PASSAGE,) and answer.done is done and answer.finished


def test_a_failure_keeps_what_was_said():
    answer = Answer("plain").add(TextDelta("plain", "half")).add(AnswerFailed("plain", "It broke."))
    assert (answer.state, answer.text, answer.error, answer.finished) == ("failed", "half", "It broke.", True)
