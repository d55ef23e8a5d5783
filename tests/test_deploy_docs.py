"""docs/deploy.md and docs/scale-out.md against the code: commands, options, variables and causes exist."""

import re

import pytest

from space import deploy_space
from space.settings import ROOT

DOCS = [ROOT / "docs" / name for name in ("deploy.md", "scale-out.md")]


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_every_command_and_option_exists(path):
    commands = re.findall(r"python -m ([\w.]+)([^\n`#|]*)", path.read_text())
    assert commands
    for module, rest in commands:
        file = ROOT / (module.replace(".", "/") + ".py")
        assert file.is_file(), module
        source = file.read_text()
        for option in re.findall(r"--[a-z0-9_-]+", rest):
            known = option in source or (module == "train.export" and f'"{option[2:]}"' in source)
            assert known, (module, option)


def test_every_variable_is_read_somewhere():
    table = (ROOT / "docs" / "deploy.md").read_text().split("| variable | meaning |")[1].split("\n\n")[0]
    source = "".join(p.read_text() for p in (ROOT / "space").glob("*.py"))
    names = re.findall(r"`([A-Z_]{4,})`", table)
    assert len(names) >= 8 and all(f'"{name}"' in source for name in names)


def test_the_causes_that_deploy_names_are_those_of_the_table():
    table = (ROOT / "docs" / "deploy.md").read_text().split("| the log says | so |")[1].split("\n\n")[0]
    told = " ".join(re.findall(r"`([^`]+)`", table))
    signs = {sign for sign, _ in deploy_space.CAUSES}
    for sign in ("Failed building wheel for llama-cpp-python", "libc.musl", "No @spaces.GPU function detected",
                 "No matching distribution found", "launch timed out", "OOMKilled", "Memory limit exceeded"):
        assert sign in signs and sign in told


def test_the_proxy_passes_streams_on_and_names_the_visitor():
    nginx = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)[1]
    assert nginx.count("{") == nginx.count("}") and "proxy_buffering off;" in nginx and "X-Forwarded-For" in nginx
    assert all(line.strip().endswith((";", "{", "}")) for line in nginx.splitlines())
