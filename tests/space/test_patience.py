import httpx
import pytest

from space.errors import UserError
from space.patience import LONGEST_WAIT_S, TRIES, PatientClient


class Hub:
    """Answers with what is queued; an exception is raised, a number is a status."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.said, self.waits = [], []
        self.client = PatientClient(self.said.append, self.waits.append, transport=httpx.MockTransport(self.answer))

    def answer(self, request):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)


def test_it_waits_as_long_as_the_hub_asks():
    hub = Hub(httpx.Response(429, headers={"Retry-After": "7"}), 503, 200)
    assert hub.client.post("http://hub/x", json={"a": 1}).status_code == 200
    assert hub.waits == [7.0, 2.0]
    assert hub.said[0] == "the Hub answered 429; trying again in 7 s (1 of 4)"


def test_patience_ends():
    hub = Hub(*[502] * TRIES)
    with pytest.raises(UserError, match="answered 502, 5 times in a row"):
        hub.client.get("http://hub/x")
    assert hub.waits == [1.0, 2.0, 4.0, 8.0] and not hub.answers


def test_a_pause_of_an_hour_is_not_sat_out():
    hub = Hub(httpx.Response(429, headers={"Retry-After": str(LONGEST_WAIT_S + 1)}))
    with pytest.raises(UserError, match="asks to wait 121 s"):
        hub.client.get("http://hub/x")
    assert hub.waits == []


def test_a_broken_connection_is_tried_again_and_a_missing_network_only_once():
    hub = Hub(httpx.ReadError("reset"), 200)
    assert hub.client.get("http://hub/x").status_code == 200
    hub = Hub(*[httpx.ConnectError("no route")] * 2)
    with pytest.raises(UserError, match="hub could not be reached .no route."):
        hub.client.get("http://hub/x")
    assert len(hub.waits) == 1


def test_other_answers_are_handed_on_and_uploads_of_open_files_are_left_to_the_library(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    hub = Hub(404, 503, httpx.WriteError("reset"))
    assert hub.client.get("http://hub/x").status_code == 404
    with (tmp_path / "f").open("rb") as file:
        assert hub.client.put("http://hub/x", content=file).status_code == 503
        with pytest.raises(httpx.WriteError):
            hub.client.put("http://hub/x", content=file)
    assert hub.waits == []
