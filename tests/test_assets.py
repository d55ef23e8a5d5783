"""What ships belongs together: index to corpus, adapter to card, card to data."""

import hashlib
import json
import re

import pytest

from eval import results
from space import corpus, models
from space.questions import load_examples
from space.results import read_run, read_samples
from space.schema import VARIANTS
from space.settings import ASSETS, ROOT, Settings
from train.config import Recipe

CARDS = sorted((ASSETS / "adapters").glob("*/model_card.json"))


def test_the_index_was_made_from_this_corpus():
    manifest = json.loads((ASSETS / "index" / "manifest.json").read_text())
    documents = corpus.read_documents(ASSETS / "corpus")
    assert manifest["corpus_sha256"] == corpus.corpus_hash(documents), "run `python -m train.index`"
    assert manifest["passage_size"] == corpus.PASSAGE_SIZE
    passages = [p for d in documents for p in corpus.passages(d)]
    shipped = [json.loads(line) for line in (ASSETS / "index" / "passages.jsonl").read_text().splitlines()]
    assert [p.id for p in passages] == [s["id"] for s in shipped]
    assert [p.text for p in passages] == [s["text"] for s in shipped]


@pytest.mark.parametrize("path", CARDS, ids=lambda p: p.parent.name)
def test_every_adapter_has_its_true_card(path):
    card = json.loads(path.read_text())
    adapter = path.with_name("adapter.gguf")
    assert card["adapter_sha256"] == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert card["base_sha256"] == models.PROFILES[card["recipe"]["base"]].base_sha256
    assert Recipe(**card["recipe"]).name == card["name"] == path.parent.name
    assert card["train_loss"] and card["dev_loss"] and card["minutes"] > 0 and card["hardware"]
    run = ASSETS / "runs" / card["name"]
    assert json.loads((run / "run.json").read_text()) == card
    steps = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert max(s["step"] for s in steps) == card["steps"]


PROOFS = [ASSETS / "runs" / card.parent.name / "parity.json" for card in
          sorted((ASSETS / "adapters").glob("*/model_card.json"))]
"""Of every adapter that ships."""


@pytest.mark.parametrize("path", PROOFS, ids=lambda p: p.parent.name)
def test_every_proof_of_parity_is_of_the_adapter_that_ships(path):
    """Float16 must agree token by token, and so must the first tokens of what the app serves and of the merged
    q4_k_m, in nine answers of ten."""
    proof = json.loads(path.read_text())
    card = json.loads((ASSETS / "adapters" / path.parent.name / "model_card.json").read_text())
    assert proof["adapter_sha256"] == card["adapter_sha256"], f"run `python -m train.parity {path.parent.name}`"
    assert proof["prompts"] == proof["same_prompt_tokens"] == 40 and proof["answer_tokens"] > 400
    assert len(proof["splits"]) <= 2 and all(split["margin"] <= 0.05 for split in proof["splits"])
    assert proof["adapter_on_4_bit_base"]["first"] >= 0.9
    assert proof["q4_k_m"]["first"] >= 0.9 and proof["importance"]["part"] == "train" and not proof["troubles"]


RUNS = sorted(Settings.results.glob("*/run.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_shipped_runs_are_those_of_what_ships_today(path):
    """Stale numbers fail the build: prompts, adapter, corpus, index, questions, judge."""
    run = read_run(path.parent)
    assert results.stale(path.parent, run) == [], "make the run again, or remove it"
    assert len(read_samples(path.parent, run)) == run.questions * len(run.variants)


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.parent.name)
def test_what_a_stand_in_answered_never_ships(path):
    identity = read_run(path.parent).judge.get("identity", {})
    assert not re.search(r"127\.|localhost|0\.0\.0\.0|\[::1\]|stand-?in|fake", json.dumps(identity), re.I)


@pytest.mark.skipif(not RUNS, reason="no run has been shipped yet")
def test_the_full_runs_ship():
    shipped = {run.part: run for run in map(read_run, (p.parent for p in RUNS)) if run.judge["kind"] == "local"}
    for part in ("heldout", "paraphrase"):
        assert shipped[part].questions == len(load_examples(part=part))
        assert set(shipped[part].variants) == set(VARIANTS)


def test_an_adapter_ships():
    assert CARDS


def test_no_tracked_file_is_large():
    for path in (ROOT / "assets").rglob("*"):
        assert not path.is_file() or path.stat().st_size < 25e6, path
