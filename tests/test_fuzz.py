"""Every parser of outside data, fed with generated material: a right value or a sentence, nothing else.

`make test` runs a small fixed set; `FUZZ_CASES=100000 python -m pytest tests/test_fuzz.py` spreads so many
cases over the targets, other ones each time.
"""

import hashlib
import json
import os
import struct
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from eval import arc_questions, ledger
from space import (
    adapter_card,
    addresses,
    ask,
    chat_client,
    corpus,
    door_checks,
    eval_state,
    gguf_header,
    model_lock,
    models,
    questions,
    results,
    retriever,
    run_log,
)
from space import (
    settings as app_settings,
)
from space.errors import UserError
from space.schema import Example, Passage
from space.settings import ASSETS
from space.shapes import check_shape
from tests.fuzz import NOISE, VALUES, Json, changed, damaged
from tests.space.test_gguf_header import GOOD, gguf
from train.config import Recipe, load_recipe

CASES = int(os.environ.get("FUZZ_CASES", "0"))
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
SLOW_S = 2.0
"""A case that takes longer counts as a hang; the machine may be busy."""


def written(name, data):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else str(data).encode("utf-8", "replace"))
    return path


def clean_question(value):
    text = questions.clean_question(value)
    assert text and text == text.strip() and len(text) <= 1000 and text.isprintable() or "\n" not in text
    assert questions.clean_question(text) == text


def question_rows(data):
    assert all(isinstance(e, Example) and check_shape(e) for e in questions.load_examples(written("q.jsonl", data)))


def passages(data):
    assert all(isinstance(p, Passage) and check_shape(p) for p in retriever.read_passages(written("p.jsonl", data)))


def index_manifest(data):
    manifest = retriever._read_manifest(written("index/manifest.json", data).parent)
    assert manifest["schema"] == retriever.SCHEMA


def recipe(data):
    found = load_recipe(written("r.toml", data))
    assert isinstance(found, Recipe) and check_shape(found)


def results_run(data):
    try:
        row = results.parse_json(data.decode())
        row.pop("run_sha256", None)
        data = json.dumps(row | {"run_sha256": results.canonical_hash(row)}).encode()  # what lies behind the hash
    except (ValueError, AttributeError, TypeError, RecursionError, UnicodeError):
        pass
    check_shape(results.read_run(written("run/run.json", data).parent))


def results_rows(data):
    folder = written("rows/samples.jsonl", data).parent
    run = replace(RUN, samples_sha256=hashlib.sha256(folder.joinpath("samples.jsonl").read_bytes()).hexdigest())
    assert all(check_shape(r) for r in results.read_samples(folder, run))


def ledger_rows(data):
    path = written("ledger.jsonl", data)
    try:
        rows = ledger.read(path)
    except ValueError:  # a whole line that is no JSON; its callers name the file
        return
    whole = path.read_bytes()
    assert not whole or whole.endswith(b"\n")
    assert isinstance(rows, list)


def arc(data):
    written("ARC-Easy-test.jsonl", data)
    assert arc_questions.load(FOLDER, "easy", "test")


def header(data):
    found = gguf_header.read_header(written("m.gguf", data))
    assert isinstance(found.architecture, str) and found.layers >= 0


def card(data):
    written("adapter/model_card.json", data)
    adapter_card.check_card(FOLDER / "adapter" / "adapter.gguf", FOLDER / "base.gguf", "a" * 64, "b" * 64)


def lock(data):
    model_lock.read_lock.cache_clear()
    model_lock.read_lock(written("lock.json", data))


def training_run(parts):
    card_data, log = parts
    written("runs/a/run.json", card_data)
    written("runs/a/log.jsonl", log)
    run_log.read_run("a", FOLDER / "runs")


def document(data):
    written("corpus/a.md", data)
    for found in corpus.read_documents(FOLDER / "corpus"):
        assert all(p.id.startswith("a#") and p.text.strip() for p in corpus.passages(found))


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
        assert isinstance(models.resolve(text), Path)
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


