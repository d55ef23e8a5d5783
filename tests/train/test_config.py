from dataclasses import asdict

import pytest

from space.errors import UserError
from space.settings import ROOT
from train.config import load_recipe

RECIPES = sorted((ROOT / "train" / "recipes").glob("*.toml"))
OWN = 'base = "embedded"\n'
BOTH = OWN + 'name = "x"\n'


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_every_shipped_recipe_is_valid(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "lacks 'name'"),
        ('name = "x"', "lacks 'base'"),
        ('name = "x"\nbase = "gpt"', "base must be one of"),
        ('name = "x"\nbase = "embedded"\nlr = 1', "unknown key 'lr'"),
        ('name = "x"\nbase = "embedded"\nrank = "16"', "rank .* not of type int"),
        ('name = "x"\nbase = "embedded"\nrank = true', "rank .* not of type int"),
        ('name = "x"\nbase = "embedded"\nlearning_rate = 5', "learning_rate"),
        ('name = "x"\nbase = "embedded"\nrag_rows = 1\nmax_length = 256', "512 or more"),
        ("name = ", "not valid TOML"),
        (OWN + 'name = "../x"', "name must be"),
        (BOTH + 'data = "web"', "data must be one of 'papers', 'arc', 'papers.arc'"),
        (BOTH + 'precision = "int8"', "precision must be one of"),
        (BOTH + 'precision = "fp16"', 'fp16 needs device = "gpu"'),
        (BOTH + "packing = true", "packing must be false"),
        (BOTH + "num_proc = 0", "num_proc must be from 1"),
        (BOTH + "missing_share = 0.9", "missing_share"),
        (BOTH + "rag_rows = 1\nrag_sentences = 2\nchanged_share = 1.5", "changed_share must be from 0 to 1"),
        (BOTH + "rag_rows = 1\nrag_drawn = true", "rag_drawn and changed_share need"),
        (BOTH + "rag_sentences = 2\nchanged_share = 0.5", "rag_drawn and changed_share need"),
        (BOTH + 'rag_rows = 1\nrag_sentences = 2\nrag_answer = "quote"\nchanged_share = 0.5', "a quote holds"),
        (BOTH + "arc_rows = 800", "arc_rows needs arc in data"),
        (BOTH + 'data = "arc"\narc_rows = 5', "at least 10"),
        (BOTH + 'data = "arc"\nrag_rows = 1', "rag_rows needs papers"),
        (BOTH + 'metric = "accuracy"', "accuracy needs arc"),
        (BOTH + 'optimizer = "sgd"', "optimizer must be one of"),
        (BOTH + 'weights = "Qwen/Qwen2.5-3B"', "weights must be hf:"),
        (BOTH + 'chat_template = "qwen-2.5"', "belongs to a Qwen2.5 base"),
        ('name = "x"\nbase = "qwen2.5-3b"', "qwen2.5-3b needs weights"),
    ],
)
def test_bad_recipes_are_refused_with_the_key(tmp_path, text, part):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=part):
        load_recipe(path)


def test_a_missing_recipe_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="no recipe"):
        load_recipe(tmp_path / "none.toml")


def test_whole_numbers_are_welcome_where_fractions_are(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\nbase = "embedded"\nepochs = 3')
    assert load_recipe(path).epochs == 3.0


def recipe(name):
    return load_recipe(ROOT / "train" / "recipes" / f"{name}.toml")


def test_the_recipes_of_issue_and_reports_ship():
    assert {p.stem for p in RECIPES} >= {
        "qwen2.5-3b-qlora",
        "qwen2.5-3b-arc",
        "smollm2-135m",
        "smollm2-135m-arc",
        "smollm2-135m-rag",
        "smollm2-135m-rate",
    }


def test_the_first_recipe_keeps_its_meaning_whatever_keys_are_added():
    given = asdict(recipe("smollm2-135m"))
    assert (given["rag_rows"], given["rag_sentences"], given["missing_share"]) == (3, 3, 0.04)
    assert (given["rag_answer"], given["load_in_4bit"]) == ("reference", True)
    assert (given["rag_drawn"], given["changed_share"]) == (False, 0.0)
    assert (given["data"], given["weights"], given["chat_template"], given["device"]) == ("papers", "", "", "any")
    assert given["precision"] == "auto"
    assert given["group_by_length"] and not given["keep_best"] and not given["packing"] and given["num_proc"] == 1


def differences(first, second):
    one, other = asdict(recipe(first)), asdict(recipe(second))
    return {key for key in one if one[key] != other[key]} - {"name", "note"}


def test_recipes_that_are_compared_differ_only_where_they_say():
    reading = {"rag_sentences", "rag_drawn", "changed_share", "missing_share"}
    assert differences("smollm2-135m", "smollm2-135m-rag") == reading
    assert differences("smollm2-135m", "smollm2-135m-rate") == {"learning_rate"}
    machine = {"base", "weights", "device", "chat_template", "group_by_length"}
    assert differences("qwen2.5-3b-arc", "smollm2-135m-arc") == machine | {"arc_rows"}
