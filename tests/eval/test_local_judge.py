import pytest

from eval import calibrate, local_judge, local_metrics
from eval.judge import FAITHFULNESS, RELEVANCY, Item
from eval.judge_features import FEATURES, Passages, features
from eval.local_judge import LocalJudge
from space import prompts
from space.errors import UserError
from tests.eval.fake_run import embed
from tests.fakes import FakeEngine

PASSAGES = ("DeepSeek-V2: MLA\nMulti-head latent attention (MLA) shrinks the KV cache by 93.3% against DeepSeek 67B. "
            "It keeps one compressed vector for each token. Its training cost fell by 42.5%.",
            "DualPipe: Idea\nDualPipe overlaps the communication of one microbatch with the computation of another.")
QUESTION = "How much does MLA shrink the cache?"


def verdict(answer, passages=PASSAGES, question=QUESTION):
    found = local_metrics.verdicts(question, answer, passages)
    return min(v.verdict for v in found)


def judged(items, engine=None):
    return dict(LocalJudge(engine or FakeEngine({"plain": "What is it? And more"}), embed).judge(items))


def test_what_the_passages_say_is_supported():
    assert verdict("MLA shrinks the KV cache by 93.3% against DeepSeek 67B.") > 0.8
    assert verdict("The KV cache shrinks by 93.3% with multi-head latent attention.") > 0.6
    assert verdict("DualPipe overlaps communication with computation.", question="What does DualPipe do?") > 0.8
    assert verdict("Its training cost fell by 42.5%.") == 1.0


@pytest.mark.parametrize("wrong", [
    "MLA shrinks the KV cache by 57.1% against DeepSeek 67B.",
    "MLA shrinks the KV cache by 93.3% against LLaMA-3.",
    "MLA does not shrink the KV cache by 93.3% against DeepSeek 67B.",
    "MLA was invented by a group of Swiss engineers for weather forecasts.",
])
def test_a_changed_number_name_or_sense_lowers_the_verdict(wrong):
    right = verdict("MLA shrinks the KV cache by 93.3% against DeepSeek 67B.")
    assert verdict(wrong) < right - 0.3 and verdict(wrong) < 0.5


def test_a_figure_of_another_sentence_is_doubted_more_than_the_right_one():
    assert verdict("MLA shrinks the KV cache by 42.5%.") < verdict("MLA shrinks the KV cache by 93.3%.")


def test_one_wrong_sentence_sinks_a_long_answer():
    good = "MLA shrinks the KV cache by 93.3% against DeepSeek 67B. It keeps one compressed vector for each token."
    bad = f"{good} It was trained on 57 trillion tokens by Google."
    items = [Item(FAITHFULNESS, QUESTION, text, PASSAGES) for text in (good, bad)]
    scores = judged(items)
    assert scores[items[0]].score > 0.8 > 0.1 > scores[items[1]].score
    said = scores[items[1]].verdicts
    assert [v.verdict > 0.5 for v in said] == [True, True, False]
    assert said[2].claim.startswith("It was trained") and "google" in said[2].reason and "57" in said[2].reason


def test_other_passages_do_not_support_the_answer():
    assert verdict("MLA shrinks the KV cache by 93.3% against DeepSeek 67B.", PASSAGES[1:]) < 0.2


def test_sentences_about_the_answer_are_no_claims():
    assert local_metrics.claims_of("Based on the passages provided, here is the answer. MLA shrinks it.") == [
        "MLA shrinks it."]


@pytest.mark.parametrize("answer", ["I don't know.", "The corpus does not tell this.", "Here is the answer:", "??!"])
def test_an_answer_that_claims_nothing_is_not_faithful(answer):
    item = Item(FAITHFULNESS, QUESTION, answer, PASSAGES)
    assert judged([item])[item].score == 0.0


def test_relevancy_is_the_cosine_of_the_question_written_from_the_answer():
    item = Item(RELEVANCY, "What is it?", "It is MLA.")
    engine = FakeEngine({"plain": "What is it? And more"})
    found = judged([item], engine)[item]
    assert found.score == pytest.approx(1.0) and found.verdicts[0].claim == "What is it?"
    asked = prompts.text(engine.requests[0].prompt)
    assert "It is MLA." in asked and "What is it?" not in asked  # the question itself is never shown
    other = Item(RELEVANCY, "Who made it?", "It is MLA.")
    assert judged([other])[other].score < 0.9


def test_relevancy_without_an_answer_is_zero_and_asks_nobody():
    engine = FakeEngine()
    item = Item(RELEVANCY, "What is it?", "I don't know what it is.")
    assert judged([item], engine)[item].score == 0.0 and not engine.requests
    silent = FakeEngine({"plain": " \n"})
    item = Item(RELEVANCY, "What is it?", "It is MLA.")
    assert judged([item], silent)[item].score == 0.0


def test_a_failure_is_unscored_with_its_reason_and_the_others_go_on():
    items = [Item(RELEVANCY, "What is it?", "It is MLA."), Item(FAITHFULNESS, QUESTION, "MLA shrinks it.", PASSAGES)]
    found = judged(items, FakeEngine({"plain": UserError("No model.", "")}))
    assert found[items[0]].score is None and "No model." in found[items[0]].error
    assert found[items[1]].score is not None


def test_long_answers_are_read_in_part_and_markup_stays_text():
    prompt = local_judge.question_prompt("<|im_end|> " + "word " * 500)
    assert prompts.text(prompt).count("word") == local_judge.READ_WORDS - 1
    assert [p.control for p in prompt if "<|im_end|> word" in p.text] == [False]


def test_the_metrics_are_ragas_metrics():
    from ragas.metrics.collections.base import BaseMetric

    assert all(issubclass(m, BaseMetric) for m in local_metrics.ragas_metrics())


def test_the_weights_fit_the_features():
    fitted = local_metrics.load_weights()
    assert list(fitted["weights"]) == list(FEATURES) and all(w >= 0 for w in fitted["weights"].values())
    assert features([], Passages(PASSAGES, QUESTION)).shape == (0, len(FEATURES))


def test_claims_made_twice_are_the_same_and_their_weights_are_those_that_ship():
    from space import parts, retriever
    from space.questions import load_examples

    passages = retriever.read_passages(parts.index_folder() / "passages.jsonl")
    examples = load_examples(part="train")
    claims = calibrate.make_claims(examples[:40], passages)
    assert claims == calibrate.make_claims(examples[:40], passages)
    assert {c.kind for c in claims} == {"right", "number", "name", "contradiction", "near", "far"}
    x = calibrate.measure(claims)
    scores = calibrate.apart(x, claims, folds=3)
    assert scores["far"] > 0.9 and min(scores.values()) > 0.75
