import pytest

from eval.controls import AT_MOST, DOES_NOT_KNOW, GOOD, describe, in_words, make_controls
from eval.judge import FAITHFULNESS, RELEVANCY, Judged
from space.questions import load_examples, topic
from space.schema import Example

EXAMPLES = [Example(f"d{n % 8}-{n:02}", f"Question {n}?", f"It is {n + 20}% of FP8 with MLA.", (), (), "fact", "dev")
            for n in range(16)]
EVIDENCE = {e.id: (f"Evidence {e.id}: {e.reference} GRPO and 77% too.",) for e in EXAMPLES}


def test_each_question_gives_every_kind_and_shuffled_evidence_is_of_another_document():
    controls = make_controls(EXAMPLES, EVIDENCE)
    kinds = [(c.item.metric, c.kind) for c in controls]
    for kind in (GOOD, "shuffled", "number", "contradiction", "unknown"):
        assert kinds.count((FAITHFULNESS, kind)) == 16
    for kind in (GOOD, "shuffled", "unknown"):
        assert kinds.count((RELEVANCY, kind)) == 16
    by_question = {e.question: e for e in EXAMPLES}
    for c in controls:
        example = by_question[c.item.question]
        own = EVIDENCE[example.id]
        if c.item.metric == FAITHFULNESS:
            assert (c.item.passages == own) == (c.kind != "shuffled")
        assert (c.item.answer == example.reference) == (
            c.kind == GOOD or (c.kind == "shuffled" and c.item.metric == FAITHFULNESS))
        assert (c.item.answer == DOES_NOT_KNOW) == (c.kind == "unknown")
        if c.kind == "shuffled" and c.item.metric == FAITHFULNESS:
            (other,) = [e for e in EXAMPLES if EVIDENCE[e.id] == c.item.passages]
            assert topic(other) != topic(example) == c.document


def test_the_set_is_bounded_and_the_same_every_time():
    examples = [e for e in load_examples(part="heldout")]
    evidence = {e.id: tuple(q.quote for q in e.evidence) for e in examples}
    controls = make_controls(examples, evidence)
    assert controls == make_controls(examples, evidence)
    assert len({c.item.question for c in controls}) == AT_MOST
    assert not {c.item.question for c in controls} & {e.question for e in examples if e.kind == "unanswerable"}


def scored(score):
    controls = make_controls(EXAMPLES, EVIDENCE)
    return describe(controls, {c.item: Judged(score(c), "" if score(c) is not None else "hung") for c in controls})


def test_a_perfect_judge_a_coin_and_one_that_fails():
    perfect = scored(lambda c: float(c.kind == GOOD))
    assert {(r["auroc"], r["low"], r["high"]) for r in perfect["controls"]} == {(1.0, 1.0, 1.0)}
    assert "cannot be believed" not in perfect["words"] and "often misses" not in perfect["words"]
    coin = scored(lambda c: 0.5)
    assert {r["auroc"] for r in coin["controls"]} == {0.5}
    assert coin["words"].count("it cannot be believed on") == 2 and "notices" not in coin["words"]
    failing = scored(lambda c: None if c.kind == "number" else float(c.kind == GOOD))
    (row,) = [r for r in failing["controls"] if r["kind"] == "number"]
    assert row["auroc"] is None and row["unscored"] == 16
    assert "cannot be believed on a number changed (not scored)" in failing["words"]


def test_a_judge_between_is_described_so():
    rows = [{"name": "Faithfulness: a number changed", "metric": FAITHFULNESS, "auroc": 0.78, "low": 0.7, "high": 0.8}]
    assert in_words(rows) == "On faithfulness it often misses a number changed (AUROC 0.78)."
    assert "cannot be believed on a number changed" in in_words([rows[0] | {"low": 0.0}])  # it may be chance
    assert "nothing shows" in in_words([])


@pytest.mark.parametrize("examples", [[], EXAMPLES[:1]])
def test_too_few_questions_for_controls(examples):
    controls = make_controls(examples, EVIDENCE)
    said = describe(controls, {c.item: Judged(float(c.kind == GOOD)) for c in controls})
    assert all(r["low"] is None for r in said["controls"])
    assert not [c for c in controls if c.kind == "shuffled"]
    assert ("too few documents" if examples else "No control set could be made") in said["words"]
