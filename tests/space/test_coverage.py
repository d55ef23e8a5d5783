"""What the corpus tab shows: the shelf, who asks about what, and both as HTML."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from space import corpus_cards, corpus_tab, coverage
from space.corpus import Document
from space.coverage import Shelf, find, links, load_shelf
from space.errors import UserError
from space.questions import PARTS, load_examples
from space.schema import Evidence, Example, Passage
from tests.space.test_markup import EVIL


def question(id_, split="train"):
    return Example(id_, f"What of {id_}?", "x", (Evidence("a", "One."),), ("x",), "fact", split)


ONE, TWO = (Passage(f"a#{n}", f"{word}. {EVIL}", "a", "Title A", "Heading") for n, word in ((1, "One"), (2, "Two")))
META = {"title": "Title A", "source": EVIL, "arxiv": "2401.14196"}
SMALL = Shelf(
    (Document("a", META, ""), Document("b", {"title": EVIL}, "")),
    {"a": (ONE, TWO)},
    {"a#1": (question("q1"), question("q2", "heldout"))},
    unanswerable=3,
)


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "mine.md").write_text("# My paper\n\n## Method\n\nWe did it.\n")
    monkeypatch.setenv("CORPUS_DIR", str(tmp_path))
    return tmp_path


def test_every_shipped_question_is_counted_at_its_passages():
    shelf = load_shelf()
    examples = load_examples()
    assert shelf.notice == "" and not shelf.own
    assert {e.id for asking in shelf.asked.values() for e in asking} == {e.id for e in examples if e.evidence}
    assert shelf.unanswerable == sum(e.kind == "unanswerable" for e in examples)
    assert {p.id for cut in shelf.passages.values() for p in cut} > set(shelf.asked)
    assert all(shelf.passages_of(d.id) for d in shelf.documents)


def test_counts_of_a_document():
    assert SMALL.askers("a") == {"train": 1, "heldout": 1} and list(SMALL.askers("a")) == sorted(
        SMALL.askers("a"), key=PARTS.index
    )
    assert SMALL.covered("a") == 1 and SMALL.unasked("a") == (TWO,) and SMALL.covered("b") == 0


def test_own_documents_without_an_index_are_shown_with_a_notice(own):
    shelf = load_shelf()
    assert shelf.own and [d.title for d in shelf.documents] == ["My paper"] and not shelf.asked
    assert "python -m train.index" in shelf.notice and shelf.passages_of("mine")[0].text == "We did it."
    html = corpus_cards.head(shelf) + corpus_cards.document_list(shelf)
    assert "own documents" in html and "asked about" not in html
    assert "Nobody asks" not in corpus_cards.document_view(shelf, shelf.documents[0])


def test_an_index_of_other_documents_is_told(own):
    (own / "index").mkdir()
    line = '{"id": "old#1", "text": "Old.", "source": "old", "title": "Old", "heading": "H"}\n'
    (own / "index" / "passages.jsonl").write_text(line)
    assert "have changed" in load_shelf().notice
    coverage._load.cache_clear()
    (own / "index" / "passages.jsonl").write_text("{")
    assert "cannot be read" in load_shelf().notice


def test_links_only_to_what_is_an_id():
    def of(**meta):
        return [url for _, url in links(Document("d", meta, ""))]

    assert of(arxiv="2401.14196", repository="a/b.c") == ["https://arxiv.org/abs/2401.14196", "https://github.com/a/b.c"]
    assert of(arxiv="2501.1, 2501.12948v2") == ["https://arxiv.org/abs/2501.12948v2"]
    assert of(arxiv="javascript:alert(1)", repository='x"onclick=1/../y') == [] == of()


@pytest.mark.parametrize(
    "document, passage, found",
    [("a", "", ("a", None)), ("", "a#2", ("a", "a#2")), ("b", "a#2", ("b", None)), ("a", "a#99", ("a", None))],
)
def test_a_link_finds_its_document(document, passage, found):
    held, bit = find(SMALL, document, passage)
    assert (held.id, bit.id if bit else None) == found


def test_a_link_to_nowhere_is_a_sentence():
    with pytest.raises(UserError, match="no document"):
        find(SMALL, "<b>" * 900, "")


def test_nothing_of_a_document_becomes_live():
    hit = Passage("a#1", EVIL, "a", EVIL, EVIL, 0.5, 0.1)
    html = "".join(
        (
            corpus_cards.head(SMALL),
            corpus_cards.document_list(SMALL),
            corpus_cards.document_view(SMALL, SMALL.documents[0], TWO),
            corpus_cards.results(EVIL, [hit]),
            corpus_cards.message(EVIL, "error"),
        )
    )
    assert "<img" not in html and "<script" not in html and html.count("&lt;img") > 5


def test_the_view_marks_the_linked_passage_and_says_who_asks():
    html = corpus_cards.document_view(SMALL, SMALL.documents[0], TWO)
    first, second = re.findall(r"<section.*?</section>", html)
    assert "linked" not in first and "2 questions ask" in first and "What of q2?" in first and "held-out" in first
    assert 'class="bit linked"' in second and "Nobody asks about this passage" in second
    assert "?tab=corpus&amp;doc=a&amp;passage=a%231" in first
    assert "no passages in the search index" in corpus_cards.document_view(SMALL, SMALL.documents[1])


def test_the_list_says_share_and_orders():
    html = corpus_cards.document_list(SMALL, "title")
    assert "50 % asked about" in html and "1 training, 1 held-out questions" in html and "nobody asks" in html
    drawn = {order: corpus_cards.document_list(SMALL, order) for order in corpus_cards.ORDERS}
    first = {order: re.search(r'data-doc="(\w)"', html)[1] for order, html in drawn.items()}
    assert first == {"title": "b", "passages": "a", "coverage": "b"}
    assert "1 passage that nobody asks about" in html


def test_results_show_scores_and_the_doubt():
    far, near = Passage("a#1", "x", "a", "T", "H", 0.31, 0.12), Passage("a#1", "x", "a", "T", "H", 0.81, 0.72)
    assert "may not cover" in corpus_cards.results("q", [far]) and "cosine 0.12" in corpus_cards.results("q", [far])
    assert "may not cover" not in corpus_cards.results("q", [near, far])


def test_a_search_lists_the_best_score_first(monkeypatch):
    standin = SimpleNamespace(search=lambda question, count: (replace(ONE, score=0.4), replace(TWO, score=0.6)))
    monkeypatch.setattr(corpus_tab.parts, "load_retriever", lambda: standin)
    *_, html = corpus_tab._search("What is MLA?")
    assert html.index("0.60") < html.index("0.40")
