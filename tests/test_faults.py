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
