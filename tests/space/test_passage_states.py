"""Passages read ahead of time: what is kept, what is used, and that no answer changes by it."""

import io
import os
import time
from queue import SimpleQueue

import numpy as np
import pytest

from space import prompts
from space.answer import answer_all
from space.engine import Ahead, LocalEngine, Request
from space.errors import UserError
from space.job import Job
from space.kv_blocks import Block
from space.lane import Stopped
from space.models import PROFILES
from space.passage_states import Mode, PassageStates, Stretch, stretches
from space.questions import load_examples
from space.scheduler import Scheduler
from space.schema import TUNED_RAG, Passage, Sampling
from tests.space.fake_lane import FakeLane
from tests.space.test_scheduler import IDENTITY, run


def block(tokens):
    return Block(0, np.full((2, tokens, 8), 1, np.float16), np.full((2, 8, tokens), 2, np.float16))


def test_a_state_is_found_by_its_tokens_and_by_what_made_it(tmp_path):
    one, two = (PassageStates(tmp_path, 10**6, name) for name in ("model a", "model b"))
    one.save((1, 2, 3), block(3))
    assert one.holds((1, 2, 3)) and not one.holds((1, 2)) and not two.holds((1, 2, 3))
    found = one.load((1, 2, 3))
    assert found.end == 3 and (found.keys == 1).all() and (found.values == 2).all()
    assert one.load((1, 23)) is None


@pytest.mark.parametrize("damage", [lambda d: d[:-5], lambda d: d[:40] + b"x" + d[41:], lambda d: b""])
def test_a_damaged_state_is_dropped(tmp_path, damage, caplog):
    states = PassageStates(tmp_path, 10**6, "")
    states.save((1, 2, 3), block(3))
    file, = tmp_path.glob("*.kv")
    file.write_bytes(damage(file.read_bytes()))
    assert states.load((1, 2, 3)) is None and not states.holds((1, 2, 3))
    assert "read anew" in caplog.text


def test_those_unused_for_longest_make_room(tmp_path):
    states = PassageStates(tmp_path, 2000, "")  # a state of three tokens takes 480 bytes
    for n in range(4):
        states.save((n, n, n), block(3))
        os.utime(states._path((n, n, n)), ns=(n, n))
    assert states.load((0, 0, 0))  # used now
    states.save((9, 9, 9), block(3))
    assert [states.holds((n, n, n)) for n in (0, 1, 2, 3, 9)] == [True, False, True, True, True]
    states.save((8,) * 40, block(400))
    assert not states.holds((8,) * 40)


def test_a_disk_that_takes_nothing_is_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    states = PassageStates(tmp_path / "file" / "states", 10**6, "")
    states.save((1, 2, 3), block(3))
    assert states.load((1, 2, 3)) is None
    assert "could not be kept" in caplog.text


def test_ways_to_use_them():
    assert Mode.parse("off") == Mode(first=False)
    assert Mode.parse("first") == Mode()
    assert Mode.parse("all:8") == Mode(others=True, recomputed=8)
    for wrong in ("", "all", "all:", "all:65", "all:-1", "First"):
        with pytest.raises(UserError, match="off, first, or all:N"):
            Mode.parse(wrong)


def test_which_parts_of_a_prompt_are_meant():
    prompt = list(range(100))
    assert stretches(prompt, [(10, 31), (35, 60)], Mode(first=False), 4) == []
    assert stretches(prompt, [(10, 31), (35, 60)], Mode(), 4) == [Stretch(0, 28, tuple(range(28)))]
    first, second = stretches(prompt, [(10, 31), (35, 60)], Mode(others=True, recomputed=3), 4)
    assert second == Stretch(38, 57, (*range(10), *range(35, 57)))
    assert first.end == 28


def passage(n, words=30):
    return Passage(f"p{n}", " ".join(f"fact {n} number {w}" for w in range(words)), "doc", f"Title {n}", "Heading")


