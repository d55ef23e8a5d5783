"""The endpoint for programs, over HTTP and behind the door, as the README shows it."""

import re

import pytest

from space import api
from space.settings import ROOT

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def client(served):
    from gradio_client import Client

    return Client(served, verbose=False)


def test_the_only_named_endpoint_is_ask(client):
    described = client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/ask"] and not described["unnamed_endpoints"]
    parameters = {p["parameter_name"]: p for p in described["named_endpoints"]["/ask"]["parameters"]}
    assert list(parameters) == ["question", "variants", "temperature", "max_tokens", "passages", "seed"]
    assert [name for name, p in parameters.items() if not p["parameter_has_default"]] == ["question"]


def test_it_answers_with_the_documented_values(client, fake):
    fake.replies = {"plain": "One.", "tuned_rag": "Two."}
    given = client.predict("What is MLA?", ["plain", "tuned_rag"], api_name="/ask")
    assert [(a["variant"], a["text"]) for a in given["answers"]] == [("plain", "One."), ("tuned_rag", "Two.")]
    assert given["passages"][0]["id"] == "doc#1" and all(key in api.DESCRIPTION for key in given["answers"][0])
    assert len(client.predict("What is MLA?", api_name="/ask")["answers"]) == 3


def test_the_example_of_the_readme_runs(served, fake, capsys):
    fake.replies = {"plain": "One.", "tuned_rag": "Two."}
    example = re.search(r"```python\n(.*?gradio_client.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    assert "http://127.0.0.1:7860" in example
    exec(compile(example.replace("http://127.0.0.1:7860", served), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "plain One. 50.0 abab" in printed and "tuned_rag Two." in printed


@pytest.mark.parametrize("bad, sentence", [({"question": ""}, "question is empty"),
                                           ({"question": "a", "variants": ["best"]}, "no variant 'best'"),
                                           ({"question": "a", "temperature": 7}, "temperature '7'")])
def test_what_cannot_be_asked_is_a_sentence_for_the_program(client, bad, sentence):
    with pytest.raises(Exception, match=sentence):
        client.predict(**bad, api_name="/ask")
