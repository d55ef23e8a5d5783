import json
from dataclasses import replace

import pytest

from eval import judge as judging
from eval.judge import (
    FAITHFULNESS,
    RELEVANCY,
    RETRIEVED,
    Item,
    Judged,
    evidence_of,
    items_of,
    judge_all,
    judge_run,
    same_judge,
    spent,
    with_scores,
)
from space.errors import UserError
from space.results import Verdict
from space.schema import Evidence, Example, Passage
from tests.eval.made import record
from tests.fakes import PASSAGE


class FakeJudge:
    """Scores by a function of the item; `score` None is a failure, an exception ends it."""

    label = "fake judge"

    def __init__(self, score=lambda item: 0.5, name="fake"):
        self.score, self.seen = score, []
        self.identity = {"kind": "local", "name": name}

    def dollars(self, spent):
        return spent["calls"] * 0.5

    def judge(self, items):
        for item in items:
            self.seen.append(item)
            value = self.score(item)
            yield item, Judged(value, "" if value is not None else "it hung",
                               (Verdict(item.answer, value),) if value is not None else (), {"calls": 2})


EVIDENCE = ("Title: Heading\nMLA shrinks it by 93.3%.",)
EXAMPLES = [Example(f"d{n % 10}-{n:02}", f"Question {n}?", f"About {n + 10}% of FP8 is used.",
                    (Evidence("doc", "shrinks the KV cache"),), ("x",), "unanswerable" if n == 3 else "fact", "dev")
            for n in range(12)]


def test_all_are_held_to_the_evidence_and_retrieving_ones_to_what_they_found_too():
    plain = items_of(record(1, "plain"), EVIDENCE)
    assert set(plain) == {FAITHFULNESS, RELEVANCY} and plain[FAITHFULNESS].passages == EVIDENCE
    rag = items_of(record(1, "tuned_rag", passages=(PASSAGE,)), EVIDENCE)
    assert rag[FAITHFULNESS] == plain[FAITHFULNESS]
    assert rag[RETRIEVED].passages == ("A title: A heading\nMLA shrinks the KV cache by 93.3%.",)
    assert not rag[RELEVANCY].passages


def test_unanswerable_questions_and_failed_answers_are_not_judged():
    assert items_of(record(1, "plain", kind="unanswerable"), EVIDENCE) == {}
    assert items_of(record(1, "plain", error="Broken.", done=None), EVIDENCE) == {}


def test_evidence_is_the_passages_that_hold_the_quotes_or_the_quotes():
    passages = [PASSAGE, Passage("doc#2", "Another one.", "doc", "T", "H")]
    example = replace(EXAMPLES[0], evidence=(Evidence("doc", "shrinks the KV cache"), Evidence("doc", "is nowhere")))
    assert evidence_of(example, passages) == ("A title: A heading\nMLA shrinks the KV cache by 93.3%.", "is nowhere")
    assert evidence_of(replace(example, evidence=()), passages) == ()


def test_scores_verdicts_and_failures_reach_the_records():
    rows = [record(1, "plain", text="good"), record(2, "plain", text="hangs"), record(3, "plain", text="  "),
            record(4, "tuned_rag", error="Broken.", done=None, scores={}), record(5, "plain", kind="unanswerable")]
    fake = FakeJudge(lambda item: None if item.answer == "hangs" else 0.123456789)
    evidence = {r.id: EVIDENCE for r in rows}
    items = [i for r in rows for i in items_of(r, EVIDENCE).values() if i.answer.strip()]
    good, bad, empty, failed, unanswerable = with_scores(rows, evidence, dict(fake.judge(items)))
    assert good.scores == {RELEVANCY: 0.123457, FAITHFULNESS: 0.123457}
    assert good.verdicts[FAITHFULNESS] == (Verdict("good", 0.123456789),)
    assert not bad.scores and bad.unscored == dict.fromkeys([FAITHFULNESS, RELEVANCY], "The judge failed: it hung")
    assert empty.scores == {FAITHFULNESS: 0.0, RELEVANCY: 0.0}
    assert failed.unscored == dict.fromkeys([FAITHFULNESS, RELEVANCY, RETRIEVED], "The answer failed: Broken.")
    assert unanswerable == rows[4]


