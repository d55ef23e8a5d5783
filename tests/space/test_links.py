import pytest

from space.links import page_link


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    for name in ("SPACE_ID", "SPACE_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_a_space_gets_its_own_page(monkeypatch):
    monkeypatch.setenv("SPACE_HOST", "me-app.hf.space")
    assert page_link({"tab": "eval"}, {"host": "evil.example"}) == "https://me-app.hf.space/?tab=eval"
    monkeypatch.setenv("SPACE_ID", "me/app")
    assert page_link({"tab": "eval", "q": "a b&c"}, {}) == "https://huggingface.co/spaces/me/app?tab=eval&q=a+b%26c"


@pytest.mark.parametrize("headers, base", [
    ({"origin": "http://127.0.0.1:7861", "host": "x"}, "http://127.0.0.1:7861/"),
    ({"origin": "https://abc.gradio.live"}, "https://abc.gradio.live/"),
    ({"host": "localhost:7860"}, "http://localhost:7860/"),
    ({"origin": "null", "host": "[::1]:7860"}, "http://[::1]:7860/"),
    ({"origin": "javascript:alert(1)"}, "http://127.0.0.1:7860/"),
    ({"host": "a b\"><script>"}, "http://127.0.0.1:7860/"),
    ({}, "http://127.0.0.1:7860/")])
def test_elsewhere_the_visitor_says_where_the_page_is(headers, base):
    assert page_link({"tab": "eval", "kind": ""}, headers) == f"{base}?tab=eval"
    assert page_link({}, headers) == base
