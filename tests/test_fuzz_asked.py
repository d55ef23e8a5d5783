"""Every parser of what visitors, links, models and servers send, fed with generated material: a right value or a
sentence, nothing else. The parsers of files are in test_fuzz_files.py."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import strategies as st
from pydantic import BaseModel

from space import (
    addresses,
    ask,
    chat_client,
    corpus_tab,
    door_checks,
    eval_state,
    model_lock,
    options,
    questions,
    references,
    remote_stream,
    run_log,
    share,
)
from space import settings as app_settings
from space.coverage import find, load_shelf
from space.errors import UserError
from tests.fuzz import NOISE, NUMBERS, PATHS, VALUES, Json, damaged, hold
from tests.fuzz import share as share_of


def question(value):
    text = questions.clean_question(value)
    assert text and text == text.strip() and len(text) <= 1000 and text.isprintable() or "\n" not in text
    assert questions.clean_question(text) == text


def link(parameters):
    view = eval_state.from_parameters(parameters)
    assert all(len(v) <= eval_state.LONGEST for v in asdict(view).values())


def url(parts):
    path, query = parts
    raw = path.encode("utf-8", "replace")
    assert door_checks.check_url({"path": path, "raw_path": raw, "query_string": query.encode("utf-8", "replace")})


def file_link(path):
    door_checks.check_file(path)
    assert Path(path).resolve().is_relative_to(Path(tempfile.gettempdir()).resolve() / "gradio")


def call(data):
    assert isinstance(door_checks.parse_call(data), dict)


def address(parts):
    peer, forwarded, trusted = parts
    assert isinstance(addresses.client_address(peer, {"x-forwarded-for": forwarded}, trusted), str)


def reference(text):
    if not text.startswith("hf:"):  # that would ask the Hub
        assert isinstance(references.resolve(text), Path)
    else:
        model_lock.split_reference(text[3:])


def setting(parts):
    name, value = parts
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value.replace("\x00", "").encode("utf-8", "replace").decode())
        app_settings.load_settings.cache_clear()
        try:
            app_settings.load_settings()
        finally:
            app_settings.load_settings.cache_clear()


def variants(text):
    assert ask.parse_variants(text)


class Verdict(BaseModel):
    reason: str
    verdict: int


class Replying(chat_client.ChatClient):
    """A judge whose replies are given, without a network."""

    def __init__(self, reply):
        self._reply = reply

    def _complete(self, messages):
        return self._reply


def judge_reply(text):
    found = Replying(text).ask("Judge.", Verdict)
    assert isinstance(found.verdict, int) and isinstance(found.reason, str)


def comparison_link(parameters):
    asked = share.read(parameters)
    assert asked is None or asked.question and len(asked.options) == len(options.NAMES)
    assert asked is None or all(questions.clean_question(turn) == turn for turn in asked.earlier)


def corpus_link(parts):
    document, passage = parts
    held, shown = find(load_shelf(), document, passage)
    assert held in load_shelf().documents and (shown is None or shown.source == held.id)


def corpus_tab_link(parameters):
    assert all(len(drawn) == 3 for drawn in corpus_tab._from_link(parameters))


def run_link(name):
    run_log.read_run(name)
    raise AssertionError(f"{name!r} names no run")


def chosen_options(values):
    found = options.check_options(*values)
    for name, (low, high) in options.BOUNDS.items():
        assert low <= getattr(found, name) <= high


def streamed(data):
    found = remote_stream._chunk(data)
    assert isinstance(found.text, str) and isinstance(found.usage, dict)


CALL = {"data": ["What is MLA?"], "fn_index": 1, "session_hash": "abc", "event_id": None, "trigger_id": 5}
REPLY = '{"reason": "It says so.", "verdict": 1}'
CHUNK = {"model": "m", "choices": [{"delta": {"content": "word"}, "finish_reason": None}],
         "usage": {"prompt_tokens": 3}}


def as_text(data):
    return data.decode("utf-8", "replace")


WORDS = st.one_of(NOISE, st.text(max_size=1500), st.text("\u0621\u202e\u0300 a\u00e9\U0001f642\n\t", max_size=200))
PARAMETERS = st.dictionaries(st.one_of(st.sampled_from(["run", "vs", "q", "id", "tab"]), NOISE), WORDS, max_size=4)
OPTION = st.one_of(st.none(), NUMBERS, NOISE, VALUES)
ASKING = st.fixed_dictionaries({"q": WORDS}, optional={
    "tab": st.sampled_from(["compare", "eval", ""]), "after": st.lists(WORDS, max_size=4).map("\n".join),
    **{name: st.one_of(NOISE, NUMBERS.map(str)) for name in options.NAMES}})
SHELF = st.one_of(NOISE, PATHS, st.sampled_from(["mla", "3fs", "3fs#1", "3fs#99999", "lora#2"]))
TARGETS = {
    "question": (question, st.one_of(WORDS, VALUES)),
    "link": (link, PARAMETERS),
    "comparison link": (comparison_link, ASKING),
    "corpus link": (corpus_link, st.tuples(SHELF, SHELF)),
    "corpus tab": (corpus_tab_link, st.dictionaries(st.sampled_from(["tab", "doc", "passage"]),
                                                    st.one_of(st.just("corpus"), SHELF), max_size=3)),
    "run link": (run_link, st.one_of(NOISE, PATHS)),
    "options": (chosen_options, st.tuples(OPTION, OPTION, OPTION, OPTION)),
    "path": (url, st.tuples(PATHS, NOISE)),
    "file link": (file_link, PATHS),
    "call": (call, Json(CALL).text()),
    "address": (address, st.tuples(NOISE, st.one_of(NOISE, st.ip_addresses().map(str)), st.booleans())),
    "reference": (reference, st.one_of(NOISE, st.builds("{}:{}".format, st.sampled_from(["file", "pip", "hf", "x"]),
                                                        st.one_of(NOISE, PATHS)))),
    "setting": (setting, st.tuples(st.sampled_from(["MAX_TOKENS", "PORT", "DEADLINE_S", "PROFILE"]), NOISE)),
    "variants": (variants, st.one_of(NOISE, st.lists(st.sampled_from(["plain", "tuned", ",", " "])).map("".join))),
    "judge reply": (judge_reply, st.one_of(NOISE, Json(json.loads(REPLY)).text().map(as_text),
                                           damaged(REPLY.encode()).map(lambda b: f"Sure! {as_text(b)} So."))),
    "model server": (streamed, Json(CHUNK).text()),
}
FOUND = {"reference": ["pip", "pip:..", "pip:json.nothing/x", f"file:{'9' * 400}", "file:~nobody-of-this-name/x",
                       "file:~\x00"],
         "file link": ["/\x00"], "setting": [("MAX_TOKENS", "\u00b2"), ("PORT", "9" * 5000)]}
"""What earlier runs broke on, by target: tried each time."""
SENTENCES = (UserError, door_checks.Refused, chat_client.NoAnswer, remote_stream.Broken, remote_stream.Refused)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_generated_material_gives_a_value_or_a_sentence(name):
    parse, material = TARGETS[name]
    hold(parse, material, share_of(len(TARGETS)), SENTENCES, FOUND.get(name, ()))
