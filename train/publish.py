"""Publish the dataset or the adapter on the Hugging Face Hub.

    python -m train.publish dataset --repo OWNER/NAME [--data DIR] [--private] [--dry-run]
    python -m train.publish model   --repo OWNER/NAME [--adapter DIR] [--results FILE.md] [--private] [--dry-run]

The files with their sizes and hashes are listed first; --dry-run stops there. Without --data the
dataset is exported anew. The token comes from HF_TOKEN or from `hf auth login`. A run that broke off
goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from space import hub
from space.errors import UserError
from space.gguf_header import read_header
from space.settings import ASSETS, ROOT

CARD_KEYS = ("name", "base", "base_file", "base_sha256", "method", "recipe", "data", "steps", "minutes", "best_epoch",
             "train_loss", "dev_loss", "trainable_parameters", "dtype", "hardware", "packages", "adapter_sha256")
PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")


def dataset_uploads(folder: Path, repo: str) -> list[hub.Upload]:
    """The files of an exported folder; the card names the repository."""
    from train import dataset

    uploads = []
    for path in dataset.files_of(folder):
        name = path.relative_to(folder).as_posix()
        card = path.read_text(encoding="utf-8").replace("OWNER/NAME", repo).encode() if name == "README.md" else None
        uploads.append(hub.upload_of(name, card if card is not None else path))
    return uploads


def model_uploads(folder: Path, repo: str, results: str = "") -> list[hub.Upload]:
    """The adapter with its card; the PEFT files and a merged GGUF where the folder holds them.

    Raises UserError where the adapter is missing, is no adapter, or is not the one of its card.
    """
    from train import card, card_usage

    about = _read_card(folder)
    adapter = folder / "adapter.gguf"
    if not read_header(adapter).is_adapter:
        raise UserError(f"{adapter} is a model, not an adapter.", "Make the adapter anew with `make train`.")
    ggufs = [adapter, *(p for p in sorted(folder.glob("*.gguf")) if p != adapter)]
    for path in ggufs[1:]:
        if read_header(path).is_adapter:
            raise UserError(f"{path} is a second adapter, without a card.", "Move it out of the folder.")
    peft = next((p for p in (folder, folder / "peft", folder / "adapter") if (p / PEFT_FILES[0]).is_file()), None)
    if peft and not (peft / PEFT_FILES[1]).is_file():
        raise UserError(f"{peft} holds {PEFT_FILES[0]} but not {PEFT_FILES[1]}.", "Add it, or remove the other.")
    paths = [*ggufs, folder / "model_card.json", *((peft / name for name in PEFT_FILES) if peft else ())]
    uploads = [hub.upload_of(p.relative_to(folder).as_posix(), p) for p in paths]
    if uploads[0].sha256 != about["adapter_sha256"]:
        raise UserError(f"{adapter} is not the file that its model_card.json describes (its SHA-256 differs).",
                        "Train again with `make train`, or restore the file.")
    try:
        text = card.model_card(about, [u.path for u in uploads], repo, results)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'model_card.json'} is not complete ({error!r}).",
                        "Run `make train` again.") from error
    modelfile = hub.upload_of("Modelfile", card_usage.modelfile(about["base_file"]).encode())
    return [hub.upload_of("README.md", text.encode()), modelfile, *uploads]


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "model_card.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no trained adapter in {folder}.",
                        "Make one with `make train`, or name its folder with --adapter.") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}).", "Run `make train` again.") from None
    missing = [key for key in CARD_KEYS if key not in about] if isinstance(about, dict) else list(CARD_KEYS)
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}.", "Run `make train` again.")
    return about


def _uploads(options: argparse.Namespace, scratch: Path) -> list[hub.Upload]:
    if options.kind == "model":
        return model_uploads(options.adapter, options.repo, _results(options))
    if options.data is None:
        from train import dataset
        from train.config import load_recipe

        dataset.export(scratch, load_recipe(options.recipe), say=lambda line: print(line, flush=True))
    return dataset_uploads(options.data or scratch, options.repo)


def _results(options: argparse.Namespace) -> str:
    """Markdown for the card: the named file, else the newest run that this adapter answered."""
    from train import card_results

    if not options.results:
        found = card_results.run_of(str(_read_card(options.adapter)["adapter_sha256"]))
        return card_results.results_section(found) if found else ""
    try:
        return str(options.results.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{options.results} cannot be read ({error}).", "Name a Markdown file.") from None


def run(options: argparse.Namespace) -> None:
    """List the files, and send them unless this is a dry run."""
    hub.check_repo(options.repo)
    with tempfile.TemporaryDirectory() as scratch:
        uploads = _uploads(options, Path(scratch))
        print(hub.listing(uploads), flush=True)
        if options.dry_run:
            print(f"dry run: nothing was sent to {options.repo}")
            return
        done = hub.publish(options.repo, options.kind, uploads, say=lambda line: print(line, flush=True),
                           private=options.private)
    print(f"{len(done.sent)} files sent, {len(done.unchanged)} unchanged -> {done.url}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("dataset", "model"):
        command = kinds.add_parser(kind)
        command.add_argument("--repo", required=True, metavar="OWNER/NAME")
        command.add_argument("--dry-run", action="store_true", help="list the files and stop")
        command.add_argument("--private", action="store_true", help="make the repository private if it is new")
        if kind == "dataset":
            command.add_argument("--data", type=Path, help="a folder written by `python -m train.data export`")
            command.add_argument("--recipe", type=Path, default=ROOT / "train" / "recipes" / "smollm2-135m.toml",
                                 help="whose chat rows are written, without --data")
        else:
            command.add_argument("--adapter", type=Path, default=ASSETS / "adapters" / "smollm2-135m")
            command.add_argument("--results", type=Path,
                                 help="Markdown for Results in the card; default: the newest run of this adapter")
    options = parser.parse_args(argv)
    try:
        run(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it was.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
