"""The stand-in of the Hub for this process, where nothing waits: a fixture for tests of uploads."""

from types import SimpleNamespace

import pytest

from space import patience
from tests.hub_standin import HubStandIn


@pytest.fixture
def server(monkeypatch):
    """The stand-in; the library and our client do not wait, but note how long they would."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with HubStandIn() as server:
        server.waits = []
        monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=server.waits.append))
        monkeypatch.setattr(patience.PatientClient.__init__, "__defaults__", (server.waits.append,))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield server
