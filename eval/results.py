"""Make the record of a run, write it, and tell whether a shipped one is still true.

Reading is in space/results.py, because the app reads too.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from eval import local_judge
from eval.collect import prompts_hash
from eval.metrics import METRICS
from eval.summary import summarise
from space import models, parts, references
from space.errors import UserError
from space.files import write_whole
from space.questions import load_examples
from space.results import EvalRecord, EvalRun, Metric, canonical_hash, read_samples
from space.retriever import REBUILD
from space.schema import VARIANTS, Example, ModelIdentity, Sampling
from space.settings import ROOT, load_settings

NO_JUDGE: dict[str, Any] = {"kind": "none"}
_PACKAGES = ("llama-cpp-python", "faiss-cpu", "bm25s", "sentence-transformers", "transformers", "torch", "numpy",
             "ragas", "openai")


def check_name(name: str) -> str:
    """The name, if it can be that of a folder anywhere. Raises UserError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UserError(f"{name!r} cannot name a run.", "Use up to 64 letters, digits, points, hyphens and _.")
    return name


def read_manifest(folder: Path) -> dict[str, str]:
    """The hashes of the search index: corpus_sha256, index_sha256 (over its files), embedder_sha256.
    Empty strings where there is no index."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return {"corpus_sha256": manifest["corpus_sha256"], "index_sha256": canonical_hash(manifest["files"]),
                "embedder_sha256": manifest["embedder_sha256"]}
    except FileNotFoundError:
        return dict.fromkeys(("corpus_sha256", "index_sha256", "embedder_sha256"), "")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError("The manifest of the search index is unreadable.", REBUILD) from error


def dataset_hash(examples: Sequence[Example]) -> str:
    """Hash of the questions asked, with their references, evidence and key facts."""
    return canonical_hash([asdict(e) for e in examples])


def build_run(name: str, part: str, examples: Sequence[Example], variants: Sequence[str],
              records: Sequence[EvalRecord], sampling: Sampling, passages: int, judge: dict[str, Any] = NO_JUDGE,
              metrics: Sequence[Metric] = METRICS) -> EvalRun:
    """The record of a run, summary included. Raises UserError where one variant's answers come from
    two models."""
    summary = summarise(records, variants, metrics)
    revision, dirty = git_state()
    index = read_manifest(parts.index_folder())
    return EvalRun(
        name=name, created_utc=datetime.now(UTC).isoformat(timespec="seconds"), part=part, questions=len(examples),
        variants=tuple(variants), profile=load_settings().profile, models=_models(records), sampling=sampling,
        passages=passages, sentences_read=parts.sentences_read(), dataset_sha256=dataset_hash(examples),
        prompts_sha256=prompts_hash(),
        corpus_sha256=index["corpus_sha256"], index_sha256=index["index_sha256"],
        embedder_sha256=index["embedder_sha256"], judge=judge, git_revision=revision, git_dirty=dirty,
        packages=_packages(), machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        metrics=tuple(m for m in metrics if m.key in summary.sentences), means=summary.means,
        comparisons=summary.comparisons, sentences=summary.sentences, samples_sha256=_sha256(samples_bytes(records)))


def samples_bytes(records: Sequence[EvalRecord]) -> bytes:
    """The contents of samples.jsonl."""
    lines = (json.dumps(asdict(r), ensure_ascii=False, allow_nan=False) for r in records)
    return "".join(line + "\n" for line in lines).encode()


def write_run(folder: Path, run: EvalRun, records: Sequence[EvalRecord]) -> None:
    """Write samples.jsonl and then run.json, each replaced whole. A crash between the two leaves a
    folder that readers refuse, as the hashes differ. Raises ValueError for NaN."""
    row = asdict(run)
    text = json.dumps(row | {"run_sha256": canonical_hash(row)}, indent=1, ensure_ascii=False, allow_nan=False)
    samples = samples_bytes(records)
    if _sha256(samples) != run.samples_sha256:
        raise ValueError("these are not the records that the run was made from")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "samples.jsonl", samples)
    write_whole(folder / "run.json", (text + "\n").encode())


def git_state() -> tuple[str, bool | None]:
    """Revision of this repository and whether files differ from it (results aside, as they are what
    a run writes); ("", None) where there is no repository."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return "", None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", ".", ":(exclude)assets/results"))
    except (OSError, subprocess.SubprocessError):
        return "", None


def stale(folder: Path, run: EvalRun) -> list[str]:
    """What has changed since a run of the shipped questions: a sentence for each of questions, prompts,
    corpus, index, embedder, model files, sentences read and local judge that is no longer that of the run."""
    samples = read_samples(folder, run)
    asked = {r.id for r in samples}
    examples = [e for e in load_examples(part=run.part) if e.id in asked]
    today = {"dataset_sha256": dataset_hash(examples), "prompts_sha256": prompts_hash(),
             **read_manifest(parts.index_folder())}
    what = {"dataset_sha256": "questions", "prompts_sha256": "prompts", "corpus_sha256": "corpus",
            "index_sha256": "search index", "embedder_sha256": "embedding model"}
    changed = [name for key, name in what.items() if today[key] != getattr(run, key)]
    profile = models.load_profile(run.profile)
    base = references.sha256_of(references.resolve(profile.base))
    adapter = references.sha256_of(references.resolve(profile.adapter)) if profile.adapter else ""
    if any(m.adapter_sha256 not in ("", adapter) for m in run.models.values()):
        changed.append("adapter")
    if any(m.sha256 != base for key, m in run.models.items() if m.adapter or not VARIANTS[key].tuned):
        changed.append("base model")
    if run.sentences_read != profile.sentences:
        changed.append("number of sentences read")
    if run.judge.get("kind") == "local" and run.judge.get("identity") != local_judge.identity():
        changed.append("local judge")
    return [f"The {name} changed since the run {run.name}." for name in changed]


def _models(records: Sequence[EvalRecord]) -> dict[str, ModelIdentity]:
    found: dict[str, ModelIdentity] = {}
    for record in records:
        if record.done and found.setdefault(record.variant, record.done.identity) != record.done.identity:
            raise UserError(f"The answers of {record.variant} were made by two different models.",
                            "Remove the folder of its answers and run again.")
    return found


def _packages() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
