"""What the dashboard says, without a browser."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from space import eval_breakdown, eval_compare, eval_detail, eval_files, eval_judge, eval_questions, eval_view, plots
from space.errors import UserError
from space.eval_state import ANY, View, from_fields, from_parameters
from space.results import Verdict, list_runs
from tests import made_results
from tests.eval.made import record

VARIANTS = ("plain", "tuned", "tuned_rag")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_results.make(folder, "now", limit=40)
    made_results.make(folder, "then", limit=30, seed=8, better=-0.4)
    return folder


@pytest.fixture(scope="module")
def now(folder):
    return eval_files.open_run(folder / "now")


@pytest.fixture(scope="module")
def then(folder):
    return eval_files.open_run(folder / "then")


def live(html):
    """The tags that a browser would make, apart from ours."""
    return re.findall(r"<(?:img|script|b>broken|svg|iframe)", html)


def test_a_run_says_what_it_is(now):
    html = eval_view.provenance(now.run)
    for wanted in ("40 held-out questions", "SmolLM2-135M-Instruct Q4_1", now.run.dataset_sha256[:12], "local judge",
                   "not RAGAS", now.run.git_revision[:10] or "unknown", "greedy, at most 100 tokens, 3 passages",
                   now.run.packages["python"], "smollm2-135m/adapter.gguf"):
        assert wanted in html, wanted
    assert "with uncommitted changes" in eval_view.provenance(replace(now.run, git_revision="ab" * 20, git_dirty=True))
    unknown = eval_view.provenance(replace(now.run, git_revision="", git_dirty=None, created_utc="<i>x</i>"))
    assert "commit unknown<" in unknown and "&lt;i&gt;x" in unknown


def test_a_best_variant_is_named_only_where_the_test_shows_one(now):
    means = [m for m in now.run.means if m.metric == "key_facts"]
    shares = dict(zip(VARIANTS, (0.1, 0.0, 0.5), strict=True))
    lead = next(c for c in now.run.comparisons if c.metric == "key_facts" and {c.a, c.b} == {"plain", "tuned_rag"})
    run = replace(now.run, means=tuple(replace(m, mean=shares[m.variant]) for m in means))
    shown = eval_view.verdict(replace(run, comparisons=(replace(lead, shown=True),)))
    assert re.sub("<.*?>", "", shown) == ("In short: Fine-tuned + RAG is best at the facts: 50% of its answers hold "
                                          "all key facts, against 10% of Plain and 0% of Fine-tuned.")
    open_ = eval_view.verdict(replace(run, comparisons=(replace(lead, shown=False),)))
    assert "best" not in open_ and "no difference between the first two" in open_
    assert eval_view.verdict(replace(run, means=run.means[:1])) == ""
    assert "The search found the evidence for" in eval_view.words(now.run, now.run.metrics)


def test_sentences_name_the_variants_as_the_page_does(now):
    html = eval_view.sentences(now.run, now.run.metrics)
    assert html.count("<li>") == len(now.run.sentences)
    assert "Fine-tuned + RAG</b> beats" in html and "tuned_rag beats" not in html


def test_every_mean_carries_its_interval_and_its_counts(now):
    html = eval_view.means_table(now.run, now.run.metrics)
    for mean in now.run.means:
        metric = next(m for m in now.run.metrics if m.key == mean.metric)
        assert f"{mean.scored} of {mean.expected} scored" in html
        if not mean.withheld and mean.low is not None:
            assert f"<b>{plots.number(mean.mean, metric)}</b> {plots.interval(mean, metric)}" in html
    withheld = next(m for m in now.run.means if m.metric == "answer_relevancy" and m.variant == "plain")
    assert withheld.withheld and html.count("withheld") >= 1
    assert plots.number(withheld.mean, now.run.metrics[1]) not in html.split("Answer relevancy")[1].split("</td>")[0]


def test_bars_are_the_means(now):
    shares = [m for m in now.run.metrics if plots.is_share(m)]
    figure = plots.bars(now.run, shares)
    json.dumps(figure, allow_nan=False)
    drawn = {t["name"]: t for t in figure["data"]}
    assert list(drawn) == ["Plain", "Fine-tuned", "Fine-tuned + RAG"]
    facts = {m.variant: m for m in now.run.means if m.metric == "key_facts"}
    place = drawn["Fine-tuned + RAG"]["x"].index(facts["tuned_rag"].mean)
    bounds = drawn["Fine-tuned + RAG"]["error_x"]
    assert bounds["array"][place] == pytest.approx(facts["tuned_rag"].high - facts["tuned_rag"].mean)
    assert bounds["arrayminus"][place] == pytest.approx(facts["tuned_rag"].mean - facts["tuned_rag"].low)
    places = [y for t in figure["data"] for y in t["y"]]
    assert len(set(places)) == len(places) == sum(m.metric in {s.key for s in shares} for m in now.run.means)
    assert any("withheld" in a["text"] for a in figure["layout"]["annotations"])
    assert {t["marker"]["color"] for t in figure["data"]} == {plots.palette.MARKS[v] for v in VARIANTS}
    assert figure["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_figures_of_what_was_not_scored_are_none(now):
    stranger = replace(now.run.metrics[0], key="stranger")
    assert plots.bars(now.run, [stranger]) is None and plots.bars(now.run, []) is None
    assert plots.spread(now.run, now.records, stranger) is None
    assert "No answer of this run was scored" in eval_breakdown.breakdown(now.run, now.records, stranger)


def test_distributions_hold_every_answer(now):
    cosine = next(m for m in now.run.metrics if m.key == "reference_cosine")
    figure = plots.spread(now.run, now.records, cosine)
    assert [t["type"] for t in figure["data"]] == ["box"] * 3
    for trace, variant in zip(figure["data"], VARIANTS, strict=True):
        scored = [r for r in now.records if r.variant == variant and cosine.key in r.scores]
        assert trace["x"] == [r.scores[cosine.key] for r in scored] and trace["text"] == [r.id for r in scored]
    facts = next(m for m in now.run.metrics if m.key == "key_facts")
    counted = plots.spread(now.run, now.records, facts)
    assert [t["x"] for t in counted["data"]] == [
        [sum(r.scores[facts.key] for r in now.records if r.variant == v and facts.key in r.scores)] for v in VARIANTS]


def test_breakdown_and_speed_count_their_groups(now):
    facts = next(m for m in now.run.metrics if m.key == "key_facts")
    html = eval_breakdown.breakdown(now.run, now.records, facts)
    kinds = {r.kind for r in now.records if "key_facts" in r.scores}
    assert all(f'<th scope="row">{k}</th>' in html for k in kinds) and "unanswerable" not in html
    documents = {r.document for r in now.records if "key_facts" in r.scores}
    assert all(f'<th scope="row">{d}</th>' in html for d in documents)
    html = eval_breakdown.speed_table(now.run, now.records)
    assert html.count('<th scope="row">') == 3 and "Medians over the answers" in html


def test_the_judge_card_believes_numbers_not_names(now, then):
    html = eval_judge.judge_card(now.run, [now.run, then.run])
    assert "0.97</b> [0.94, 0.99]" in html and "often misses" in html
    assert "not run" in html and "OPENAI_API_KEY=… python -m eval.run" in html
    strong = replace(then.run, name="big", judge={"kind": "openai", "name": "gpt-4o-mini"})
    html = eval_judge.judge_card(strong, [strong])
    assert "not run" not in html and "gpt-4o-mini" in html and "No control set" in html
    assert "cannot be believed" in eval_judge.in_words([{"name": "x", "auroc": 0.9}, {"name": "y", "auroc": 0.55}])
    assert "every control set" in eval_judge.in_words([{"name": "x", "auroc": 0.9}])
    assert "cannot be believed" in eval_judge.in_words([{"name": "x"}])


def test_a_blind_judge_is_named_whatever_its_own_words_say(now):
    blind = {"kind": "openai", "name": "big", "words": "All is well.", "controls": [made_results.SWAPPED],
             "spent": {"calls": 1200, "input_tokens": 34000}, "dollars": 0.4321}
    html = eval_judge.judge_card(replace(now.run, judge=blind), [])
    assert "All is well. This judge cannot be believed on" in html and 'class="ev-notice"' in html
    assert "1,200 calls, 34,000 input tokens: about $0.43" in html
    seeing = blind | {"controls": [made_results.SHUFFLED], "dollars": 0.0}
    html = eval_judge.judge_card(replace(now.run, judge=seeing), [])
    assert "cannot be believed" not in html and "ev-notice" not in html and "$" not in html


def test_coverage_names_what_is_withheld(now):
    html = eval_judge.judge_card(now.run, [now.run])
    held = [m for m in now.run.means if m.withheld]
    assert held and all(f"({m.scored} of {m.expected})" in html for m in held)
    whole = replace(now.run, means=tuple(m for m in now.run.means if not m.withheld))
    assert "Every mean rests on at least 90% of its answers" in eval_judge.judge_card(whole, [whole])


def test_the_strong_judge_is_a_row_until_it_has_run(now):
    metrics = now.run.metrics
    assert "not run: <a" in eval_view.means_table(now.run, metrics)
    assert "not run" not in eval_view.means_table(now.run, metrics, strong=True)
    assert "not run" not in eval_view.means_table(replace(now.run, judge={"kind": "openai"}), metrics)


def test_what_too_few_questions_share_is_withheld_from_a_comparison(now):
    def half(records):
        lost = [r.id for r in records if r.variant == "tuned"][::2]
        return [replace(r, scores={}, unscored=dict.fromkeys((*r.scores, *r.unscored), "The judge failed."))
                if r.variant == "tuned" and r.id in lost else r for r in records]

    found = eval_compare.changes(now.run, half(now.records), now.run, now.records)
    tuned = [c for c in found if c.variant == "tuned"]
    assert tuned and all(c.withheld and not c.shown for c in tuned)
    html, lost = eval_compare.comparison(now.run, now.run, found), sum(c.withheld for c in found)
    assert html.count("were scored in both runs</td>") == lost < len(found) and f"{lost} withheld" in html


def test_scores_of_different_judges_are_not_compared(now):
    other = replace(now.run, judge=now.run.judge | {"identity": {"threshold": 0.4}})
    found = eval_compare.changes(now.run, now.records, other, now.records)
    assert found and not {c.metric.key for c in found} & {"faithfulness"}
    html = eval_compare.comparison(now.run, other, found)
    assert "scored by different judges" in html and html.count(", settings ") == 2
    same = eval_compare.changes(now.run, now.records, now.run, now.records)
    assert "faithfulness" in {c.metric.key for c in same}
    assert "different judges" not in eval_compare.comparison(now.run, now.run, same)


@pytest.mark.parametrize("judge", [{}, {"kind": "none"}, {"kind": "local"}, {"kind": "local", "controls": "text"},
                                   {"kind": 3, "name": None, "controls": [7, {"auroc": "high"}]}])
def test_any_judge_can_be_drawn(now, judge):
    assert "<h3>The judge of this run" in eval_judge.judge_card(replace(now.run, judge=judge), [])


def test_rows_keep_the_questions_and_what_became_of_them(now):
    assert len(now.rows) == 40 and [r.place for r in now.rows] == list(range(40))
    for row in now.rows:
        for variant, found in row.outcomes.items():
            scores = row.answers[variant].scores
            assert (found.key == "right") == (scores.get("key_facts", scores.get("right_abstention", 0)) == 1)


@pytest.mark.parametrize("changes, key", [
    ({"text": "It is fact."}, "right"), ({"text": "It is other."}, "none"), ({"done": None}, "failed"),
    ({"key_facts": ("fact", "more"), "text": "a fact"}, "part"), ({"text": "The corpus does not tell."}, "unknown"),
    ({"kind": "unanswerable", "text": "The corpus does not tell."}, "right"), ({"key_facts": ()}, "open"),
    ({"kind": "unanswerable", "text": "It is fact."}, "invented"), ({"error": "It failed."}, "failed")])
def test_outcomes(changes, key):
    assert eval_questions.outcome(record(1, "plain", **changes)).key == key


def test_filters(now):
    rows = now.rows

    def kept(**view):
        return eval_questions.select(rows, View(**view))

    assert {r.kind for r in kept(kind="number")} == {"number"} and {r.document for r in kept(document="3fs")} == {"3fs"}
    right = kept(outcome="right-tuned_rag")
    assert right and all(r.outcomes["tuned_rag"].key == "right" for r in right)
    assert len(right) + len(kept(outcome="wrong-tuned_rag")) == 40
    assert all(len({o.key for o in r.outcomes.values()}) > 1 for r in kept(outcome="differ"))
    assert all(o.key != "right" for r in kept(outcome="no") for o in r.outcomes.values())
    assert all(o.key == "right" for r in kept(outcome="all") for o in r.outcomes.values())
    assert 0 < len(kept(q="deepseek WHAT")) < 40 and kept(q=rows[5].id)[0].id == rows[5].id and not kept(q="zzqy")
    for nonsense in ({"kind": "x"}, {"document": "<b>"}, {"outcome": "right-"}, {"outcome": "x"}, {"sort": "x"}):
        assert len(kept(**nonsense)) == 40


def test_sorting_by_disagreement_puts_the_most_divided_first(now):
    shares = [eval_questions.disagreement(r) for r in eval_questions.select(now.rows, View())]
    assert shares == sorted(shares, reverse=True) and shares[0][0] > shares[-1][0]
    assert [r.place for r in eval_questions.select(now.rows, View(sort="order"))] == list(range(40))


def test_the_table_counts_links_and_says_when_nothing_fits(now):
    view = View(run="now", id=now.rows[2].id)
    html = eval_questions.table(now.rows, 40, VARIANTS, view)
    assert "40 of 40 questions" in html and html.count("data-question=") == 40 and html.count("aria-current") == 1
    assert f'href="?tab=eval&amp;run=now&amp;id={now.rows[0].id}"' in html
    assert "No question fits" in eval_questions.table([], 40, VARIANTS, view)


def test_two_runs_are_paired_by_question(now, then):
    found = eval_compare.changes(now.run, now.records, then.run, then.records)
    facts = next(c for c in found if c.metric.key == "key_facts" and c.variant == "tuned_rag")
    before = {r.id: r.scores["key_facts"] for r in then.records if r.variant == "tuned_rag" and "key_facts" in r.scores}
    after = {r.id: r.scores["key_facts"] for r in now.records if r.variant == "tuned_rag" and "key_facts" in r.scores}
    both = before.keys() & after.keys()
    assert facts.questions == len(both) and facts.improved == sum(after[i] > before[i] for i in both)
    assert facts.regressed == sum(after[i] < before[i] for i in both)
    assert facts.change == pytest.approx(sum(after[i] - before[i] for i in both) / len(both))
    assert facts.low <= facts.change <= facts.high
    html = eval_compare.comparison(now.run, then.run, found)
    assert f"<td>{facts.improved}</td><td>{facts.same}</td><td>{facts.regressed}</td>" in html
    assert "Questions" in html and then.run.dataset_sha256[:12] in html


def test_a_change_is_shown_only_where_there_is_one(now):
    found = eval_compare.changes(now.run, now.records, now.run, now.records)
    assert found and not any(c.shown or c.improved or c.regressed for c in found)
    lost = [replace(r, scores=r.scores | {"key_facts": 0.0}) if r.variant == "tuned_rag" else r for r in now.records]
    worse = eval_compare.changes(now.run, lost, now.run, now.records)
    assert [(c.variant, c.metric.key, c.better) for c in worse if c.shown] == [("tuned_rag", "key_facts", False)]
    assert "got worse by" in eval_compare.in_words(worse) and "▼" in eval_compare.comparison(now.run, now.run, worse)


def test_lower_can_be_better(now):
    more = [replace(r, scores=r.scores | {"wrong_abstention": 1.0}) if "wrong_abstention" in r.scores else r
            for r in now.records]
    wrong = [c for c in eval_compare.changes(now.run, more, now.run, now.records) if c.metric.key == "wrong_abstention"]
    assert all(c.change >= 0 and not c.better and c.improved == 0 for c in wrong)


def test_runs_without_a_common_question_say_so(now):
    other = [replace(r, question="Another?") for r in now.records]
    found = eval_compare.changes(now.run, now.records, now.run, other)
    assert not found and "no scored question in common" in eval_compare.comparison(now.run, now.run, found)


def test_a_question_opens_with_all_that_is_known(now):
    row = next(r for r in now.rows if r.kind == "number" and r.answers["tuned_rag"].passages)
    html = eval_detail.detail(row, now.run, 3, 40)
    first = row.answers["plain"]
    assert "4 of 40 in the list" in html and html.count('<article class="ev-answer') == 3
    assert first.evidence[0].document in html and all(f in html for f in first.key_facts)
    assert html.count('<details class="passage"') == len(row.answers["tuned_rag"].passages)
    assert "not a verdict of truth" in html and 'class="excerpt"' in html and 'class="sentence s' in html
    assert "tab=corpus" not in html and "tab=corpus&amp;doc=" in eval_detail.detail(row, now.run, 3, 40, linked=True)
    assert "not among the questions" in eval_detail.detail(row, now.run, -1, 40)


def test_verdicts_are_shown_where_a_record_has_them(now):
    row = now.rows[1]
    told = {"faithfulness": (Verdict("<b>It</b> is.", 0.25, "no <i>"),)}
    answers = {v: replace(r, verdicts=told) for v, r in row.answers.items()}
    html = eval_detail.detail(replace(row, answers=answers), now.run, 0, 1)
    assert "What the judge said" in html and "<b>0.25</b> &lt;b&gt;It&lt;/b&gt; is. <small>no &lt;i&gt;" in html
    answers = {v: replace(r, verdicts={}) for v, r in row.answers.items()}
    assert "What the judge said" not in eval_detail.detail(replace(row, answers=answers), now.run, 0, 1)


def test_nothing_foreign_becomes_live(now):
    hostile = made_results.HOSTILE
    dirty = [replace(r, id=hostile, question=hostile, reference=hostile, document=hostile, kind=hostile, text=hostile,
                     key_facts=(hostile,), error="", passages=tuple(
                         replace(p, title=hostile, heading=hostile, text=hostile, excerpt=hostile) for p in r.passages),
                     unscored={"key_facts": hostile}, scores={}) for r in now.records[:3]]
    run = replace(now.run, name=hostile, machine=hostile, part=hostile, git_revision=hostile, created_utc=hostile,
                  packages={hostile: hostile}, judge={"kind": "local", "name": hostile, "words": hostile, "controls": [
                      {"name": hostile, "auroc": 0.5}]}, sentences={"key_facts": hostile},
                  metrics=tuple(replace(m, label=hostile) for m in now.run.metrics))
    rows = eval_questions.rows(dirty)
    changes = eval_compare.changes(run, now.records, now.run, now.records)
    for html in (eval_view.provenance(run), eval_view.words(run, run.metrics), eval_view.means_table(run, run.metrics),
                 eval_view.notices([hostile]), eval_view.empty([hostile]), eval_judge.judge_card(run, [run]),
                 eval_questions.table(rows, 1, VARIANTS, View(run=hostile)), eval_detail.detail(rows[0], run, 0, 1),
                 eval_compare.comparison(run, now.run, changes), eval_compare.comparison(run, now.run, []),
                 eval_breakdown.breakdown(run, dirty, run.metrics[0]), eval_breakdown.speed_table(run, dirty),
                 json.dumps(plots.bars(run, run.metrics)), json.dumps(plots.spread(run, dirty, run.metrics[0]))):
        assert not live(html)


def test_downloads_are_whole(now):
    as_csv, as_json = eval_files.downloads(now)
    lines = list(csv.DictReader(io.StringIO(as_csv.read_text(encoding="utf-8"))))
    assert len(lines) == len(now.records) == 120 and as_csv.name == "now.csv"
    assert [x["wanted_facts"] for x in lines[:3]] == ["; ".join(now.records[0].key_facts)] * 3
    assert [x["key_facts"] for x in lines] == [str(r.scores.get("key_facts", "")) for r in now.records]
    assert len(set(lines[0])) == len(lines[0])
    whole = json.loads(as_json.read_text(encoding="utf-8"))
    assert whole["run"]["dataset_sha256"] == now.run.dataset_sha256 and len(whole["answers"]) == 120
    assert made_results.HOSTILE in lines[0]["answer"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_is_a_formula(text):
    lines = list(csv.reader(io.StringIO(eval_files.as_csv([record(1, "plain", text=text)]))))
    assert lines[1][lines[0].index("answer")] == f"'{text}"


def test_a_run_is_read_again_when_its_files_change(tmp_path):
    made_results.make(tmp_path, "one", limit=2)
    first = eval_files.open_run(tmp_path / "one")
    assert eval_files.open_run(tmp_path / "one") is first
    made_results.make(tmp_path, "one", limit=3)
    assert eval_files.open_run(tmp_path / "one").run.questions == 3
    (tmp_path / "one" / "samples.jsonl").write_text("{}")
    broken = eval_files.open_run(tmp_path / "one")
    assert "was changed after the run" in broken.problem and not broken.records and not broken.rows
    (tmp_path / "one" / "run.json").write_text("{")
    with pytest.raises(UserError, match="unreadable"):
        eval_files.open_run(tmp_path / "one")


def test_the_heldout_run_opens_by_itself(now):
    newer = replace(now.run, name="newer", part="paraphrase")
    assert eval_view.first_run([newer, now.run]) == "now" and eval_view.first_run([newer]) == "newer"
    assert eval_view.first_run([]) == "" and "python -m eval.run" in eval_view.empty()


def test_a_view_survives_its_link():
    view = View("now", "then", "key_facts", "a b&c=d", "fact", "3fs", "differ", "order", "3fs-02")
    assert from_parameters(view.parameters()) == view and View().parameters() == {"tab": "eval"}
    assert from_fields([None, ANY, "", "x", ANY, ANY, ANY, ANY, ""]) == View(q="x")
    assert len(from_parameters({"q": "x" * 10_000}).q) == 200


def test_the_made_runs_are_runs(folder):
    runs, problems = list_runs(folder)
    assert {r.name for r in runs} == {"now", "then"} and not problems
