from dataclasses import replace

from space import chat_words, models
from tests.made_results import make

EMBEDDED = models.PROFILES["embedded"]


def test_the_page_answers_its_questions_from_the_held_out_run_of_its_own_models(tmp_path):
    run, records = make(tmp_path)
    said = chat_words.measured([replace(run, part="dev"), run], EMBEDDED)
    assert "Fine-tuned + RAG" in said and "% of" in said and 'href="?tab=eval"' in said
    answerable = sum(r.variant == "plain" and r.kind != "unanswerable" for r in records)
    assert f"Measured on {answerable} held-out questions that the corpus answers:" in said
    assert chat_words.measured([replace(run, part="dev")], EMBEDDED) == ""
    assert chat_words.measured([run], models.PROFILES["qwen2.5-3b"]) == ""
    assert chat_words.measured([], EMBEDDED) == ""
