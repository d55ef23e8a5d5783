from space import examples, parts


def test_groups_hold_shipped_questions_of_their_kind():
    groups = examples.groups()
    assert groups.keys() == examples.GROUPS.keys()
    assert {k: len(v) for k, v in groups.items()} == {k: len(ids) for k, (_, ids) in examples.GROUPS.items()}
    assert {e.split for e in groups["heldout"]} == {"heldout"}
    assert {e.split for e in groups["paraphrase"]} == {"paraphrase"}
    assert {e.kind for e in groups["unanswerable"]} == {"unanswerable"}
    assert all(len(e.question) < 90 for group in groups.values() for e in group)


def test_a_typed_question_finds_its_reference():
    example = examples.groups()["heldout"][0]
    assert examples.find("  " + example.question.upper().replace(" ", "  ")) == example
    assert examples.find(example.question[:-2]) is None


def test_a_surprise_is_another_question():
    first = examples.groups()["heldout"][0].question
    assert all(examples.surprise(first).question != first for _ in range(20))
    assert examples.surprise().split in ("heldout", "paraphrase")


def test_an_own_corpus_has_no_examples(monkeypatch, tmp_path):
    question = examples.groups()["heldout"][0].question
    monkeypatch.setattr(parts, "own_corpus", lambda: tmp_path)
    assert not examples.groups() and examples.find(question) is None and examples.surprise() is None


def test_every_example_says_what_it_stands_for():
    said = {key: examples.meaning(group[0]) for key, group in examples.groups().items()}
    assert "held out" in said["heldout"] and "reworded" in said["paraphrase"] and "no answer" in said["unanswerable"]