def job(question, *passages):
    return Job(Request(TUNED_RAG, prompts.build(question, passages), Sampling(max_tokens=40)), SimpleQueue(), [])


def make(tmp_path, mode):
    lanes = {tuned: FakeLane(3, 1) for tuned in (False, True)}
    states = PassageStates(tmp_path, 10**7, "")
    return Scheduler(lambda tuned: (lanes[tuned], IDENTITY), lambda identity: states, mode), lanes[True]


@pytest.mark.parametrize("mode", [Mode(), Mode(others=True), Mode(others=True, recomputed=8)])
def test_a_passage_is_read_once_and_answers_stay_the_same(tmp_path, mode):
    ring, lane = make(tmp_path, mode)
    plain, _ = make(tmp_path, Mode(first=False))
    for question, numbers in (("Why?", (1, 2, 3)), ("How?", (1, 2, 3)), ("Where?", (2, 1)), ("Which?", (1,))):
        passages = [passage(n) for n in numbers]
        told, = run(ring, job(question, *passages))
        assert told.text == run(plain, job(question, *passages))[0].text
        while ring.has_ahead:
            ring.read_ahead(lambda: False)
        lane.reads.clear()
        again, = run(ring, job(question + " Again?", *passages))
        first = job(question, *passages)
        first.encode(lane.weights, 10**5)
        others = [end - start for start, end in first.passages[1:]] if mode.others else []
        kept = first.passages[0][1] + sum(others) - len(others) * (mode.recomputed + 3) - 4
        assert again.done.cached_tokens >= kept
        assert sum(end - start for _, start, end in lane.reads) == again.done.prompt_tokens - again.done.cached_tokens


@pytest.mark.parametrize("mode", [Mode(), Mode(others=True, recomputed=8)])
def test_nothing_that_was_typed_is_kept(tmp_path, mode):
    ring, lane = make(tmp_path, mode)
    run(ring, job("my SECRET question", passage(1), passage(2)))
    ring.prepare(job("my SECRET question", passage(2), passage(3)))
    while ring.has_ahead:
        ring.read_ahead(lambda: False)
    kept = []
    for file in tmp_path.glob("*.kv"):
        keys = np.load(io.BytesIO(file.read_bytes()[32:]))
        kept.append("".join(chr(int(token)) for token in keys[0, :, 0]))
    assert len(kept) >= 2 and all("number 1 fact" in text for text in kept)
    assert not any("SECRET" in text or text.partition("Question:")[2].strip() for text in kept)


def test_reading_ahead_gives_way_and_is_made_up_for(tmp_path):
    ring, lane = make(tmp_path, Mode(others=True))
    ring.prepare(job("Why?", passage(1), passage(2)))
    ring.read_ahead(lambda: True)
    assert ring.has_ahead and not list(tmp_path.glob("*.kv"))
    while ring.has_ahead:
        ring.read_ahead(lambda: False)
    assert len(list(tmp_path.glob("*.kv"))) == 2
    ring.prepare(job("Why not?", passage(2), passage(1)))
    assert not ring.has_ahead
    told, = run(ring, job("Why?", passage(1), passage(2)))
    assert told.text == run(make(tmp_path, Mode(first=False))[0], job("Why?", passage(1), passage(2)))[0].text


def test_a_passage_that_cannot_be_read_ahead_stops_nothing(tmp_path, monkeypatch):
    ring, lane = make(tmp_path, Mode())
    ring.prepare(job("Why?", passage(1)))
    monkeypatch.setattr(lane, "read", lambda *args, **more: 1 / 0)
    ring.read_ahead(lambda: False)
    monkeypatch.undo()
    assert not ring.has_ahead
    assert run(ring, job("Why?", passage(1)))[0].state == "done"
    monkeypatch.setattr(lane, "read", lambda *args, **more: (_ for _ in ()).throw(Stopped))
    ring.prepare(job("Why?", passage(2)))
    ring.read_ahead(lambda: False)
    assert ring.has_ahead


