"""Write the dashboard as a static page: one folder that works from a file and from any web server.

    python -m eval.export --out DIR [--runs NAME ...] [--push OWNER/NAME]

index.html holds everything: evaluation with drill-down, recorded answers to play, training curves, corpus; it
asks no server for anything. --push makes or updates a static Space of it, which is free and never sleeps.
The same command again changes only what changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eval import export_page, export_panels
from eval.export_runs import run_payload
from space import eval_view, hub
from space.errors import UserError
from space.eval_files import Opened, open_run
from space.files import write_whole
from space.results import list_runs
from space.settings import load_settings

LARGEST_MB = 3.0
FRONT = """---
title: {title}
emoji: 🔎
colorFrom: gray
colorTo: green
sdk: static
app_file: index.html
license: apache-2.0
short_description: The evaluation, frozen; nothing to wait for
tags: [fine-tuning, rag, evaluation]
---

The dashboard of an evaluation as one static page, written by `python -m eval.export`. Open `index.html`.
"""


def opened_runs(results: Path, wanted: Sequence[str] = ()) -> list[Opened]:
    """The runs to export, newest first. Raises UserError where one of `wanted` cannot be read."""
    found, problems = list_runs(results)
    missing = [name for name in wanted if name not in {r.name for r in found}]
    if missing:
        raise UserError(f"There is no readable run {missing[0]}.", " ".join(problems) or
                        f"There are: {', '.join(r.name for r in found) or 'none'}.")
    chosen = [open_run(results / r.name) for r in found if not wanted or r.name in wanted]
    for opened in chosen:
        if opened.problem:
            raise UserError(opened.problem, "Remove the folder, or name the runs to export with --runs.")
    return chosen


def build(runs: Sequence[Opened], say: Callable[[str], None]) -> str:
    """index.html of these runs. Raises UserError where it would be larger than a page may be."""
    known = [o.run for o in runs]
    payloads: dict[str, Any] = {
        f"run:{o.run.name}": run_payload(o, [other for other in runs if other is not o], known) for o in runs}
    payloads["corpus"] = export_panels.documents()
    panels = {"train": export_panels.training(), "corpus": export_panels.corpus()}
    for name, value in payloads.items():
        say(f"{len(export_page.pack(value)) / 1e3:9,.1f} kB  {name}")
    text = export_page.page(known, payloads, panels, eval_view.first_run(known))
    if len(text.encode()) > LARGEST_MB * 1e6:
        raise UserError(f"The page would have {len(text.encode()) / 1e6:.1f} MB, more than {LARGEST_MB:g}.",
                        "Name fewer runs with --runs.")
    return text


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files whole, over those of an earlier export; others in the folder stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_whole(folder / name, data)


def push(repo: str, files: dict[str, bytes], say: Callable[[str], None], endpoint: str | None = None,
         token: str | None = None) -> str:
    """Make or update the static Space; returns its address. Raises UserError where it exists with another SDK."""
    with hub.session(repo, "space", say, endpoint, token) as api:
        new = hub.ensure_repo(api, repo, "space", say, space_sdk="static")
        if not new and api.space_info(repo).sdk != "static":
            raise UserError(f"{repo} is a Space that runs an app; the page would replace it.",
                            "Name another repository with --push.")
        done = hub.send(api, repo, "space", [hub.upload_of(name, data) for name, data in files.items()], say)
    say(f"{len(done.sent)} files sent, {len(done.unchanged)} unchanged")
    return done.url


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, e.g. work/static")
    parser.add_argument("--runs", nargs="+", default=(), metavar="NAME", help="runs to take; default: all")
    parser.add_argument("--push", default="", metavar="OWNER/NAME", help="publish as a static Space")
    options = parser.parse_args(argv)

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        if options.push:
            hub.check_repo(options.push)
        html = build(opened_runs(load_settings().results, options.runs), say)
        files = {"index.html": html.encode(), "README.md": FRONT.format(title=export_page.TITLE).encode()}
        write(options.out, files)
        say(f"{len(html.encode()) / 1e3:9,.1f} kB  {options.out / 'index.html'}")
        if options.push:
            say(f"published: {push(options.push, files, say)}")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
