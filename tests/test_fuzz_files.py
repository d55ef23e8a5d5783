"""Every parser of files, fed with generated material: a right value or a sentence, nothing else. The parsers of what
visitors, links and servers send are in test_fuzz_asked.py; `make test` runs a small fixed set of both."""

import hashlib
import json
import struct
from dataclasses import asdict, replace

import pytest
from hypothesis import strategies as st

from eval import arc_questions, ledger
from space import (
    adapter_card,
    advisories,
    ask,
    corpus,
    gguf_header,
    model_lock,
    questions,
    results,
    retriever,
    run_log,
    votes,
)
from space.errors import UserError
from space.json_text import parse_json
from space.schema import Example, Passage
from space.settings import ASSETS
from space.shapes import check_shape
from tests.fuzz import FOLDER, NOISE, Json, changed, damaged, hold, lines, share, written
from tests.space.test_gguf_header import GOOD, gguf
from train import arc_rows, checkpoints
from train.config import Recipe, load_recipe


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
        row = parse_json(data.decode(), finite=True)
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


def vote_file(data):
    folder = written("votes/votes-a.jsonl", data).parent
    assert all(vote.choice in (*vote.order, votes.TIE) for vote in votes.read(folder))
    assert sum(found.count for found in votes.tally(folder)) >= 0


def advisory_file(data):
    found = advisories.findings(advisories.read_advisories(written("osv.json", data)), {"diskcache": "5.6.3"})
    assert all(f.package == "diskcache" and f.id for f in found)


def arc_training_rows(data):
    for question in arc_rows.read(written("ARC-Easy-train.jsonl", data), "Easy"):
        assert 0 <= question.answer < len(question.options)


def question_list(data):
    for text in ask.read_questions(written("asked.jsonl", data)):
        questions.clean_question(text)


def checkpoint_seal(data):
    assert checkpoints.is_whole(written("checkpoint-5/sealed.json", data).parent) in (True, False)


HEADER = gguf(GOOD, [("a", (256, 4), 12), ("b", (8,), 0)])
ROW = asdict(questions.load_examples()[0])
PASSAGE = json.loads((ASSETS / "index" / "passages.jsonl").read_text().splitlines()[0])
MANIFEST = json.loads((ASSETS / "index" / "manifest.json").read_text())
CARD = {"schema": 1, "adapter_sha256": "a" * 64, "base_sha256": "b" * 64, "base_file": "base.gguf"}
LOCK = {"schema": 1, "models": [{"repo": "a/b", "revision": "c" * 40, "files": [{"path": "m.gguf", "size": 5}]}]}
ARC_ROW = {"id": "1", "question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
RUN_CARD = {"schema": 1, "name": "a", "recipe": {"rank": 8}, "steps": 5, "train_loss": [[1, 2.0]], "minutes": 3.0}
LOG = {"step": 1, "loss": 2.0, "eval_loss": 1.0, "epoch": 0.5, "tokens_per_s": 100.0}
TOML = (ASSETS.parent / "train" / "recipes" / "smollm2-135m.toml").read_bytes()
ARC_TRAIN = {"id": "1", "question": "Why?", "choices": ["a", "b"], "labels": ["A", "B"], "answerKey": "A"}
VOTE = {"day": "2026-11-27", "choice": "tie", "order": ["plain", "tuned"], "models": {"plain": "ab"}, "question": "",
        "recorded": False, "schema": 1}
OSV = {"id": "PYSEC-1", "aliases": ["CVE-2025-69872"], "affected": [
    {"package": {"name": "diskcache", "ecosystem": "PyPI"}, "versions": ["5.6.3"],
     "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0"}]}]}]}
SEAL = {"files": {"sealed.json": 5, "a.bin": 3}}


def made_run():
    from tests.made_results import make

    run, records = make(FOLDER / "made", limit=2)
    folder = FOLDER / "made" / "heldout"
    return run, (folder / "run.json").read_bytes(), (folder / "samples.jsonl").read_bytes()


RUN, RUN_JSON, SAMPLES = made_run()


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


MARKDOWN = st.one_of(damaged(next((ASSETS / "corpus").glob("*.md")).read_bytes()[:3000]),
                     st.text(max_size=1500).map(lambda t: t.encode("utf-8", "replace")),
                     st.lists(st.sampled_from(["---\n", "# T\n", "## H\n", "```\n", "| a |\n|---|\n", "text. "]),
                              max_size=12).map(lambda p: "".join(p).encode()))
TARGETS = {
    "question rows": (question_rows, lines(ROW)),
    "passages": (passages, lines(PASSAGE)),
    "index manifest": (index_manifest, Json(MANIFEST).text()),
    "recipe": (recipe, toml_lines()),
    "results": (results_run, st.one_of(changed(json.loads(RUN_JSON)).map(lambda v: json.dumps(v).encode()),
                                       damaged(RUN_JSON))),
    "result rows": (results_rows, st.one_of(damaged(SAMPLES), lines(json.loads(SAMPLES.split(b"\n")[0])))),
    "ledger": (ledger_rows, st.one_of(damaged(SAMPLES[:4000]), lines({"a": 1}))),
    "ARC rows": (arc, lines(ARC_ROW)),
    "ARC training rows": (arc_training_rows, st.one_of(lines(ARC_ROW), lines(ARC_TRAIN))),
    "GGUF header": (header, numbers_in_header()),
    "adapter card": (card, Json(CARD).text()),
    "model lock": (lock, Json(LOCK).text()),
    "training run": (training_run, st.tuples(Json(RUN_CARD).text(), lines(LOG).map(lambda d: d + b"\n"))),
    "checkpoint seal": (checkpoint_seal, Json(SEAL).text()),
    "document": (document, MARKDOWN),
    "votes": (vote_file, lines(VOTE)),
    "advisories": (advisory_file, Json(OSV).text()),
    "question list": (question_list, lines({"q": "What is MLA?"})),
}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_generated_material_gives_a_value_or_a_sentence(name):
    parse, material = TARGETS[name]
    hold(parse, material, share(len(TARGETS)), (UserError,))
