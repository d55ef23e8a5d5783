import hashlib
import json
import shutil

import pytest

from space import models, retriever
from space.errors import UserError
from space.questions import evidence_passages, load_examples
from space.retriever import Retriever, write_index
from space.schema import Passage
from space.settings import ASSETS

pytestmark = pytest.mark.model
PASSAGES = [
    Passage("a#1", "MLA compresses the KV cache into a latent vector.", "a", "DeepSeek-V2", "Attention"),
    Passage("b#1", "3FS reads 6.6 TiB/s from 180 storage nodes.", "b", "3FS", "Throughput"),
    Passage("c#1", "GRPO needs no critic model.", "c", "DeepSeekMath", "GRPO"),
]


@pytest.fixture
def folder(tmp_path):
    write_index(tmp_path, PASSAGES, models.EMBEDDER, "hash", note="test")
    return tmp_path


def test_the_right_passage_comes_first(folder):
    opened = Retriever(folder, models.EMBEDDER)
    for question, id_ in (
        ("how fast does 3FS read", "b#1"),
        ("Which RL method has no critic?", "c#1"),
        ("What is MLA?", "a#1"),
    ):
        found = opened.search(question, 2)
        assert found[0].id == id_ and len(found) == 2 and found[0].score >= found[1].score
        assert found[1].score >= -1 and found[0].score <= 1.0001


def test_more_passages_than_there_are(folder):
    assert len(Retriever(folder, models.EMBEDDER).search("x", 50)) == 3


@pytest.mark.parametrize("question", ["ما هو الانتباه الكامن متعدد الرؤوس؟", "什么是多头潜在注意力?", "?!", "😀"])
def test_a_question_without_latin_words_is_ranked_by_the_embedding_alone(folder, question):
    found = Retriever(folder, models.EMBEDDER).search(question, 3)
    assert len(found) == 3 and found[0].cosine == max(p.cosine for p in found)
    assert [p.score for p in found] == pytest.approx([0.7 * p.cosine for p in found], abs=1e-3)


@pytest.mark.parametrize(
    "damage, part",
    [
        (
            lambda f: (f / "vectors.faiss").write_bytes((f / "vectors.faiss").read_bytes()[:-8] + b"00000000"),
            "vectors.faiss .* damaged",
        ),
        (lambda f: (f / "passages.jsonl").write_text("{}\n"), "passages.jsonl .* damaged"),
        (lambda f: (f / "passages.jsonl").unlink(), "lacks passages.jsonl"),
        (lambda f: (f / "manifest.json").unlink(), "There is no search index"),
        (lambda f: (f / "manifest.json").write_text("{"), "unreadable"),
        (lambda f: (f / "manifest.json").write_text('{"schema": 99}'), "format 99"),
    ],
)
def test_a_damaged_index_is_refused_with_the_fix(folder, damage, part):
    damage(folder)
    with pytest.raises(UserError, match=part) as error:
        Retriever(folder, models.EMBEDDER)
    assert "python -m train.index" in error.value.hint


def test_an_index_of_another_state_of_the_documents_is_refused(folder, tmp_path_factory):
    documents, opened = tmp_path_factory.mktemp("documents"), Retriever(folder, models.EMBEDDER)
    opened.check_corpus(documents)  # an index may stand without its documents
    shutil.copy(sorted((ASSETS / "corpus").glob("*.md"))[0], documents)
    with pytest.raises(UserError, match="another state of the documents") as error:
        opened.check_corpus(documents)
    assert "python -m train.index" in error.value.hint


def test_an_index_with_a_passage_too_many_is_refused(folder):
    """Its hashes hold, as if an older program had written it."""
    path, manifest = folder / "passages.jsonl", json.loads((folder / "manifest.json").read_text())
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="differ in number"):
        Retriever(folder, models.EMBEDDER)


def test_another_embedder_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "embedder_sha256": "00"}))
    with pytest.raises(UserError, match="another embedding model"):
        Retriever(folder, models.EMBEDDER)


def test_embeddings_are_the_known_ones():
    """A golden vector: a silently changed embedder would spoil every score."""
    vector = retriever.embed(retriever.load_embedder(models.EMBEDDER), ["What is MLA?", "What is MLA?"])
    assert vector.shape == (2, 384) and abs(float((vector[0] ** 2).sum()) - 1) < 1e-5
    near = retriever.embed(
        retriever.load_embedder(models.EMBEDDER), ["a cat sits", "a kitten is sitting", "pipeline bubbles"]
    )
    assert near[0] @ near[1] > 0.6 > 0.3 > near[0] @ near[2]


def test_held_out_recall_at_3(retriever):
    """What ships finds the evidence of held-out questions among three passages."""
    found = []
    for example in load_examples(part="heldout"):
        if example.evidence:
            ids = {p.id for p in retriever.search(example.question, 3)}
            gold = evidence_passages(example, retriever.passages)
            assert all(gold), example.id
            found.append(sum(bool(ids & set(g)) for g in gold) / len(gold))
    assert sum(found) / len(found) >= 0.95
