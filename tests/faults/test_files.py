"""Files that are not what they should be: refused by name, with the fix, and only what needs them is off."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from space import adapter_card, memory, models, parts
from space.answer import answer_all, stream_answers
from space.engine import LocalEngine
from space.errors import UserError
from space.retriever import read_passages
from space.schema import CHAT_VARIANTS, Sampling
from space.settings import ASSETS, ROOT
from tests.fakes import FakeRetriever
from tests.space.test_gguf_header import GOOD, gguf, text

SHIPPED = ASSETS / "adapters" / "smollm2-135m"
EMBEDDED = models.PROFILES["embedded"]


def ask(profile, retriever):
    engine = LocalEngine(profile, 1024, 2)
    events = stream_answers("What is MLA?", CHAT_VARIANTS, engine, retriever, Sampling(max_tokens=3))
    return answer_all(events, CHAT_VARIANTS)


def flip(path: Path, size: int = 65536) -> None:
    """Turn every bit of the middle `size` bytes, as a bad disk or a bad proxy would."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + size] = bytes(255 - b for b in data[middle:middle + size])
    path.write_bytes(data)


@pytest.fixture
def adapter(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "smollm2-135m")) / "adapter.gguf"


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def swap(path):
    path.write_bytes(gguf([("general.architecture", 8, text("llama")), ("general.type", 8, text("adapter"))]))


def page(path):
    path.write_text("<!DOCTYPE html><html><title>503</title></html>")


def change_card(**changes):
    def change(path):
        card = path.with_name("model_card.json")
        card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))
    return change


@pytest.mark.parametrize(("damage", "says"), [
    (flip, "adapter.gguf of smollm2-135m is not the file its card describes"),
    (cut, "adapter.gguf of smollm2-135m is not the file its card describes"),
    (swap, "adapter.gguf of smollm2-135m is not the file its card describes"),
    (page, "adapter.gguf is not a readable GGUF file"),
    (Path.unlink, "There is no fine-tuned adapter yet"),
    (change_card(base_sha256="0" * 64), "was trained for another base file (SmolLM2-135M-Instruct.Q4_1.gguf)"),
    (change_card(schema=2), "has format 2; this version reads 1"),
    (lambda path: path.with_name("model_card.json").write_text("{"), "model_card.json of the adapter"),
], ids=["flipped", "truncated", "swapped", "html", "missing", "wrong-base", "future", "card"])
@pytest.mark.model
def test_a_bad_adapter_costs_the_fine_tuned_columns_only(adapter, damage, says):
    damage(adapter)
    answers = ask(replace(EMBEDDED, adapter=f"file:{adapter}"), FakeRetriever())
    assert answers["plain"].state == "done" and answers["plain"].text
    for key in ("tuned", "tuned_rag"):
        assert answers[key].state == "failed" and says in answers[key].error
    assert any(word in answers["tuned"].error for word in ("make train", "Update this repository", "export it again"))


@pytest.mark.model
def test_an_adapter_with_the_tensors_of_another_model_costs_the_fine_tuned_columns_only(adapter):
    data = adapter.read_bytes()
    adapter.write_bytes(data.replace(b"blk.0.attn_q", b"blk.0.attn_z"))
    adapter.with_name("model_card.json").unlink()  # an adapter from elsewhere has none
    answers = ask(replace(EMBEDDED, adapter=f"file:{adapter}"), FakeRetriever())
    assert answers["plain"].state == "done" and answers["tuned"].state == answers["tuned_rag"].state == "failed"
    assert "adapter.gguf does not fit this base model" in answers["tuned"].error


@pytest.mark.model
def test_no_index_leaves_two_columns(adapter, tmp_path, monkeypatch):
    monkeypatch.setenv("CORPUS_DIR", str(tmp_path))
    answers = ask(replace(EMBEDDED, adapter=f"file:{adapter}"), parts.LazyRetriever())
    assert {k: a.state for k, a in answers.items()} == {"plain": "done", "tuned": "done", "tuned_rag": "failed"}
    assert "python -m train.index" in answers["tuned_rag"].error


