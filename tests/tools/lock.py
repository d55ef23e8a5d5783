"""Write requirements.lock from pip's own reports, one for each Python version that is meant (Linux, x86-64):

    python3.12 -m pip install --dry-run --ignore-installed --quiet --report 3.12.json \
        -r requirements.txt -r requirements-embedded.txt
    python -m tests.tools.lock 3.11.json 3.12.json
"""

import json
import os
import re
import sys
from pathlib import Path

from space.settings import ROOT

HEAD = """# Everything that requirements.txt and requirements-embedded.txt pull in, with SHA-256, for Linux on x86-64
# and Python 3.11 and 3.12:
#   pip install --require-hashes -r requirements.lock
# Written by `python -m tests.tools.lock` (see there); never by hand.
"""


def read(report):
    """Python version, and {package: (version, sha256)} of a report of `pip install --dry-run`."""
    row = json.loads(report.read_text(encoding="utf-8"))
    found = {}
    for item in row["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        found[name] = item["metadata"]["version"], item["download_info"]["archive_info"]["hashes"]["sha256"]
    return row["environment"]["python_version"], found


def lines(reports):
    """The lock's lines: a package once where all reports agree on its version, else once for each Python."""
    reports = dict(reports)
    for name in sorted(set().union(*reports.values())):
        by_version = {}
        for python, found in reports.items():
            if name in found:
                version, sha256 = found[name]
                by_version.setdefault(version, ([], []))
                by_version[version][0].append(python)
                by_version[version][1].append(sha256)
        for version, (pythons, hashes) in by_version.items():
            everywhere = len(pythons) == len(reports)
            marker = "" if everywhere else " ; " + " or ".join(f'python_version == "{p}"' for p in pythons)
            yield f"{name}=={version}{marker}" + "".join(f" \\\n    --hash=sha256:{h}" for h in dict.fromkeys(hashes))


def main(paths):
    text = HEAD + "\n".join(lines(read(Path(p)) for p in paths)) + "\n"
    part = ROOT / "requirements.lock.part"
    part.write_text(text, encoding="utf-8")
    os.replace(part, ROOT / "requirements.lock")


if __name__ == "__main__":
    main(sys.argv[1:])
