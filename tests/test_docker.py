"""The image definition: linted, and what it copies is what the app needs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from space.settings import ROOT

HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


@pytest.mark.skipif(HADOLINT is None, reason="skipped: no hadolint")
def test_the_linter_has_nothing_to_say():
    done = subprocess.run([HADOLINT, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_exists_and_reaches_the_builder():
    copied = [word for line in (ROOT / "Dockerfile").read_text().splitlines()
              if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]]
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied and set(copied) == let_through and all((ROOT / name).exists() for name in copied)
    assert not let_through & {"train", "eval", "tests", "work"}


def test_compose_hands_on_what_the_app_reads():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    app = compose["services"]["app"]
    settings = (ROOT / "space" / "models.py").read_text() + (ROOT / "space" / "settings.py").read_text()
    assert all(f'"{name}"' in settings for name in app["environment"])
    mounted = {volume.split(":")[0] for volume in app["volumes"]}
    assert mounted == set(compose["volumes"]) and app["read_only"] and app["ports"] == ["127.0.0.1:7860:7860"]
