import pytest

from space.errors import UserError
from space.settings import load_settings


@pytest.fixture(autouse=True)
def fresh():
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_environment_overrides_defaults(monkeypatch):
    monkeypatch.setenv("MAX_TOKENS", "64")
    monkeypatch.setenv("THREADS", "3")
    assert load_settings().max_tokens == 64 and load_settings().thread_count == 3


@pytest.mark.parametrize(
    "name, value", [("MAX_TOKENS", "many"), ("PASSAGES", "0"), ("PORT", "99999"), ("MAX_TOKENS", "-5")]
)
def test_bad_values_name_their_bounds(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name}=.*from"):
        load_settings()
