"""The front page against the disk: file tree, results, commands."""

import re
from dataclasses import replace

import pytest

from eval.readme import END, START, block, replaced
from space.errors import UserError
from space.results import read_run
from space.settings import ROOT, Settings
from tests.made_results import make

README = (ROOT / "README.md").read_text(encoding="utf-8")
TREE = re.search(r"## Where things are\n+```\n(.*?)```", README, re.S)[1]
ROOMS = ("space", "train", "eval")


def room(name):
    """The words that the tree lists under a folder."""
    lines = re.search(rf"^{name}/.*\n(?:[ ]+.*\n)*", TREE, re.M)
    return set(re.findall(r"[\w.]+", lines[0])) if lines else set()


@pytest.mark.parametrize("name", ROOMS)
def test_the_tree_names_every_module(name):
    modules = {p.stem for p in (ROOT / name).glob("*.py")} - {"__init__"}
    listed = {word.removesuffix(".py") for word in room(name)}
    assert not modules - listed, "say in the README's tree what these are"


def test_every_path_in_the_tree_exists():
    top = [re.match(r"^([\w./-]+)", line)[1] for line in TREE.splitlines() if re.match(r"^\w", line)]
    assert len(top) > 8 and not [p for p in top if not (ROOT / p).exists()]
    files = [(name, word) for name in ROOMS for word in room(name) if word.endswith(".py")]
    assert not [f for f in files if not (ROOT / f[0] / f[1]).exists()]


def test_results_are_those_of_the_shipped_run():
    run = read_run(Settings.results / "heldout")
    assert replaced(README, block(run)) == README, "run `python -m eval.readme`"


def test_a_block_has_every_variant_with_intervals_and_words(tmp_path):
    run, _ = make(tmp_path)
    text = block(run)
    assert text.startswith(START) and text.endswith(END)
    assert re.search(r"\| Key facts all there \|( \d+\.\d % \[\d+\.\d, \d+\.\d\] \|){3}", text)
    assert run.judge["words"] in text
    shown = next(c for c in run.comparisons if (c.metric, c.a, c.b) == ("key_facts", "tuned_rag", "tuned"))
    assert shown.shown and f"key facts {shown.difference:+.2f} [" in text.split("Does retrieval help?")[1]
    assert "with them" not in text, "no plain_rag in this run, so nothing to compare"


def test_a_difference_that_is_not_shown_has_no_number(tmp_path):
    run, _ = make(tmp_path, better=0.0)
    hidden = replace(run, comparisons=tuple(replace(c, shown=False) for c in run.comparisons))
    assert "no difference that can be shown" in block(hidden) and "[+" not in block(hidden)


def test_a_readme_without_marks_is_refused():
    with pytest.raises(UserError, match="no place"):
        replaced("# Title", "x")
    assert replaced(f"a\n{START}\nold\n{END}\nb", f"{START}\nnew\n{END}") == f"a\n{START}\nnew\n{END}\nb"
