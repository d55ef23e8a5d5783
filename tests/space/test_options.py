import pytest

from space.errors import UserError
from space.options import check_options, default_options


def test_nothing_given_is_the_default():
    assert check_options() == check_options("", None, "", None) == default_options()
    assert default_options().temperature == 0


def test_strings_of_a_link_are_read():
    options = check_options("0.7", "64", "2", "11")
    assert (options.temperature, options.max_tokens, options.passages, options.seed) == (0.7, 64, 2, 11)
    assert options.sampling.max_tokens == 64 and options.sampling.seed == 11


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": 1.51},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": "inf"},
        {"temperature": True},
        {"temperature": [1]},
        {"temperature": "9" * 400},
        {"max_tokens": 15},
        {"max_tokens": 401},
        {"max_tokens": 20.5},
        {"passages": 0},
        {"passages": 6},
        {"seed": -1},
        {"seed": 2**31},
        {"seed": "x"},
        {"seed": {}},
    ],
)
def test_a_value_outside_its_bounds_is_refused_with_a_sentence(given):
    with pytest.raises(UserError) as caught:
        check_options(**given)
    assert "from" in caught.value.hint
