"""Known security advisories against the versions that are installed, from a local file:

    python -m space.advisories FILE-OR-FOLDER [--requirements requirements.txt]

The file holds advisories in OSV form (https://ossf.github.io/osv-schema/): one JSON object, a list of them, or
a folder of such files, as https://osv.dev hands out. Nothing is fetched. Ends with 1 where one applies that is
not accepted in docs/threat-model.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from space.errors import UserError
from space.json_text import parse_json

ACCEPTED = {"CVE-2025-69872": "diskcache reads pickles; its cache is not used here (docs/threat-model.md)"}


@dataclass(frozen=True)
class Finding:
    """An advisory that applies to a version. `accepted` is why it is lived with, or ""."""

    package: str
    version: str
    id: str
    names: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]
    accepted: str


def normal(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_advisories(path: Path) -> Iterator[dict[str, Any]]:
    """The advisories of a file or folder. Raises UserError for what is no OSV document."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} holds no *.json.", "Get advisories in OSV form from https://osv.dev.")
    for file in files:
        try:
            found = parse_json(file.read_text(encoding="utf-8"))
            found = found.get("vulns", [found]) if isinstance(found, dict) else found
            for advisory in found:
                _ = advisory["id"], [entry["package"]["name"] for entry in advisory.get("affected", [])]
                yield advisory
        except FileNotFoundError:
            raise UserError(f"There is no file {file}.", "Get advisories in OSV form from https://osv.dev.") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file.name} holds no advisory in OSV form.",
                            "Get it again from https://osv.dev.") from error


def installed() -> dict[str, str]:
    """Version by package, of this environment."""
    return {normal(d.metadata["Name"]): d.version for d in distributions() if d.metadata["Name"]}


def pinned(path: Path) -> dict[str, str]:
    """Version by package, of the exact pins in a requirements file."""
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.!+-]+)", path.read_text(encoding="utf-8"), re.M)
    return {normal(name): version for name, version in pins}


def findings(advisories: Iterator[dict[str, Any]], versions: Mapping[str, str]) -> list[Finding]:
    """The advisories that apply to these versions; withdrawn ones do not. Raises UserError for one that is no OSV."""
    found: list[Finding] = []
    for advisory in advisories:
        try:
            for entry in () if advisory.get("withdrawn") else advisory.get("affected", []):
                found += _of_entry(advisory, entry, versions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"The advisory {str(advisory['id'])[:40]} is not in OSV form.",
                            "Get it again from https://osv.dev.") from error
    return found


def _of_entry(advisory: Mapping[str, Any], entry: Mapping[str, Any], versions: Mapping[str, str]) -> Iterator[Finding]:
    """What one of an advisory's packages means for these versions."""
    package = entry["package"]
    name = normal(str(package["name"]))
    if str(package.get("ecosystem", "PyPI")).split(":")[0] == "PyPI" and name in versions and \
            _applies(entry, versions[name]):
        names = (str(advisory["id"]), *map(str, advisory.get("aliases") or ()))
        reason = next((why for known, why in ACCEPTED.items() if known in names), "")
        fixed = tuple(str(e["fixed"]) for r in entry.get("ranges", []) for e in r.get("events", []) if "fixed" in e)
        yield Finding(name, versions[name], names[0], names[1:], str(advisory.get("summary", "")), fixed, reason)


def _applies(entry: Mapping[str, Any], version: str) -> bool:
    if version in entry.get("versions", ()):
        return True
    return any(_inside(r.get("events", []), version) for r in entry.get("ranges", []) if r.get("type") == "ECOSYSTEM")


def _inside(events: list[dict[str, str]], version: str) -> bool:
    """OSV's own rule: a version is affected where the last event at or before it introduces the fault."""
    try:
        at = Version(version)
        steps = [(Version("0" if value == "0" else value), kind) for event in events for kind, value in event.items()
                 if kind in ("introduced", "fixed", "last_affected")]
    except InvalidVersion:
        return True  # rather one report too many
    affected = False
    for where, kind in sorted(steps, key=lambda s: s[0]):
        if kind == "introduced" and where <= at:
            affected = True
        elif kind == "fixed" and where <= at or kind == "last_affected" and where < at:
            affected = False
    return affected


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m space.advisories", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("advisories", type=Path)
    parser.add_argument("--requirements", type=Path, help="check these pins instead of what is installed")
    options = parser.parse_args(argv)
    try:
        versions = pinned(options.requirements) if options.requirements else installed()
        found = findings(read_advisories(options.advisories), versions)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for f in found:
        names = ", ".join((f.id, *f.names))
        fix = f"fixed in {', '.join(f.fixed)}" if f.fixed else "no fixed version"
        state = "accepted" if f.accepted else "OPEN"
        print(f"{state:8} {f.package} {f.version}: {names}: {f.accepted or f.summary} ({fix})")
    open_ones = sum(not f.accepted for f in found)
    print(f"{len(versions)} packages, {len(found)} advisories apply, {open_ones} open.")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
