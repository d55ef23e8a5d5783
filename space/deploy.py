"""Put the app on the Hugging Face Hub as a Space, or bring the Space up to date.

    python -m space.deploy --repo OWNER/NAME [--hardware cpu-basic|zero-a10g|cpu-upgrade]
        [--profile embedded|qwen2.5-3b] [--tuned-repo OWNER/NAME[/FILE.gguf]] [--llama-wheel URL] [--dry-run]

The files are listed with their sizes first; --dry-run stops there. Models of the Hub are pinned to a
revision and their hashes. The token comes from HF_TOKEN or from `hf auth login`. A run that broke off
goes on where it was when the same command is given again. More: docs/deploy.md.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from space import deploy_files, deploy_models, deploy_space, hub, models
from space.deploy_files import HARDWARE, OWN, ZERO, Plan
from space.errors import UserError
from space.model_lock import LOCK, LockedModel, lock_text
from space.settings import ROOT

WAIT_MINUTES = 60
WHEEL = re.compile(r"https://\S+/llama_cpp_python-[^/\s]+\.whl(#sha256=[0-9a-f]{64})?")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    repo: str
    hardware: str = "cpu-basic"
    profile: str = ""
    tuned_repo: str = ""
    llama_wheel: str = ""
    private: bool = False
    wait_minutes: float = WAIT_MINUTES

    @property
    def profile_name(self) -> str:
        """The embedded models, until a fine-tuned repository is given: a Space is never hollow."""
        return self.profile or ("qwen2.5-3b" if self.tuned_repo else "embedded")


def check_wanted(wanted: Wanted) -> None:
    """Everything that can be refused without a network. Raises UserError."""
    hub.check_repo(wanted.repo)
    if wanted.profile_name not in models.PROFILES:
        raise UserError(f"There is no profile {wanted.profile_name!r}.", f"Use one of: {', '.join(models.PROFILES)}.")
    if wanted.profile_name != "embedded" and not wanted.tuned_repo:
        raise UserError(f"The profile {wanted.profile_name} has no fine-tuned model yet, so two of three columns "
                        "would be empty.", "Name its repository with --tuned-repo OWNER/NAME, or use the default "
                        "profile.")
    if wanted.llama_wheel and not WHEEL.fullmatch(wanted.llama_wheel):
        raise UserError(f"{wanted.llama_wheel!r} is not the address of a wheel of llama-cpp-python.",
                        "Give https://…/llama_cpp_python-….whl, best with #sha256=… behind it.")
    if "musl" in wanted.llama_wheel:
        raise UserError("This wheel is for Alpine Linux (musl); a Space runs Debian.",
                        "Choose the one whose name says manylinux.")


def make_plan(wanted: Wanted, api: Any, say: Callable[[str], None]) -> tuple[Plan, tuple[LockedModel, ...]]:
    """The plan and its locked models. `api` (an HfApi) is asked only for models of the Hub."""
    profile = models.PROFILES[wanted.profile_name]
    variables = {"PROFILE": profile.name}
    if wanted.tuned_repo:
        reference, is_adapter = deploy_models.tuned_reference(api, wanted.tuned_repo)
        variables["ADAPTER" if is_adapter else "TUNED_MODEL"] = reference
        profile = replace(profile, adapter=reference if is_adapter else "", tuned="" if is_adapter else reference)
    if wanted.hardware == ZERO:
        if profile.tuned:
            raise UserError(f"{wanted.tuned_repo} holds a whole model; on ZeroGPU the columns share one copy of the "
                            "weights.", "Publish the adapter.gguf too (`python -m train.publish model`) and name it.")
        if not profile.base_hf:
            raise UserError(f"The profile {profile.name} names no weights for transformers.", "Choose another one.")
        variables["ENGINE"] = "transformers"
        profile = replace(profile, base=profile.base_hf)
    return (Plan(wanted.repo, wanted.hardware, profile.name, variables, wanted.llama_wheel),
            deploy_models.lock_models(api, profile, say))


def uploads_of(plan: Plan, locked: Sequence[LockedModel], root: Path = ROOT) -> list[hub.Upload]:
    """Every file of the Space. Raises UserError where one looks like it holds a secret."""
    lock = LOCK.relative_to(ROOT).as_posix()
    written = {"README.md": deploy_files.readme_text(plan, locked, root).encode(),
               "requirements.txt": deploy_files.requirements_text(plan, root).encode(),
               **({lock: lock_text(locked).encode()} if locked else {})}
    paths = {path.relative_to(root).as_posix(): path for path in deploy_files.app_files(root, plan.profile)}
    paths = {name: path for name, path in paths.items() if name not in written}
    deploy_files.check_secrets(
        [*written.items(), *((n, p.read_bytes()) for n, p in paths.items())], [os.environ.get("HF_TOKEN", "")])
    return [*(hub.upload_of(name, data) for name, data in written.items()),
            *(hub.upload_of(name, path) for name, path in paths.items())]


def stale(path: str) -> bool:
    """Whether a file of the Space that is no longer sent may be removed."""
    return path.startswith(OWN) or fnmatch(path, "*.txt")


def deploy(wanted: Wanted, say: Callable[[str], None], endpoint: str | None = None, token: str | None = None,
           dry_run: bool = False) -> str:
    """Make or update the Space and wait until it runs; returns its address ("" for a dry run).

    Raises UserError for everything that can be mended.
    """
    check_wanted(wanted)
    offline = dry_run and not wanted.tuned_repo and wanted.profile_name == "embedded" and wanted.hardware != ZERO
    with nullcontext() if offline else hub.session(wanted.repo, "space", say, endpoint, token) as api:
        plan, locked = make_plan(wanted, api, say)
        uploads = uploads_of(plan, locked)
        say(hub.listing(uploads))
        say("\n".join(f"variable   {key}={value}" for key, value in plan.variables.items()))
        if dry_run:
            say(f"dry run: nothing was sent to {wanted.repo}")
            return ""
        new = hub.ensure_repo(api, wanted.repo, "space", say, wanted.private,
                              **deploy_space.wish(plan.variables, plan.hardware))
        if not new:
            deploy_space.adjust(api, wanted.repo, plan.variables, plan.hardware, say)
        done = hub.send(api, wanted.repo, "space", uploads, say, stale)
        say(f"{len(done.sent)} files sent, {len(done.unchanged)} unchanged, {len(done.removed)} removed -> {done.url}")
        deploy_space.wait(api, wanted.repo, done.commit, say, wanted.wait_minutes * 60)
        return done.url


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME")
    parser.add_argument("--hardware", choices=HARDWARE, default="cpu-basic",
                        help="cpu-basic and cpu-upgrade need a paid plan to create; a free account may have zero-a10g")
    parser.add_argument("--profile", default="", help="embedded (default) or qwen2.5-3b (default with --tuned-repo)")
    parser.add_argument("--tuned-repo", default="", metavar="OWNER/NAME", help="fine-tuned GGUF or adapter on the Hub")
    parser.add_argument("--llama-wheel", default="", metavar="URL", help="a prebuilt manylinux wheel, else it compiles")
    parser.add_argument("--private", action="store_true", help="make the Space private if it is new")
    parser.add_argument("--wait-minutes", type=float, default=WAIT_MINUTES)
    parser.add_argument("--no-open", action="store_true", help="do not open the Space in a browser")
    parser.add_argument("--dry-run", action="store_true", help="list the files and stop")
    options = vars(parser.parse_args(argv))
    dry_run, no_open = options.pop("dry_run"), options.pop("no_open")
    try:
        url = deploy(Wanted(**options), lambda line: print(line, flush=True), dry_run=dry_run)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if url:
        print(f"running: {url}\nwithout the Hub's frame: {deploy_space.app_url(options['repo'])}")
        if not no_open and sys.stdout.isatty():
            webbrowser.open(url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
