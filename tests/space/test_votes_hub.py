"""Votes against a Hub on this machine: committed by huggingface_hub itself, and fetched by the next start."""

import json
import subprocess
import sys

import pytest

from space.settings import ROOT
from tests.hub_standin import READ_TOKEN, HubStandIn

RUN = """
import logging, sys
from space import votes
from space.settings import load_settings
from tests.space.test_votes import BLIND
logging.basicConfig(level=logging.WARNING)
votes.start()
print("before", sum(1 for _ in votes.read(load_settings().votes)))
votes.record(BLIND, "plain")
scheduler = votes._scheduler(load_settings().votes)
if scheduler:
    scheduler.trigger().result()
    scheduler.stop()
print("after", sum(1 for _ in votes.read(load_settings().votes)))
"""


def start(hub, home, **environment):
    """What a start of the app says: votes known before and after one was given."""
    variables = hub.environment(home) | {"VOTES_DIR": str(home / "votes"), "VOTES_DATASET": "ann/votes", **environment}
    done = subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, env=variables, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def committed(hub):
    files = hub.repo("ann/votes", "dataset").files
    return [json.loads(line) for name, data in files.items() if name.startswith("votes/votes-")
            for line in data.decode().splitlines()]


def test_votes_are_committed_and_counted_after_the_next_start(tmp_path):
    with HubStandIn() as hub:
        assert start(hub, tmp_path / "first")[0] == ["before", "0", "after", "1"]
        assert [vote["choice"] for vote in committed(hub)] == ["plain"]
        assert start(hub, tmp_path / "second")[0] == ["before", "1", "after", "2"]
        assert len(committed(hub)) == 2


def test_a_token_that_may_not_write_leaves_the_votes_here(tmp_path):
    with HubStandIn() as hub:
        said, errors = start(hub, tmp_path, HF_TOKEN=READ_TOKEN)
        assert said == ["before", "0", "after", "1"] and "votes stay on this machine" in errors


@pytest.mark.parametrize("missing", ["HF_TOKEN", "VOTES_DATASET"])
def test_without_token_or_dataset_the_hub_is_left_alone(tmp_path, missing):
    with HubStandIn() as hub:
        assert start(hub, tmp_path, **{missing: ""})[0] == ["before", "0", "after", "1"]
        assert not hub.requests
