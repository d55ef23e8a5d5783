"""The RAGAS judge against a stand-in endpoint that answers well, and badly."""

import asyncio
import json
import time

import pytest

from eval import ragas_judge
from eval.judge import FAITHFULNESS, RELEVANCY, Item
from eval.ragas_judge import RagasJudge, open_judge
from space.chat_client import ChatClient, Endpoint
from space.errors import UserError
from tests.openai_standin import RETRY_AFTER_S, StandIn, answer_prompt

PASSAGES = ("DeepEP is a communication library. It is published under the MIT License.",)
TRUE = Item(FAITHFULNESS, "What is DeepEP?", "DeepEP is a communication library.", PASSAGES)
HALF = Item(FAITHFULNESS, "What is DeepEP?", "DeepEP is a communication library. It was written in Rust.", PASSAGES)
FITS = Item(RELEVANCY, "What is DeepEP?", "DeepEP is a communication library.")
EVADES = Item(RELEVANCY, "What is DeepEP?", "I don't know.")
ITEMS = [TRUE, HALF, FITS, EVADES]

pytestmark = pytest.mark.model  # the embedder is real


def judge_at(server, **options):
    endpoint = Endpoint(server.url, "key", "stand-in", timeout_s=options.pop("timeout_s", 10.0), retries=2)
    return RagasJudge(ChatClient(endpoint, temperature=0.0), **options)


def scores(server, items=ITEMS, **options):
    return dict(judge_at(server, **options).judge(items))


def replying(**replies):
    """Answers well, but gives these texts for these schemas."""
    def answer(prompt):
        title = next((t for t in replies if f'"title": "{t}"' in prompt), "")
        return replies[title] if title else answer_prompt(prompt)
    return answer


def test_good_answers_are_scored_with_verdicts_and_counted():
    with StandIn() as server:
        found = scores(server)
        assert (found[TRUE].score, found[HALF].score) == (1.0, 0.5)
        assert [v.verdict for v in found[HALF].verdicts] == [1.0, 0.0] and found[HALF].verdicts[1].claim
        assert 0 < found[FITS].score < 1 and len(found[FITS].verdicts) == 3
        assert found[EVADES].score == 0
        assert {i: r.spent["calls"] for i, r in found.items()} == {TRUE: 2, HALF: 2, FITS: 3, EVADES: 3}
        assert all(r.spent["input_tokens"] > 100 for r in found.values())
        assert all(body["temperature"] == 0 for body in server.bodies)


def test_the_numbers_are_those_of_ragas_called_directly():
    from openai import AsyncOpenAI
    from ragas.llms import llm_factory
    from ragas.metrics.collections import AnswerRelevancy, Faithfulness

    async def direct(url):
        llm = llm_factory("stand-in", client=AsyncOpenAI(base_url=url, api_key="key"), temperature=0.0, max_tokens=2048)
        faithful, relevant = Faithfulness(llm=llm), AnswerRelevancy(llm=llm, embeddings=ragas_judge.Embedder())
        results = [
            await faithful.ascore(user_input=i.question, response=i.answer, retrieved_contexts=list(i.passages))
            if i.metric == FAITHFULNESS else await relevant.ascore(user_input=i.question, response=i.answer)
            for i in ITEMS]
        return [result.value for result in results]

    with StandIn() as server:
        found = scores(server)
        assert asyncio.run(direct(server.url)) == pytest.approx([found[i].score for i in ITEMS], abs=1e-9)


def test_a_busy_endpoint_is_waited_for_as_long_as_it_says():
    with StandIn(["429"]) as server:
        started = time.monotonic()
        assert scores(server, [TRUE])[TRUE].score == 1.0
        assert time.monotonic() - started >= RETRY_AFTER_S and [s for _, s in server.log] == ["429", "ok", "ok"]


@pytest.mark.parametrize("fault", ["500", "prose", "broken", "empty", "reset", "garbage"])
def test_a_fault_that_passes_costs_nothing_but_another_call(fault):
    with StandIn([fault]) as server:
        assert scores(server, [TRUE])[TRUE].score == 1.0


