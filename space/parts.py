"""The engine and the retriever of the running app, made once."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path

from space import excerpts, models, remote, zero_gpu
from space.engine import Ahead, LocalEngine
from space.passage_states import Mode
from space.retriever import Retriever
from space.schema import Passage
from space.settings import ASSETS, load_settings


@cache
def load_engine() -> LocalEngine | remote.RemoteEngine | zero_gpu.TransformersEngine:
    """The engine of the running app: on the server that ENGINE_URL names, by transformers where ENGINE says so, else
    llama.cpp on this machine."""
    if server := remote.server_named():
        return remote.RemoteEngine(server)
    if zero_gpu.switched_on():
        settings = load_settings()
        return zero_gpu.TransformersEngine(models.load_profile(settings.profile), settings.context_tokens)
    return local_engine()


@cache
def local_engine() -> LocalEngine:
    """The engine of the PROFILE setting. Cheap: the models load at first use or by `warm`."""
    settings = load_settings()
    ahead = Ahead(Mode.parse(settings.passage_states), settings.states, settings.states_mb * 10**6)
    return LocalEngine(models.load_profile(settings.profile), settings.context_tokens, settings.thread_count, ahead)


def index_folder() -> Path:
    """The search index: that of the visitor's own corpus where CORPUS_DIR names one, else the shipped one."""
    own = own_corpus()
    return own / "index" if own else ASSETS / "index"


def own_corpus() -> Path | None:
    """The folder that CORPUS_DIR names, if it names one."""
    folder = os.environ.get("CORPUS_DIR", "").strip()
    return Path(folder) if folder else None


def sentences_read() -> int:
    """How many sentences of the passages found a prompt carries; 0: the passages whole."""
    settings = load_settings()
    return models.load_profile(settings.profile).sentences if settings.sentences < 0 else settings.sentences


class LazyRetriever:
    """A retriever that opens its index at the first search; a failed opening is tried again. What it finds
    carries excerpts where the profile's model reads sentences."""

    def __init__(self) -> None:
        self._opened: Retriever | None = None
        self._opening = threading.Lock()

    def search(self, question: str, k: int) -> tuple[Passage, ...]:
        """See Retriever.search. Raises UserError where the index cannot be used."""
        with self._opening:  # several first questions at once must not load the embedder several times
            if self._opened is None:
                embedder = models.load_profile(load_settings().profile).embedder
                opened = Retriever(index_folder(), embedder)
                opened.check_corpus(own_corpus() or ASSETS / "corpus")
                self._opened = opened
        found = self._opened.search(question, k)
        if count := sentences_read():
            return excerpts.excerpt(found, self._opened.rank_sentences(question, found)[:count])
        return found


@cache
def load_retriever() -> LazyRetriever:
    """The retriever of the running app."""
    return LazyRetriever()