HEADER = gguf(GOOD, [("a", (256, 4), 12), ("b", (8,), 0)])
ROW = asdict(questions.load_examples()[0])
PASSAGE = json.loads((ASSETS / "index" / "passages.jsonl").read_text().splitlines()[0])
MANIFEST = json.loads((ASSETS / "index" / "manifest.json").read_text())
CARD = {"schema": 1, "adapter_sha256": "a" * 64, "base_sha256": "b" * 64, "base_file": "base.gguf"}
LOCK = {"schema": 1, "models": [{"repo": "a/b", "revision": "c" * 40, "files": [{"path": "m.gguf", "size": 5}]}]}
ARC_ROW = {"id": "1", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
RUN_CARD = {"schema": 1, "name": "a", "recipe": {"rank": 8}, "steps": 5, "train_loss": [[1, 2.0]], "minutes": 3.0}
LOG = {"step": 1, "loss": 2.0, "eval_loss": 1.0, "epoch": 0.5, "tokens_per_s": 100.0}
CALL = {"data": ["What is MLA?"], "fn_index": 1, "session_hash": "abc", "event_id": None, "trigger_id": 5}
TOML = (ASSETS.parent / "train" / "recipes" / "smollm2-135m.toml").read_bytes()
REPLY = '{"reason": "It says so.", "verdict": 1}'


def made_run():
    from tests.made_results import make

    run, records = make(FOLDER / "made", limit=2)
    folder = FOLDER / "made" / "heldout"
    return run, (folder / "run.json").read_bytes(), (folder / "samples.jsonl").read_bytes()


RUN, RUN_JSON, SAMPLES = made_run()


def as_text(data):
    return data.decode("utf-8", "replace")


def lines(value):
    return st.lists(Json(value).text(), min_size=1, max_size=3).map(b"\n".join)


def toml_lines():
    keys = st.sampled_from([*Recipe.__dataclass_fields__, "lr", ""])
    values = st.one_of(st.integers(-(2**65), 2**65).map(str), st.floats().map(repr), st.just("true"),
                       NOISE.map(json.dumps), st.just("[1]"), st.just("1979-05-27"))
    line = st.builds(lambda k, v: f"{k} = {v}", keys, values)
    own = st.lists(line, max_size=4).map(lambda more: "\n".join(['name = "x"', 'base = "embedded"', *more]))
    return st.one_of(own.map(lambda t: t.encode("utf-8", "replace")), damaged(TOML))


def numbers_in_header():
    pair = st.tuples(st.sampled_from(["general.architecture", "llama.block_count", "general.file_type", "x"]),
                     st.integers(0, 14), st.binary(max_size=12))
    made = st.builds(lambda pairs, n, v: gguf(pairs, [("t", tuple(n), 12)], v), st.lists(pair, max_size=3),
                     st.lists(st.integers(0, 2**64 - 1), max_size=9), st.integers(0, 5))
    counts = st.builds(lambda a, b: b"GGUF" + struct.pack("<IQQ", 3, a, b), st.integers(0, 2**64 - 1),
                       st.integers(0, 2**64 - 1))
    return st.one_of(damaged(HEADER), made, counts, st.binary(max_size=50))


WORDS = st.one_of(NOISE, st.text(max_size=1500), st.text("؀\u202e\u0300 aé🙂\n\t", max_size=200))
PARAMETERS = st.dictionaries(st.one_of(st.sampled_from(["run", "vs", "q", "id", "tab"]), NOISE), WORDS, max_size=4)
MARKDOWN = st.one_of(damaged(next((ASSETS / "corpus").glob("*.md")).read_bytes()[:3000]),
                     WORDS.map(lambda t: t.encode("utf-8", "replace")),
                     st.lists(st.sampled_from(["---\n", "# T\n", "## H\n", "```\n", "| a |\n|---|\n", "text. "]),
                              max_size=12).map(lambda p: "".join(p).encode()))
PATHS = st.one_of(NOISE, st.lists(st.sampled_from(["/", "..", "tmp", "gradio", "a", "%2e", "\\", "\x00", "~"]),
                                  max_size=8).map("".join), st.just(f"{tempfile.gettempdir()}/gradio/x"))
TARGETS = {
    "question": (clean_question, st.one_of(WORDS, VALUES)),
    "question rows": (question_rows, lines(ROW)),
    "passages": (passages, lines(PASSAGE)),
    "index manifest": (index_manifest, Json(MANIFEST).text()),
    "recipe": (recipe, toml_lines()),
    "results": (results_run, st.one_of(changed(json.loads(RUN_JSON)).map(lambda v: json.dumps(v).encode()),
                                       damaged(RUN_JSON))),
    "result rows": (results_rows, st.one_of(damaged(SAMPLES), lines(json.loads(SAMPLES.split(b"\n")[0])))),
    "ledger": (ledger_rows, st.one_of(damaged(SAMPLES[:4000]), lines({"a": 1}))),
    "ARC rows": (arc, lines(ARC_ROW)),
    "GGUF header": (header, numbers_in_header()),
    "adapter card": (card, Json(CARD).text()),
    "model lock": (lock, Json(LOCK).text()),
    "training run": (training_run, st.tuples(Json(RUN_CARD).text(), lines(LOG).map(lambda d: d + b"\n"))),
    "document": (document, MARKDOWN),
    "link": (link, PARAMETERS),
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
}
FOUND = {"reference": ["pip", "pip:..", "pip:json.nothing/x", f"file:{'9' * 400}", "file:~nobody-of-this-name/x"]}
"""What earlier runs broke on, by target: tried each time."""
SENTENCES = (UserError, door_checks.Refused, chat_client.NoAnswer)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_generated_material_gives_a_value_or_a_sentence(name):
    parse, material = TARGETS[name]
    count = max(CASES // len(TARGETS) + 1, 40)

    def check(value):
        begun = time.thread_time()
        try:
            parse(value)
        except SENTENCES as error:
            assert str(error).strip() and "Traceback" not in str(error)
        assert time.thread_time() - begun < SLOW_S, "too slow"

    for value in FOUND.get(name, ()):
        check(value)
    settings(max_examples=count, deadline=None, derandomize=not CASES, database=None,
             suppress_health_check=list(HealthCheck))(given(material)(check))()