@pytest.mark.parametrize(("fault", "reason"), [("500", "answered 500"), ("prose", "not the JSON"),
                                               ("empty", "not the JSON"), ("reset", "cannot be reached"),
                                               ("garbage", "not the JSON"), ("hang", "no answer within")])
def test_a_fault_that_stays_leaves_the_item_unscored_with_its_reason(fault, reason):
    with StandIn(always=fault) as server:
        result = scores(server, [TRUE], timeout_s=0.3)[TRUE]
        assert result.score is None and reason in result.error


def test_one_bad_row_does_not_lose_the_batch():
    with StandIn(answer=lambda prompt: "no" if "Rust" in prompt else answer_prompt(prompt)) as server:
        found = scores(server)
        assert found[HALF].score is None and [found[i].score is None for i in (TRUE, FITS, EVADES)] == [False] * 3


def test_json_with_prose_around_it_is_read():
    def chatty(prompt):
        return f"Here you are:\n```json\n{answer_prompt(prompt)}\n```\nAnything else?"

    with StandIn(answer=chatty) as server:
        assert scores(server, [TRUE])[TRUE].score == 1.0


@pytest.mark.parametrize(("reply", "reason"), [
    ('{"statements": [{"statement": "s", "reason": "r", "verdict": NaN}]}', "not the JSON"),
    ('{"statements": [{"statement": "s", "reason": "r", "verdict": 7}]}', "neither 0 nor 1"),
    ('{"statements": []}', "0 verdicts on 1 claims"),
])
def test_verdicts_that_cannot_be_believed_are_no_score(reply, reason):
    with StandIn(answer=replying(NLIStatementOutput=reply)) as server:
        result = scores(server, [TRUE])[TRUE]
        assert result.score is None and reason in result.error


def test_an_answer_without_claims_has_no_score_instead_of_a_missing_row():
    with StandIn(answer=replying(StatementGeneratorOutput='{"statements": []}')) as server:
        assert "no claim" in scores(server, [TRUE])[TRUE].error


def test_a_flag_out_of_range_is_no_score():
    reply = json.dumps({"question": "What is DeepEP?", "noncommittal": 3})
    with StandIn(answer=replying(AnswerRelevanceOutput=reply)) as server:
        assert "neither 0 nor 1" in scores(server, [FITS])[FITS].error


def test_a_refused_key_stops_at_once_with_a_sentence():
    with StandIn(always="401") as server, pytest.raises(UserError, match="refuses the key"):
        scores(server)


def test_items_are_judged_side_by_side():
    many = [Item(FAITHFULNESS, f"What is DeepEP {n}?", TRUE.answer, PASSAGES) for n in range(16)]
    with StandIn(pause_s=0.1) as server:
        scores(server, many, workers=8)
        instants = sorted(t for t, _ in server.log)
        assert sum(b - a < 0.05 for a, b in zip(instants, instants[1:], strict=False)) > 20


def test_without_a_key_the_sentence_names_the_judge_that_needs_none(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError) as raised:
        open_judge()
    assert "--judge local" in raised.value.hint


def test_identity_holds_all_that_a_score_depends_on_and_no_key():
    with StandIn() as server:
        identity = judge_at(server).identity
    assert identity["model"] == "stand-in" and identity["ragas"] == "0.4.3" and "key" not in json.dumps(identity)


def test_cost_is_counted_at_the_prices_given(monkeypatch):
    monkeypatch.setenv("JUDGE_PRICE_IN", "2")
    with StandIn() as server:
        judge = judge_at(server)
    assert judge.dollars({"input_tokens": 1_000_000, "output_tokens": 500_000}) == pytest.approx(2.3)
    monkeypatch.setenv("JUDGE_PRICE_OUT", "a lot")
    with pytest.raises(UserError, match="JUDGE_PRICE_OUT"):
        ragas_judge.prices()
