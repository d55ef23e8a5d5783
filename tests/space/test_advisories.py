import json

import pytest

from space import advisories
from space.settings import ROOT


def osv(id_, name, events=(), versions=(), **more):
    return {"id": id_, "summary": f"About {id_}.", "affected": [
        {"package": {"ecosystem": "PyPI", "name": name}, "versions": list(versions),
         "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}], **more}


def check(*given, **versions):
    return [f.id for f in advisories.findings(iter(given), versions)]


@pytest.mark.parametrize(("version", "applies"), [
    ("0.9", False), ("1.0", True), ("1.9.9", True), ("2.0", False), ("2.5", False), ("3.0", True), ("3.2", True),
    ("3.3", False), ("3.0rc1", False), ("1.0+local", True), ("unreadable!", True)])
def test_ranges_follow_osvs_rule(version, applies):
    events = [{"introduced": "1.0"}, {"fixed": "2.0"}, {"introduced": "3.0"}, {"last_affected": "3.2"}]
    assert check(osv("A", "Some_Package", events), **{"some-package": version}) == (["A"] if applies else [])


def test_listed_versions_names_and_withdrawal():
    listed = osv("B", "gradio", versions=["6.30.0"])
    assert check(listed, gradio="6.30.0") == ["B"] and check(listed, gradio="6.31.0") == []
    assert check({**listed, "withdrawn": "2026-01-01"}, gradio="6.30.0") == []
    other = osv("C", "gradio", [{"introduced": "0"}])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert check(other, gradio="6.31.0") == []


def test_the_command_tells_open_from_accepted(tmp_path, capsys):
    (tmp_path / "d.json").write_text(json.dumps(
        osv("GHSA-x", "diskcache", [{"introduced": "0"}, {"last_affected": "5.6.3"}], aliases=["CVE-2025-69872"])))
    assert advisories.main([str(tmp_path)]) == 0
    assert "accepted diskcache 5.6.3: GHSA-x, CVE-2025-69872" in capsys.readouterr().out
    (tmp_path / "g.json").write_text(json.dumps([osv("GHSA-y", "gradio", [{"introduced": "0"}, {"fixed": "99"}])]))
    assert advisories.main([str(tmp_path), "--requirements", str(ROOT / "requirements.txt")]) == 1
    assert "OPEN     gradio 6.31.0: GHSA-y: About GHSA-y. (fixed in 99)" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]x", "5", '[{"affected": []}]', '{"id": "x", "affected": [{}]}'])
def test_what_is_no_advisory_is_a_sentence(tmp_path, content, capsys):
    (tmp_path / "x.json").write_text(content)
    assert advisories.main([str(tmp_path)]) == 2 and "x.json holds no advisory" in capsys.readouterr().err
    assert advisories.main([str(tmp_path / "none.json")]) == 2


def test_every_accepted_advisory_is_explained_in_the_threat_model():
    page = (ROOT / "docs" / "threat-model.md").read_text()
    assert all(name in page for name in advisories.ACCEPTED)
