"""The app starts as a Space starts it, from any folder, and answers over HTTP."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from space.settings import ROOT


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.model
@pytest.mark.parametrize("folder", [ROOT, ROOT / "space", None], ids=["root", "space", "elsewhere"])
def test_app_starts_from_any_folder(folder, tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "space" / "app.py")],
        cwd=folder or tmp_path,
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read().decode()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.3)
        assert "Plain, fine-tuned, fine-tuned + RAG" in page
    finally:
        process.terminate()
        process.wait(20)


def test_a_bad_setting_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "space" / "app.py")],
        env={**os.environ, "PROFILE": "qwen"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and "There is no profile 'qwen'" in done.stderr and "Traceback" not in done.stderr
