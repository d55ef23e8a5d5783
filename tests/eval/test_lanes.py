"""What a token costs: the bench's tables, on the embedded model with few tokens."""

import re

import pytest

from eval.bench import lanes


@pytest.mark.model
def test_the_tables_tell_what_a_token_costs_by_threads_company_and_pieces(monkeypatch, capsys):
    monkeypatch.setattr(lanes, "PROMPT", 64)
    monkeypatch.setattr(lanes, "PIECES", (8, 64))
    assert lanes.main(["--rounds", "1", "--tokens", "3", "--threads", "2"]) == 0
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", capsys.readouterr().out, re.MULTILINE))
    assert set(rows) >= {"plain", "with the adapter", "plain, 1 threads", "with the adapter, 2 threads"}
    for name in ("plain, 2 threads", "plain, 1 threads", "with the adapter, 1 threads"):
        figures = [float(figure) for figure in re.findall(r"[\d.]+", rows[name])]
        assert len(figures) == 4 and min(figures) > 0
    (_, cpu_small), (_, cpu_whole) = re.findall(r"([\d.]+) \(([\d.]+)\)", rows["plain, 1 threads"])
    assert float(cpu_small) > float(cpu_whole) * 0.5
