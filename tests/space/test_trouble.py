import pytest

from space import references, trouble
from space.errors import UserError


@pytest.fixture
def tries(monkeypatch):
    """How often the Hub was asked; it cannot be reached."""
    import huggingface_hub

    asked = []

    def download(*names, **options):
        asked.append(names)
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(trouble.LAST, "_last", None)
    monkeypatch.setattr(trouble, "LONG_S", 0.0)
    references.resolve.cache_clear()
    return asked


def ask(reference):
    with pytest.raises(UserError, match="could not be fetched"):
        references.resolve(reference)


def test_the_columns_of_a_question_try_an_unreachable_hub_once(tries):
    for _ in range(3):
        ask("hf:ann/model/a.gguf")
    assert len(tries) == 1
    ask("hf:ann/model/b.gguf")
    assert len(tries) == 2


def test_a_failure_that_came_at_once_is_no_reason_to_wait(tries, monkeypatch):
    monkeypatch.setattr(trouble, "LONG_S", 60.0)
    for _ in range(3):
        ask("hf:ann/model/a.gguf")
    assert len(tries) == 3


def test_the_next_question_tries_again(tries, monkeypatch):
    ask("hf:ann/model/a.gguf")
    monkeypatch.setattr(trouble, "TROUBLE_S", 0.0)
    ask("hf:ann/model/a.gguf")
    assert len(tries) == 2