def test_the_passages_of_a_prompt_that_is_prepared_are_read_together(tmp_path):
    ring, lane = make(tmp_path, Mode())
    ring.prepare(job("Why?", passage(1), passage(2)))
    while ring.has_ahead:
        ring.read_ahead(lambda: False)
    assert len(list(tmp_path.glob("*.kv"))) == 1
    plain, _ = make(tmp_path / "none", Mode(first=False))
    for question, numbers, all_known in (("Why?", (1, 2), True), ("How?", (1, 2), True), ("Why?", (2, 1), False)):
        passages = [passage(n) for n in numbers]
        told, = run(ring, job(question, *passages))
        assert told.text == run(plain, job(question, *passages))[0].text
        assert (told.done.prompt_tokens - told.done.cached_tokens < 150) == all_known


@pytest.mark.model
@pytest.mark.parametrize("sentences", [False, True])
def test_the_tokens_of_a_passage_are_its_text(engine, retriever, sentences):
    from space.excerpts import excerpt

    weights = engine.lane(False)[0].weights
    found = retriever.search("What do σ(x) ≈ 0.5 and “CRAQ” mean?", 3)
    if sentences:
        found = excerpt(found, retriever.rank_sentences("What is CRAQ?", found)[:3])
    pieces = prompts.build("What is CRAQ?", found)
    tokens = prompts.encode(pieces, weights.tokenize)
    read = [p for p in found if p.excerpt] if sentences else found
    ranges = prompts.passage_tokens(pieces, prompts.tokenized(pieces, weights.tokenize), weights.piece)
    assert len(ranges) == len(read) > 0
    before = prompts.tokens_before_question(pieces, prompts.tokenized(pieces, weights.tokenize), weights.piece)
    assert b"".join(map(weights.piece, tokens[before:])).decode().startswith(" What is CRAQ?")
    assert prompts.encode(prompts.build("Why so?", found), weights.tokenize)[:before] == tokens[:before]
    for (start, end), one in zip(ranges, read, strict=True):
        text = b"".join(map(weights.piece, tokens[start:end])).decode()
        body = f"{one.title}: {one.excerpt or one.heading + chr(10) + one.text}"
        assert text.strip() in body and len(text) > len(body) - 12


@pytest.mark.model
def test_the_real_engine_answers_the_same_with_a_passage_read_ahead(engine, retriever, tmp_path):
    ahead = LocalEngine(PROFILES["embedded"], 2048, 2, Ahead(Mode(), tmp_path, 10**8))
    example = load_examples(part="dev")[0]

    def ask(engine, question, passages):
        request = Request(TUNED_RAG, prompts.build(question, passages), Sampling(max_tokens=40))
        return answer_all(engine.stream([request]), [TUNED_RAG])["tuned_rag"]

    found = retriever.search(example.question, 2)
    first = ask(ahead, example.question, found)
    assert first.done.cached_tokens < 30 and len(list(tmp_path.glob("*.kv"))) == 1
    prepared = retriever.search("What is EPLB?", 2)
    ahead.read_ahead([Request(TUNED_RAG, prompts.build("What is EPLB?", prepared), Sampling())])
    told = ask(ahead, "Hi!", ())  # given way to
    assert told.done and ask(engine, "Hi!", ()).text == told.text
    while ahead.reading_ahead:
        time.sleep(0.05)
    wanted, got = ask(engine, "What is EPLB?", prepared), ask(ahead, "What is EPLB?", prepared)
    assert got.text == wanted.text and got.done.prompt_tokens - got.done.cached_tokens < 40
    for question in (example.question, "What is it about?"):
        wanted, got = ask(engine, question, found), ask(ahead, question, found)
        assert got.text == wanted.text
        assert got.done.cached_tokens > wanted.done.cached_tokens + 50
