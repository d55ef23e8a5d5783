"""Only whole checkpoints count; a log that goes on holds no step twice."""

import json

import pytest

from train import checkpoints
from train.files import StepLog, write_json


def checkpoint(folder, step, whole=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / "weights").write_bytes(b"x" * 100)
    if whole:
        checkpoints.seal(path)
    return path


def test_the_last_whole_one_is_found_by_its_number(tmp_path):
    assert checkpoints.last_whole(tmp_path) is None
    checkpoint(tmp_path, 50)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 9)
    unsealed = checkpoint(tmp_path, 150, whole=False)
    assert checkpoints.last_whole(tmp_path) == newest and checkpoints.step_of(newest) == 100
    assert checkpoints.remove_broken(tmp_path) == [unsealed] and not unsealed.exists()


@pytest.mark.parametrize("harm", ["cut", "gone", "seal cut", "no object"])
def test_a_damaged_one_is_skipped(tmp_path, harm):
    kept, damaged = checkpoint(tmp_path, 50), checkpoint(tmp_path, 100)
    if harm == "cut":
        (damaged / "weights").write_bytes(b"x" * 99)
    elif harm == "gone":
        (damaged / "weights").unlink()
    else:
        (damaged / checkpoints.SEAL).write_text('{"files": {"wei' if harm == "seal cut" else "[1]")
    assert checkpoints.last_whole(tmp_path) == kept


def test_the_log_goes_on_behind_the_checkpoint(tmp_path):
    log = StepLog(tmp_path / "log.jsonl")
    assert log.begin(0) == {} and log.read() == []
    for step in (1, 2, 3):
        log.append({"step": step, "elapsed_s": step * 1.5})
    log.append({"step": 2, "eval_loss": 1.0, "elapsed_s": 3.2})
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while it wrote
    assert log.begin(2) == {"step": 2, "eval_loss": 1.0, "elapsed_s": 3.2}
    log.append({"step": 3})
    assert [line["step"] for line in log.read()] == [1, 2, 2, 3]


def test_a_file_keeps_its_old_content_where_the_new_one_is_no_json(tmp_path):
    write_json(tmp_path / "a.json", {"loss": 1.0})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"loss": 1.0}
