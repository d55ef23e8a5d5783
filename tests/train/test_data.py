import json
from collections import Counter
from dataclasses import replace

import pytest

from space import corpus
from space.questions import load_examples
from space.schema import Evidence, Example
from space.settings import ASSETS
from train import check, data


def example(
    id_, question="A question about MLA?", quote="MLA shrinks the KV cache by 93.3%.", split="train", kind="number"
):
    return Example(
        id_,
        question,
        "DeepSeek-V2 with MLA shrinks the KV cache by 93.3% when compared with its predecessor DeepSeek 67B.",
        (Evidence("d", quote),),
        ("93.3%",),
        kind,
        split,
    )


BODIES = {"d": "MLA shrinks the KV cache by 93.3%. Another sentence."}


def test_a_good_row_has_no_problem():
    assert check.row_problems(example("d-1"), BODIES) == []


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"reference": "Short."}, "1 words"),
        ({"question": "What does the table say?"}, "beside a text"),
        ({"evidence": (Evidence("d", "Invented quote."),)}, "quote is not in"),
        ({"key_facts": ()}, "no key facts"),
        ({"key_facts": ("99%",)}, "not in the reference"),
        ({"question": "Is it 93.3%?"}, "given away"),
        ({"kind": "compare"}, "has 1 quotes"),
        ({"kind": "unanswerable"}, "unanswerable row"),
    ],
)
def test_each_rule_is_checked(changes, part):
    assert any(part in p for p in check.row_problems(replace(example("d-1"), **changes), BODIES))


def test_shared_evidence_and_near_duplicates_are_found(tmp_path):
    (tmp_path / "d.md").write_text(
        "# D\n\n## One\n\nMLA shrinks the KV cache by 93.3%.\n\n## Two\n\nAnother sentence.\n"
    )
    documents = corpus.read_documents(tmp_path)
    rows = [
        example("d-1"),
        example("d-2", "A wholly different thing to ask", split="heldout"),
        example("d-3", "A question about MLA now?", "Another sentence.", split="dev"),
    ]
    sections = [s for d in documents for s in corpus.sections(d)]
    assert check._shared_evidence(rows, sections) == ["the section 'One' of d serves heldout and train"]
    import numpy as np

    assert len(check.near_duplicates(rows, np.eye(3))) == 1
    cosines = np.eye(3)
    cosines[1, 0] = 0.95
    assert len(check.near_duplicates(rows, cosines)) == 2


def test_split_keeps_groups_together_and_shares_right(tmp_path):
    text = "# D\n" + "".join(f"\n## S{n}\n\nFact number {n} is here. Also number {n} again.\n" for n in range(60))
    (tmp_path / "d.md").write_text(text)
    sections = [s for d in corpus.read_documents(tmp_path) for s in corpus.sections(d)]
    rows = [
        example(f"d-{2 * n + k}", quote=q.format(n))
        for n in range(60)
        for k, q in enumerate(["Fact number {} is here.", "Also number {} again."])
    ]
    done = data.split(rows, sections)
    parts = {e.id: e.split for e in done}
    assert all(parts[f"d-{2 * n}"] == parts[f"d-{2 * n + 1}"] for n in range(60))
    shares = Counter(parts.values())
    assert abs(shares["train"] - 84) <= 2 and abs(shares["dev"] - 12) <= 2 and abs(shares["heldout"] - 24) <= 2
    assert done == data.split(rows, sections)


def test_the_shipped_split_is_what_the_command_gives(tmp_path, capsys):
    path = tmp_path / "q.jsonl"
    path.write_bytes((ASSETS / "qa" / "questions.jsonl").read_bytes())
    assert data.main(["split", "--questions", str(path)]) == 0
    assert path.read_bytes() == (ASSETS / "qa" / "questions.jsonl").read_bytes()


def test_bad_files_are_sentences(tmp_path, capsys):
    assert data.main(["check", "--questions", str(tmp_path / "none.jsonl")]) == 2
    assert "missing" in capsys.readouterr().err


@pytest.mark.model
def test_the_shipped_data_keeps_every_rule():
    """Disjoint evidence, no near-duplicates, quotes and key facts in place, numbers as promised."""
    examples = load_examples()
    documents = corpus.read_documents(ASSETS / "corpus")
    report = check.check(examples, documents)
    assert report.problems == []
    own = [e for e in examples if e.split != "paraphrase"]
    assert len(own) >= 520 and len(examples) - len(own) == 60 and len(documents) >= 24
    parts = Counter(e.split for e in own)
    assert abs(parts["dev"] / len(own) - 0.1) < 0.01 and abs(parts["heldout"] / len(own) - 0.2) < 0.01
    assert 0.04 <= sum(e.kind == "unanswerable" for e in own) / len(own) <= 0.08
    assert any(line.startswith("leak report, heldout") for line in report.lines)


def test_paraphrases_point_to_training_facts():
    by_id = {e.id: e for e in load_examples()}
    for e in by_id.values():
        if e.split == "paraphrase":
            original = by_id[e.paraphrase_of]
            assert original.split == "train" and e.reference == original.reference and e.question != original.question


def test_documents_are_as_long_as_promised():
    for document in corpus.read_documents(ASSETS / "corpus"):
        assert 900 <= len(document.body.split()) <= 1800, document.id
        assert document.meta.get("covers") and document.meta.get("source"), document.id
        assert document.meta.get("arxiv") or document.meta.get("repository"), document.id


def test_rows_survive_writing(tmp_path):
    path = tmp_path / "q.jsonl"
    examples = load_examples()
    data.write_examples(path, examples)
    assert load_examples(path) == examples
    assert all(json.loads(line)["id"] for line in path.read_text().splitlines())
