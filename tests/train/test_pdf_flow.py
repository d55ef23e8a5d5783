"""Blocks to Markdown."""

import pytest

from train.pdf_flow import Flow, front, title_of
from train.pdf_layout import Body, Piece, pieces
from train.pdf_text import Element
from train.pdf_words import Lines
from train.tables import Table

HEIGHTS = (800.0,) * 4


def flow_of(*blocks: Piece, tables=()) -> Flow:
    flow = Flow(Lines(b.text for b in blocks), {(t.page, t.label): t for t in tables})
    for block in blocks:
        flow.unplaced(block.page)
        flow.add(block)
    flow.close()
    flow.unplaced(99)
    flow.close()
    return flow


def text(words: str, page: int = 1) -> Piece:
    return Piece("text", page, words)


def test_a_paragraph_goes_on_behind_table_figure_and_footnote():
    table = Table(2, (0, 0, 9, 9), "Table 1", ("a", "b"), (("1", "2"),))
    flow = flow_of(text("The sentence begins here and"), Piece("table", 2, "Of numbers.", label="Table 1"),
                   Piece("figure", 2, "A line.", label="Figure 3"), Piece("footnote", 2, "https://example.org"),
                   text("ends here.", 2), text("A new paragraph."), tables=[table])
    assert flow.blocks == ["The sentence begins here and ends here.",
                           "Table 1: Of numbers.\n\n| a | b |\n|---|---|\n| 1 | 2 |", "Figure 3: A line.",
                           "Footnote: https://example.org", "A new paragraph."]


def test_a_table_whose_caption_was_not_read_is_not_lost():
    table = Table(1, (0, 0, 9, 9), "Table 1", ("a", "b"), (("1", "2"),))
    assert flow_of(text("Words."), text("More words.", 2), tables=[table]).blocks == [
        "Words.", "Table 1\n\n| a | b |\n|---|---|\n| 1 | 2 |", "More words."]


@pytest.mark.parametrize("name", ["References", "A Contributions and Acknowledgments", "Bibliography", "Contents"])
def test_sections_that_are_no_text_are_left_out_up_to_the_next_heading(name):
    flow = flow_of(Piece("heading", 1, name, level=1), text("Muster, A. A title. 2020."), Piece(
        "heading", 2, "B More Results", level=1), text("They are good.", 2))
    assert flow.left_out == [name]
    assert flow.blocks == ["## B More Results", "They are good."]


def test_the_section_of_the_papers_own_contributions_stays():
    flow = flow_of(Piece("heading", 1, "1.1 Contributions", level=2), text("We do a lot."))
    assert flow.blocks == ["### 1.1 Contributions", "We do a lot."]


def test_formulas_items_and_signs_of_markdown():
    flow = flow_of(text("It is calculated as"), Piece("formula", 1, "p = x\n(3)"), text("where x is a number."),
                   Piece("item", 1, "first item.", label="•"), text("# Params of all models."))
    assert flow.blocks == ["It is calculated as [formula (3)] where x is a number.", "- first item.",
                           r"\# Params of all models."]


def test_a_year_at_a_lines_begin_is_no_list_item():
    """A reader takes "2023), SimpleQA" for item 2023 of a list; the sentence goes on."""
    body = Element(1, "text", (50, 100, 500, 130), "We evaluate on GPQA (Rein et al.,", "Serif-Roma", 10)
    item = Element(1, "item", (50, 131, 500, 141), "2023), SimpleQA, and others in a row.", "Serif-Roma", 10)
    found = pieces([body, item], [], HEIGHTS)
    assert flow_of(*found).blocks == ["We evaluate on GPQA (Rein et al., 2023), SimpleQA, and others in a row."]


def test_running_heads_and_page_numbers_go_wherever_the_page_begins():
    found = []
    for page in range(1, 5):
        found += [Element(page, "text", (50, 30, 300, 40), f"Journal of Tests {page}", "Serif-Roma", 9),
                  Element(page, "text", (50, 100, 500, 130), f"The words of this page number {page} are here.",
                          "Serif-Roma", 10),
                  Element(page, "text", (290, 780, 300, 790), str(page), "Serif-Roma", 10)]
    kept = [piece.text for piece in pieces(found, [], HEIGHTS)]
    assert kept == [f"The words of this page number {page} are here." for page in range(1, 5)]


def test_title_and_authors():
    found = [Element(1, "heading", (50, 50, 400, 70), "A Title in Large\nLetters", "Serif-Bold", 16),
             Element(1, "text", (50, 80, 400, 90), "Ada Muster, Ben Beispiel", "Serif-Roma", 10),
             Element(1, "heading", (50, 100, 400, 110), "Abstract", "Serif-Bold", 12),
             Element(1, "text", (50, 120, 400, 190), "We do what is done here. " * 8, "Serif-Roma", 10)]
    body = Body(10, "Serif")
    assert title_of(found, body, "file") == ("A Title in Large Letters", 1)
    assert front(found, 1, body) == (2, True)
    assert title_of(found[3:], body, "file") == ("file", 0)
