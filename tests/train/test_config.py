import pytest

from space.errors import UserError
from space.settings import ROOT
from train.config import load_recipe

RECIPES = sorted((ROOT / "train" / "recipes").glob("*.toml"))


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
