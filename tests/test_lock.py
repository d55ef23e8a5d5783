"""requirements.lock: the pins of what the Space installs and all they pull in, each with its hash."""

import re

import pytest

from space.advisories import pinned
from space.settings import ROOT
from tests.tools.lock import lines

LOCK = (ROOT / "requirements.lock").read_text()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-embedded.txt"])
def test_the_lock_holds_every_pin_of_the_space_at_its_version(file):
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M))
    for name, version in pinned(ROOT / file).items():
        assert locked.get(name) == version, f"{name}: write the lock anew, see tests/tools/lock.py"


def test_every_line_of_the_lock_has_a_hash():
    entries = re.sub(r" \\\n", "", "\n".join(line for line in LOCK.splitlines() if not line.startswith("#")))
    assert all(re.fullmatch(r"[\w.-]+==\S+( ; python_version == \"3\.1\d\")?( +--hash=sha256:[0-9a-f]{64})+", line)
               for line in entries.splitlines() if line), entries


def test_versions_that_differ_by_python_get_a_marker():
    made = list(lines([("3.11", {"a": ("1", "x"), "b": ("1", "p")}), ("3.12", {"a": ("2", "y"), "b": ("1", "q")})]))
    assert made == ['a==1 ; python_version == "3.11" \\\n    --hash=sha256:x',
                    'a==2 ; python_version == "3.12" \\\n    --hash=sha256:y',
                    "b==1 \\\n    --hash=sha256:p \\\n    --hash=sha256:q"]