@pytest.mark.model
@pytest.mark.parametrize(("damage", "says"), [
    (flip, "is not the file this profile was made for (its SHA-256 differs). Install it again"),
    (page, "is not a readable GGUF file"),
    (lambda path: path.write_bytes(b""), "is not a readable GGUF file"),
    (lambda path: path.write_bytes(gguf(GOOD)), "is not SmolLM2-135M-Instruct: its embedding width is 0"),
    (lambda path: path.write_bytes(gguf(version=4)), "version 4 is not known here"),
], ids=["flipped", "html", "empty", "another", "future"])
def test_a_bad_base_model_is_never_loaded(base_gguf, tmp_path, damage, says):
    path = Path(shutil.copy(base_gguf, tmp_path / "base.gguf"))
    damage(path)
    answers = ask(replace(EMBEDDED, base=f"file:{path}"), FakeRetriever())
    assert {a.state for a in answers.values()} == {"failed"}
    assert f"base.gguf {says}" in answers["plain"].error or says in answers["plain"].error


def test_an_adapter_without_a_card_is_taken_as_it_is(tmp_path):
    adapter_card.check_card(tmp_path / "adapter.gguf", tmp_path / "base.gguf", "a", "b")


@pytest.mark.parametrize("line", [
    "{", "[]", "null", "{}", '{"id": 1, "text": "", "source": "", "title": "", "heading": ""}',
    '{"id": "", "text": "", "source": "", "title": "", "heading": "", "more": 1}'])
def test_a_line_that_is_no_passage_is_named(tmp_path, line):
    good = '{"id": "a#1", "text": "x", "source": "a", "title": "t", "heading": "h"}'
    (tmp_path / "passages.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UserError, match="Line 2 of passages.jsonl is no passage. Build it again"):
        read_passages(tmp_path / "passages.jsonl")


@pytest.mark.parametrize(("files", "room_mb"), [
    ({}, None),
    ({"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 2000000 kB\n"}, 2048.0),
    ({"proc/meminfo": "MemAvailable: 2000000 kB\n", "sys/fs/cgroup/memory.max": "1000000000\n",
      "sys/fs/cgroup/memory.current": "900000000\n", "sys/fs/cgroup/memory.stat": "anon 1\nfile 300000000\n"}, 400.0),
    ({"proc/meminfo": "MemAvailable: 2000000 kB\n", "sys/fs/cgroup/memory.max": "max\n",
      "sys/fs/cgroup/memory.current": "900000000\n"}, 2048.0),
    ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "500000000\n",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000\n"}, 400.0),
    ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000\n"}, None),
])
def test_too_little_memory_is_said_with_the_numbers_before_anything_is_loaded(tmp_path, files, room_mb):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert memory.room_mb(tmp_path) == room_mb
    model = tmp_path / "large.gguf"
    with model.open("wb") as file:
        file.truncate(1_900_000_000)  # a hole: takes no room on the disk
    if room_mb is None:
        memory.check_room(model, tmp_path)
    else:
        with pytest.raises(UserError, match=rf"large.gguf needs about 2,150 MB of memory; {room_mb:,.0f} MB are free"):
            memory.check_room(model, tmp_path)


FULL_INDEX = """
import resource, signal, sys
from pathlib import Path
from train import index
from space import models, retriever
retriever.load_embedder(models.EMBEDDER)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.exit(index.main(["--corpus", sys.argv[1]]))
"""
FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
from pathlib import Path
from space.files import write_whole
try:
    write_whole(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    print("refused", error.errno)
"""


def test_a_full_disk_leaves_the_old_file_of_the_index(tmp_path):
    """The kernel refuses the write, as it does on a full disk: a limit on the size of a file."""
    path = tmp_path / "passages.jsonl"
    path.write_text("what was there")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused") and path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]  # no half file



@pytest.mark.model
def test_a_full_disk_while_an_index_is_built_is_a_sentence(tmp_path):
    (tmp_path / "mine.md").write_text("# My paper\n\n## Method\n\n" + "We did it and wrote it down. " * 20)
    done = subprocess.run([sys.executable, "-c", FULL_INDEX, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 2 and "cannot be written (File too large). Make room there" in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.rglob("*.part"))
