"""docs/reports.md and train/colab.ipynb against the disk: commands, files, recipe keys and values, quotations."""

import json
import re
import tomllib
from dataclasses import asdict, fields

import pytest

from space.settings import ROOT
from train.config import Recipe, load_recipe

REPORTS = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
SECTIONS = {m[1]: m[2] for m in re.finditer(r"^## (Report \w+).*?\n(.*?)(?=^## |\Z)", REPORTS, re.M | re.S)}
CODE = re.findall(r"`([^`\n]+)`", REPORTS)
NOTEBOOK = json.loads((ROOT / "train" / "colab.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
LINES = [line[1:] for cell in CELLS for line in cell.splitlines() if line.startswith("!")]


def module_file(name):
    return ROOT / (name.replace(".", "/") + ".py")


def command_troubles(command):
    """What a command line names that is not there: module, long option, file."""
    found = re.search(r"python -m ([\w.]+)(.*)", command)
    if not found:
        return []
    module, rest = found.groups()
    if module == "pip":
        return [f for f in re.findall(r"-r (\S+)", rest) if not (ROOT / f).is_file()]
    if not module_file(module).is_file():
        return [module]
    source = module_file(module).read_text(encoding="utf-8")
    options = [o for o in re.findall(r"(--[a-z][\w-]*)", rest) if not re.search(rf"[\s\"\[]{o}[\s\"\]]", source)]
    return options + [p for p in re.findall(r"\S+\.toml", rest) if not (ROOT / p).is_file()]


@pytest.mark.parametrize("command", sorted({c for c in CODE if "python -m " in c}))
def test_every_command_of_the_page_exists(command):
    assert command_troubles(command) == []


def test_the_check_of_commands_can_fail():
    assert command_troubles("python -m train.nothing") == ["train.nothing"]
    assert command_troubles("python -m train.run train/recipes/x.toml --fast") == ["--fast", "train/recipes/x.toml"]
    assert command_troubles("python -m pip install -r none.txt") == ["none.txt"]


def test_every_file_of_the_page_exists():
    paths = {c for c in CODE if re.match(r"(train|eval|space|docs|assets|tests)/\S+$", c)}
    assert len(paths) > 8
    assert [p for p in sorted(paths) if not (ROOT / p).exists()] == []
    targets = {m[1] for c in CODE if (m := re.search(r"\bmake (\w+)", c))}
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{target}:", makefile, re.M) for target in targets)


@pytest.mark.parametrize("section, name", [("Report one", "qwen2.5-3b-qlora"), ("Report two", "qwen2.5-3b-arc")])
def test_every_recipe_key_stands_in_its_recipe_with_this_value(section, name):
    recipe = asdict(load_recipe(ROOT / "train" / "recipes" / f"{name}.toml"))
    refused = {"keep_best = false", "packing = true"}  # named as the other choice, not as ours
    named = {c for c in re.findall(r"`([^`\n]+)`", SECTIONS[section]) if re.match(r"[a-z_]\w* = ", c)} - refused
    assert len(named) > 10
    for assignment in sorted(named):
        ((key, value),) = tomllib.loads(assignment).items()
        assert recipe[key] == value, assignment


def test_the_settings_of_report_one_are_on_the_page():
    keys = {m[1] for m in re.finditer(r"`(\w+) = ", SECTIONS["Report one"])}
    asked = "base load_in_4bit rank alpha chat_template num_proc batch_size gradient_accumulation warmup_steps epochs"
    asked += " learning_rate optimizer weight_decay scheduler seed precision packing keep_best"
    assert set(asked.split()) <= keys <= {f.name for f in fields(Recipe)}


def plain(text):
    return re.sub(r"\s+", " ", re.sub(r"[*`\\]", "", text).replace("_", " "))


@pytest.mark.parametrize("section, number", [("Report one", "000"), ("Report two", "001")])
def test_quotations_are_the_reports_own_words(section, number, real_data):
    (report,) = (real_data / "reports").glob(f"{number}*.txt")
    text = plain(report.read_text(encoding="utf-8"))
    quotations = re.findall(r"“([^”]+)”", SECTIONS[section])
    assert len(quotations) > 15
    assert [q for q in quotations if plain(q) not in text] == []


def test_the_notebook_is_one():
    assert NOTEBOOK["nbformat"] == 4 and NOTEBOOK["nbformat_minor"] >= 5
    for cell in NOTEBOOK["cells"]:
        assert {"cell_type", "id", "metadata", "source"} <= set(cell)
        assert isinstance(cell["source"], list) and all(isinstance(line, str) for line in cell["source"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_notebook_exists(line):
    assert line.startswith(("python -m ", "nvidia-smi ")) and command_troubles(line) == []


def test_the_notebook_trains_evaluates_and_packs_one_folder():
    text = "\n".join(CELLS)
    assert "train.run train/recipes/qwen2.5-3b-qlora.toml --out work/results" in text
    assert load_recipe(ROOT / "train" / "recipes" / "qwen2.5-3b-qlora.toml").name == "qwen2.5-3b-qlora"
    assert "ADAPTER=file:work/results/adapters/qwen2.5-3b-qlora/adapter.gguf" in text
    assert "--name qwen2.5-3b-qlora --results work/results/results" in text  # with --out alone, no run.json
    assert '"zip", "work/results"' in text
    for cell in CELLS:
        lines = [line for line in cell.splitlines() if not line.startswith(("!", "%"))]
        compile("\n".join(lines), "cell", "exec")


def test_gpu_requirements_are_exact():
    lines = (ROOT / "requirements-gpu.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert pins and all(re.match(r"[\w-]+==\d[\w.]*(; .+)?$", pin) for pin in pins)
