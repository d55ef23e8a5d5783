import json

import pytest

from eval.bench import judge as bench
from tests.eval.made import record

CONTEXT = "passage 1:MLA shrinks the KV cache by 93.3% against DeepSeek 67B.\n\npassage 2:DualPipe overlaps batches."
RIGHT = "MLA shrinks the KV cache by 93.3%."
WRONG = "MLA shrinks the KV cache by 93.3%. It was painted by Rembrandt in 1642 in Amsterdam."


def row(source, answer, hallucinated):
    return {"source_id": source, "question": "What does MLA do?", "context": CONTEXT, "answer": answer,
            "hallucinated": hallucinated}


@pytest.fixture
def file(tmp_path):
    rows = [row(f"s{n}", text, bad) for n in range(12) for text, bad in (
        (RIGHT, 0), (WRONG if n % 4 else "Vermeer painted it in 1665.", 1), (f"{RIGHT} DualPipe overlaps batches.", 0))]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_the_report_holds_the_judge_to_plainer_scores(file, capsys):
    assert bench.main([str(file)]) == 0
    out = capsys.readouterr().out
    assert "36 answers to 12 sources, 12 unfaithful" in out
    judge, mean = (next(line for line in out.splitlines() if f in line) for f in ("weakest claim", "claims' mean"))
    assert "| 1.000 [1.000, 1.000] |" in judge and judge.endswith("|  |") and "[" in mean.split("|")[4]


def test_a_score_and_a_lead_by_hand(file):
    answers = bench.read(file)
    best, none = [float(not a.hallucinated) for a in answers], [0.0] * len(answers)
    assert bench.measured(answers, best) == (1.0, 1.0, 1.0) and bench.measured(answers, none)[0] == 0.5
    assert bench.difference(answers, best, none) == (0.5, 0.5, 0.5)
    assert {a.second_half for a in answers} == {True, False}
    assert all(len({a.second_half for a in answers if a.source == s}) == 1 for s in {a.source for a in answers})


def test_the_fitted_regression_never_saw_the_source_it_scores(file):
    answers = bench.read(file)
    flipped = [bench.Answer(a.source, a.second_half, not a.hallucinated, a.claims, a.share, a.missing, a.characters)
               if a.source == "s0" else a for a in answers]
    own = [n for n, a in enumerate(answers) if a.source == "s0"]
    one, other = bench.fitted_here(answers), bench.fitted_here(flipped)
    assert [one[n] for n in own] == [other[n] for n in own] and one != other


@pytest.mark.parametrize("text", ["{}", "no", '{"source_id": 1}'])
def test_another_file_is_refused_with_a_sentence(tmp_path, capsys, text):
    (tmp_path / "x.jsonl").write_text(text)
    assert bench.main([str(tmp_path / "x.jsonl")]) == 2 and "no file of labelled answers" in capsys.readouterr().err
    assert bench.main([str(tmp_path / "nowhere.jsonl")]) == 2


def test_a_run_is_held_to_its_key_facts():
    records = [record(n, "tuned_rag", {"key_facts": float(n % 2), "faithfulness": n % 2 / 2, "answer_relevancy": 0.5,
                                       "faithfulness_retrieved": -n % 2 / 2}) for n in range(20)]
    records += [record(n, "plain", {"key_facts": 1.0, "faithfulness": 0.0}) for n in range(20)]  # read no passages
    out = bench.against_key_facts(records)
    assert "10 answers hold their key facts, 10 do not" in out and "| faithfulness | 1.000 [1.000, 1.000] |" in out
    assert "| answer_relevancy | 0.500 [0.500, 0.500] |" in out
