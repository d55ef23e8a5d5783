from dataclasses import replace

import numpy as np
import pytest

from eval import metrics
from space.errors import UserError
from space.schema import VARIANTS, Evidence, Example, Passage
from tests.eval.fake_run import embed
from tests.eval.made import record

FACT = Example("a-1", "How much?", "MLA cuts the KV cache by 93.3%.", (Evidence("a", "cache by 93.3%."),), ("93.3%",),
               "number", "dev")
NOBODY = Example("a-2", "Who knows?", "The corpus does not tell.", (), (), "unanswerable", "dev")
PASSAGES = [Passage(f"a#{n}", text, "a", "A", "H") for n, text in
            enumerate(("One.", "MLA shrinks the cache by 93.3%.", "Two.", "Three.", "Four."), 1)]


def row(example, variant="plain", text="It is 93.3% in all.", found=(), error="", **done):
    about = record(1, variant).done
    about = {**about.__dict__, "identity": about.identity.__dict__} | done
    return {"id": example.id, "variant": variant, "text": text, "error": error, "done": None if error else about,
            "passages": [p.__dict__ for p in found]}


def score(example, variant="plain", passages=PASSAGES, embed=embed, **changes):
    rows = {(example.id, variant): row(example, variant, **changes)}
    [found] = metrics.records([example], rows, [variant], embed, passages)
    return found


def test_answers_are_scored_by_their_kind():
    scores = score(FACT).scores
    assert scores["key_facts"] == 1.0 and scores["wrong_abstention"] == 0.0 and "right_abstention" not in scores
    assert score(NOBODY).scores["right_abstention"] == 0.0
    scores = score(NOBODY, text="The corpus does not tell who.").scores
    assert scores["right_abstention"] == 1.0
    assert not scores.keys() & {"key_facts", "wrong_abstention", "reference_f1", "reference_cosine", "recall_at_3"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("example", [FACT, NOBODY])
@pytest.mark.parametrize("changes", [{}, {"error": "Broken."}, {"text": ""}, {"decode_tps": 0.0}, {"passages": ()}])
def test_every_metric_that_applies_is_in_exactly_one_place(example, variant, changes):
    found = score(example, variant, **changes)
    assert not found.scores.keys() & found.unscored.keys()
    assert found.scores.keys() | found.unscored.keys() == metrics.applicable(example, variant)
    assert all(found.unscored.values())
    assert metrics.applicable(example, variant) <= {m.key for m in metrics.METRICS}


def test_a_failed_answer_has_no_scores_but_reasons():
    found = score(FACT, error="The engine stopped.")
    assert not found.scores and found.unscored["key_facts"] == "The answer failed: The engine stopped."


def test_an_empty_answer_is_bad_not_unknown():
    found = score(FACT, text="")
    assert {found.scores[k] for k in ("key_facts", "reference_f1", "reference_cosine")} == {0.0}


def test_content_f1_by_hand():
    # content: {mla, cuts, kv, cache, 93.3} and {mla, reduces, cache, 93.3}: 3 shared, 2*3/(5+4)
    assert metrics.content_f1("MLA cuts the KV cache by 93.3%.", "MLA reduces its cache by 93.3 percent") == 6 / 9
    assert metrics.content_f1("cache cache cache", "the cache") == pytest.approx(2 / 4)  # repetition does not pay
    assert metrics.content_f1("", "x") == 0.0 == metrics.content_f1("the of", "the of")
    assert metrics.content_f1("671 billion", "671B") == 1.0


def test_recall_by_hand():
    assert metrics.recall_at(3, [["a#1"], ["b#2", "b#3"]], ["x", "y", "b#3", "a#1"]) == 0.5
    assert score(FACT, "tuned_rag", found=PASSAGES[:3]).scores["recall_at_3"] == 1.0
    assert score(FACT, "tuned_rag", found=[PASSAGES[n] for n in (0, 2, 3, 1)]).scores["recall_at_3"] == 0.0
    assert "recall_at_3" not in score(FACT, "tuned").scores


def test_evidence_that_no_passage_holds_leaves_recall_unscored():
    found = score(FACT, "plain_rag", passages=PASSAGES[:1], found=PASSAGES[:1])
    assert "in no passage" in found.unscored["recall_at_3"]


def test_cosine_is_that_of_the_vectors():
    angles = {"It is 93.3% in all.": 0.0, FACT.reference: np.pi / 3}
    found = score(FACT, embed=lambda texts: np.array([[np.cos(angles[t]), np.sin(angles[t])] for t in texts]))
    assert found.scores["reference_cosine"] == 0.5


def test_without_an_embedder_the_rest_is_scored():
    def broken(texts):
        raise UserError("The embedder is missing.", "Install it.")

    found = score(FACT, embed=broken)
    assert found.unscored == {"reference_cosine": "The embedder is missing. Install it."}
    assert found.scores["key_facts"] == 1.0


def test_speed_and_length_come_from_the_engine():
    scores = score(FACT, finish="length", answer_tokens=7, first_token_s=0.25, decode_tps=12.5).scores
    assert [scores[k] for k in ("ends_itself", "answer_tokens", "first_token_s", "decode_tps")] == [0.0, 7, 0.25, 12.5]
    assert "too short" in score(FACT, decode_tps=0.0).unscored["decode_tps"]


def test_a_score_cannot_be_there_and_missing():
    with pytest.raises(ValueError, match="both"):
        replace(record(1, "plain", {"key_facts": 1.0}), unscored={"key_facts": "No."})
