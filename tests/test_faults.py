"""docs/faults.md and docs/threat-model.md name tests that exist, for every fault."""

import ast
import re

import pytest

from space.settings import ROOT

PAGES = ("faults.md", "threat-model.md")


def functions_of(path):
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text())
    assert named
    for path, name in named:
        assert name in functions_of(path), f"{path} has no {name}"


def test_every_fault_has_a_row_with_a_test_and_what_was_observed():
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    rows = [line.split("|") for line in lines if re.match(r"\| \d", line)]
    assert [int(row[1]) for row in rows] == list(range(1, 27))
    assert all("::test_" in row[3] and len(row[4].strip()) > 10 for row in rows)


def test_the_table_of_keys_names_every_key_and_where_it_is_read():
    page = (ROOT / "docs" / "threat-model.md").read_text()
    table = page[page.index("## Keys"):page.index("## Supply chain")]
    rows = [row.split("|")[1:4] for row in re.findall(r"^\| `.*", table, re.M)]
    secret = re.compile(r"[\"']([A-Z][A-Z_]*(?:_KEY|_TOKEN))[\"']")
    read = {(name, str(path.relative_to(ROOT))) for folder in ("space", "train", "eval")
            for path in (ROOT / folder).rglob("*.py") for name in secret.findall(path.read_text())}
    named = {(name, place) for names, _, where in rows for name in re.findall(r"`(\w+)`", names)
             for place in re.findall(r"`([\w/]+\.py)`", where)}
    assert read and read <= named, read - named
    for name, place in named:
        assert name in (ROOT / place).read_text(), f"{place} does not read {name}"
