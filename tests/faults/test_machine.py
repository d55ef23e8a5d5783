"""The machine is smaller, older or more alone than one might think."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from eval.bench.load_users import ask_function
from space.settings import ROOT
from tests.test_boot import free_port

ONE_CPU = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.cpu_count = lambda: 64  # what a container sees of its host
from space.settings import load_settings
print(load_settings().thread_count)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="skipped: no CPU affinity on this system")
def test_the_threads_are_those_the_process_may_use_not_those_of_the_host():
    done = subprocess.run([sys.executable, "-c", ONE_CPU], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1", done.stderr


WATCHED = """
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        to = arguments[1]
        os.write(log, f"{to[0] if isinstance(to, tuple) else 'a file'}\\n".encode())
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(log, f"{arguments[0]}\\n".encode())
sys.addaudithook(watch)
sys.argv = ["space/app.py"]
runpy.run_path("space/app.py", run_name="__main__")
"""
HOME = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "", "None", "a file"}


@pytest.mark.model
def test_nothing_is_connected_to_at_start_or_while_answering(tmp_path):
    """With nothing optional configured, on the embedded models. Python's own audit events see every
    connection and every name that is looked up by way of its sockets; native code could do without."""
    log, port = tmp_path / "connections.txt", free_port()
    wanted = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SHARE")}
    process = subprocess.Popen([sys.executable, "-c", WATCHED, str(log)], cwd=ROOT,
                               env={**wanted, "PORT": str(port), "MAX_TOKENS": "16"})
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                config = json.load(urllib.request.urlopen(f"{url}/config", timeout=5))
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.3)
        index, others = ask_function(config)
        row = {"data": ["What is MLA?", *others], "fn_index": index, "session_hash": "w1"}
        urllib.request.urlopen(urllib.request.Request(
            f"{url}/gradio_api/queue/join", json.dumps(row).encode(), {"Content-Type": "application/json"}), timeout=20)
        stream = urllib.request.urlopen(f"{url}/gradio_api/queue/data?session_hash=w1", timeout=200).read().decode()
        assert "process_completed" in stream and "All three answers" in stream
    finally:
        process.terminate()
        process.wait(30)
    lines = log.read_text().splitlines()
    assert "127.0.0.1" in lines, "the watch saw not even Gradio's own look at its port"
    assert set(lines) <= HOME


def test_the_space_is_told_to_wait_for_a_cold_start_and_which_models_to_keep():
    front = (ROOT / "README.md").read_text().split("---")[1]
    assert "startup_duration_timeout: 1h" in front and "app_file: space/app.py" in front
