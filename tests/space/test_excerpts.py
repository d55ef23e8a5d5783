import numpy as np

from space import excerpts, prompts
from space.retriever import words
from space.schema import Passage

TABLE = "| Benchmark | R1 | V3 |\n|---|---|---|\n| AIME 2024 | 79.8 | 39.2 |\n| MATH-500 | 97.3 | 90.2 |"
FIRST = Passage("d#1", "R1 is open. It was trained with GRPO. It scores well.", "d", "About R1", "Training", 0.9)
SECOND = Passage("d#2", TABLE, "d", "About R1", "Results", 0.5)


def embed(texts):
    """Bags of words over a fixed vocabulary, as unit vectors."""
    vocabulary = ["grpo", "trained", "aime", "math", "open", "scores"]
    rows = np.array([[w in words(t) for w in vocabulary] for t in texts], dtype="float32") + 0.01
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ranker(*passages):
    return excerpts.Ranker(passages, embed(excerpts.embedded(passages)).astype("float16"), embed, words)


def test_prose_is_cut_at_sentence_ends_and_a_row_names_its_columns():
    assert excerpts.sentences(FIRST.text) == ["R1 is open.", "It was trained with GRPO.", "It scores well."]
    assert excerpts.sentences("A 3.5 point gain.\nIt goes on. " + "\n\n" + TABLE) == [
        "A 3.5 point gain.", "It goes on.",
        "Benchmark AIME 2024: R1 79.8, V3 39.2.", "Benchmark MATH-500: R1 97.3, V3 90.2."]
    assert excerpts.sentences("| Only a head |\n|---|") == ["Only a head"]
    assert excerpts.sentences("  \n\n ") == []


def test_the_sentence_that_answers_ranks_first():
    best = ranker(FIRST, SECOND).rank("How was R1 trained, with GRPO?", [SECOND, FIRST])
    assert best[0].text == "It was trained with GRPO." and best[0].passage.id == "d#1" and best[0].place == 1
    assert len(best) == 5
    assert ranker(FIRST, SECOND).rank("What about AIME 2024?", [FIRST, SECOND])[0].text.startswith("Benchmark AIME")
    assert ranker(FIRST).rank("Anything?", []) == []


def test_passages_carry_what_is_read_and_the_best_comes_first():
    ranked = ranker(FIRST, SECOND).rank("What about AIME 2024?", [FIRST, SECOND])
    one = excerpts.excerpt([FIRST, SECOND], ranked[:1])
    assert [p.id for p in one] == ["d#2", "d#1"] and one[1].excerpt == ""
    text = prompts.user_text("What about AIME 2024?", one)
    assert "79.8" in text and "97.3" not in text and "GRPO" not in text and "[1]" in text and "[2]" not in text
    both = [s for s in ranked if s.passage.id == "d#1"][::-1]
    assert excerpts.excerpt([FIRST], both)[0].excerpt == FIRST.text  # in the order of the passage


def test_without_excerpts_passages_are_read_whole():
    text = prompts.user_text("Q?", [FIRST, SECOND])
    assert FIRST.text in text and TABLE in text
