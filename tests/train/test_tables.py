"""Tables: eight of two real papers cell by cell, and small ones of our own."""

from functools import cache
from pathlib import Path

import pytest

from tests.train import pdf_pages
from tests.train.paper_tables import TABLES
from train.pdf import read_tables
from train.table_cells import read_cells
from train.table_columns import Rule, Word, join


@cache
def tables_of(path: Path):
    found, remarks = read_tables(path, lambda step: None)
    assert not remarks
    return found


def expected_rows(text: str, width: int):
    """Rows of the written table; the group in brackets is the first cell of the rows below it."""
    group = None
    for line in text.strip().splitlines():
        if line.startswith("["):
            group = line[1:-1]
            continue
        label, _, figures = line.partition(" | ")
        row = ([] if group is None else [group]) + [label, *figures.split()]
        assert len(row) == width, line
        yield tuple(row)


@pytest.mark.parametrize("key", TABLES, ids=lambda key: " ".join(key))
def test_every_cell_of_the_real_tables(real_data, key):
    paper, label = key
    header, text = TABLES[key]
    path = real_data / "papers" / f"{paper}.pdf"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    (table,) = [t for t in tables_of(path) if t.label == label]
    assert table.header == header
    assert table.rows == tuple(expected_rows(text, len(header)))


def test_real_papers_have_their_tables_and_no_others(real_data):
    for paper, count in (("deepseek-r1", {2, 4, 5, 6}), ("deepseek-v3", set(range(1, 10)))):
        path = real_data / "papers" / f"{paper}.pdf"
        if not path.is_file():
            pytest.skip(f"no {path.name}")
        assert [t.label for t in tables_of(path)] == [f"Table {n}" for n in sorted(count)]


def test_table_in_a_column_and_no_table_in_the_chart(tmp_path):
    (table,), remarks = read_tables(pdf_pages.two_columns(tmp_path / "two.pdf"), lambda step: None)
    assert table.label == "Table 1" and table.page == 2 and not remarks
    assert table.header == ("Variant", "Answers right", "Answers wrong", "Time (s)")
    assert table.rows == tuple(pdf_pages.ROWS)


def test_rows_of_a_drawn_grid_wrap_inside_their_cells(tmp_path):
    (table,), _ = read_tables(pdf_pages.grid(tmp_path / "grid.pdf"), lambda step: None)
    assert table.rows == (("first run, small", "622 questions of the corpus", "2e-4"),
                          ("second run, large", "all questions and answers", "1e-4"))


def test_a_bar_in_a_cell_does_not_break_the_row(tmp_path):
    (table,), _ = read_tables(pdf_pages.grid(tmp_path / "grid.pdf"), lambda step: None)
    odd = type(table)(1, table.box, "", ("a", "b"), (("x|y", "1"),))
    assert odd.markdown().splitlines()[-1] == r"| x\|y | 1 |"


def words(*rows: tuple[float, list[tuple[float, str]]]) -> list[Word]:
    """Words of ten points height, five points a letter: (foot, [(x, text), ...])."""
    return [Word(text, x, x + 5 * len(text), foot - 10, foot) for foot, row in rows for x, text in row]


def test_a_label_between_two_rows_goes_into_every_row_of_its_band():
    found = words((10, [(60, "Test"), (120, "A"), (160, "B")]),
                  (25, [(60, "one"), (120, "1"), (160, "2")]), (31, [(0, "Group")]),
                  (37, [(60, "two"), (120, "3"), (160, "4")]),
                  (55, [(0, "Solo"), (60, "three"), (120, "5"), (160, "6")]))
    header, rows = read_cells(found, [0, 13, 42, 60], [], [])
    assert header == ("", "Test", "A", "B")
    assert rows == (("Group", "one", "1", "2"), ("Group", "two", "3", "4"), ("Solo", "three", "5", "6"))


def test_words_of_two_columns_are_parted_and_a_spanning_name_is_repeated():
    body = [(40 + 12 * i, [(0, f"row{i}"), (102, "1.5"), (142, "2.5"), (182, "3.5")]) for i in range(3)]
    side_by_side = words((10, [(95, "GPT-4"), (122.5, "Claude"), (180, "Qwen")]), *body)
    header, _ = read_cells(side_by_side, [0, 25, 80], [], [])
    assert header == ("", "GPT-4", "Claude", "Qwen")
    spanning = words((10, [(110, "AIME"), (132, "2024")]), (22, [(100, "one"), (142, "two"), (180, "rest")]), *body)
    header, _ = read_cells(spanning, [0, 25, 80], [], [])
    assert header == ("", "AIME 2024 one", "AIME 2024 two", "rest")
    ruled = words((10, [(135, "All")]), (22, [(100, "one"), (142, "two"), (180, "rest")]), *body)
    header, _ = read_cells(ruled, [0, 25, 80], [Rule(95, 205, 12, 12)], [])
    assert header == ("", "All one", "All two", "All rest")


def test_running_text_between_rules_is_no_table():
    text = words(*[(10 + 12 * i, [(0, "running"), (38, "text"), (62, "without"), (102, "gaps")]) for i in range(5)])
    assert read_cells(text, [0, 14, 70], [], []) is None


def test_pieces_of_a_cell():
    assert join(["Claude-3.5-", "Sonnet"]) == "Claude-3.5-Sonnet"
    assert join(["GPQA", "", "Diamond"]) == "GPQA Diamond"
    assert join(["-", "2"]) == "- 2"
