"""Fixtures: outside material, and the embedded models loaded once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from space import models, references
from space.settings import ASSETS, load_settings


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real papers; tests that want it skip without it."""
    folder = os.environ.get("REAL_DATA_DIR", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REAL_DATA_DIR is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def base_gguf() -> Path:
    return references.resolve(models.PROFILES["embedded"].base)


@pytest.fixture(scope="session")
def small_gguf(base_gguf, tmp_path_factory) -> Path:
    """The embedded model's tokenizer cut to its first tokens, for tiny models."""
    from tests.train import tiny

    return tiny.vocabulary(base_gguf, tmp_path_factory.mktemp("vocabulary") / "vocabulary.gguf")


@pytest.fixture(scope="session")
def adapter_gguf() -> Path:
    return ASSETS / "adapters" / "smollm2-135m" / "adapter.gguf"


@pytest.fixture(scope="session")
def engine():
    """The real engine on the embedded models."""
    from space.engine import LocalEngine

    return LocalEngine(models.load_profile("embedded"), context_tokens=2048, threads=load_settings().thread_count)


@pytest.fixture(scope="session")
def retriever():
    """The real retriever on the shipped index."""
    from space.retriever import Retriever

    return Retriever(ASSETS / "index", models.EMBEDDER)


@pytest.fixture(autouse=True, scope="module")
def own_visitors():
    """An app that another module served saw who listens; without a door everybody counts as listening."""
    from space.visitors import load_visitors

    load_visitors.cache_clear()