def test_what_is_judged_is_not_judged_again_and_what_failed_is(tmp_path):
    path, items = tmp_path / "judged.jsonl", [Item(RELEVANCY, "Q?", f"Answer {n}.") for n in range(5)]
    first = judge_all(FakeJudge(lambda item: None if item.answer == "Answer 3." else 0.25), items, path)
    second = FakeJudge(lambda item: 0.75)
    again = judge_all(second, [*items, *items], path)
    assert second.seen == [items[3]] and again[items[3]].score == 0.75
    assert all(again[i] == first[i] for i in items if i != items[3])
    assert spent(again) == {"calls": 10}
    other = FakeJudge(name="another judge")
    judge_all(other, items, path)
    assert other.seen == items


def test_a_killed_judge_goes_on_with_the_same_result(tmp_path):
    path, items = tmp_path / "judged.jsonl", [Item(RELEVANCY, "Q?", f"Answer {n}\u2028\x85.") for n in range(6)]
    whole = judge_all(FakeJudge(), items, path)
    data = path.read_bytes()
    for cut in range(0, len(data), 37):
        path.write_bytes(data[:cut])
        fake = FakeJudge()
        assert judge_all(fake, items, path) == whole and len(fake.seen) >= 6 - data[:cut].count(b"\n")
        assert sorted(path.read_bytes().splitlines()) == sorted(data.splitlines())


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"key": 1, "error": ""}'])
def test_a_damaged_file_is_named(tmp_path, line):
    (tmp_path / "judged.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"judged.jsonl is damaged"):
        judge_all(FakeJudge(), [Item(RELEVANCY, "Q?", "A.")], tmp_path / "judged.jsonl")


def test_a_run_is_judged_with_its_control_set(tmp_path):
    rows = [record(n, v, id=EXAMPLES[n].id, kind=EXAMPLES[n].kind, question=EXAMPLES[n].question)
            for n in range(12) for v in ("plain", "tuned")]
    right = {e.reference for e in EXAMPLES}
    fake = FakeJudge(lambda item: 0.9 if item.answer in right else 0.2)
    scored, said = judge_run(fake, EXAMPLES, rows, [PASSAGE], tmp_path / "judged.jsonl")
    assert all(r.scores[FAITHFULNESS] == 0.2 for r in scored if r.kind != "unanswerable")
    assert (said["kind"], said["name"], said["identity"]) == ("local", "fake", fake.identity)
    rows = {(r["metric"], r["kind"]): r for r in said["controls"]}
    assert rows[FAITHFULNESS, "number"]["auroc"] == rows[RELEVANCY, "unknown"]["auroc"] == 1.0
    assert rows[RELEVANCY, "shuffled"]["auroc"] == 0.5  # the fake does not look at the question
    assert "On answer relevancy" in said["words"] and "cannot be believed on the answer to another" in said["words"]
    assert said["spent"]["calls"] == said["dollars"] * 2 == 2 * len(fake.seen)
    json.dumps(said, allow_nan=False)


def test_judges_are_the_same_by_identity_alone():
    one = {"kind": "local", "identity": {"weights": "a"}, "words": "x", "spent": {"calls": 1}}
    assert same_judge(one, one | {"words": "y", "spent": {}, "controls": []})
    assert not same_judge(one, one | {"identity": {"weights": "b"}})
    assert not same_judge(one, {"kind": "none"}) and same_judge({"kind": "none"}, {"kind": "none"})


def test_metrics_carry_the_judge_in_their_names():
    assert [m.label for m in judging.metrics_of("local judge")] == [
        "Faithfulness to the evidence (local judge)", "Faithfulness to what was retrieved (local judge)",
        "Answer relevancy (local judge)"]
