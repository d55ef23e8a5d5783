import struct
from dataclasses import replace

import pytest

from space import models, references
from space.errors import UserError
from space.schema import ModelIdentity
from tests.space.test_gguf_header import GOOD, gguf, text

EMBEDDED = models.PROFILES["embedded"]


@pytest.mark.parametrize(
    "reference, part",
    [
        ("ftp:x", "not a model reference"),
        ("pip:no_such_package_here/file", "not installed"),
        ("file:/no/such/file", "not there"),
        ("hf:onlyone", "names no repository"),
    ],
)
def test_bad_references_are_sentences(reference, part):
    with pytest.raises(UserError, match=part):
        references.resolve(reference)


def test_unknown_profiles_are_named(monkeypatch):
    with pytest.raises(UserError, match="embedded, qwen2.5-3b, custom"):
        models.load_profile("qwen")
    with pytest.raises(UserError, match="names no base model"):
        models.load_profile("custom")
    monkeypatch.setenv("BASE_MODEL", "file:/x/y.gguf")
    assert models.load_profile("custom").label == "y.gguf"


def test_the_tuned_model_of_a_profile_can_be_named(monkeypatch):
    monkeypatch.setenv("TUNED_MODEL", "hf:me/mine/tuned.gguf")
    profile = models.load_profile("qwen2.5-3b")
    assert profile.tuned == "hf:me/mine/tuned.gguf" and profile.layers == 36


def test_a_mislabelled_file_is_refused(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(GOOD))
    profile = replace(EMBEDDED, base_sha256="", width=0, quantization="")
    assert models.check_base(profile, path).layers == 30
    for changes, part in (
        ({"layers": 36}, "number of layers is 30, not 36"),
        ({"architecture": "qwen2"}, "is llama, not qwen2"),
        ({"quantization": "Q4_K_M"}, "its quantisation is empty, not Q4_K_M"),
        ({"base_sha256": "00"}, "SHA-256 differs"),
    ):
        with pytest.raises(UserError, match=part):
            models.check_base(replace(profile, **changes), path)


@pytest.mark.parametrize(("name", "fits"), [
    ("qwen2.5-3b-instruct-q4_k_m", True), ("Model.Q4_K_M", True), ("model", True), ("q4_k", True),
    ("qwen2.5-3b-instruct-q8_0", False), ("model-F16", False), ("iq4_xs-model", False), ("aq8_0b", True)])
def test_a_name_that_states_another_quantisation_is_refused(tmp_path, name, fits):
    path = tmp_path / f"{name}.gguf"
    path.write_bytes(gguf([*GOOD, ("general.file_type", 4, struct.pack("<I", 15))]))
    profile = replace(EMBEDDED, base_sha256="", width=0, quantization="")
    if fits:
        assert models.check_base(profile, path).quantization == "Q4_K_M"
    else:
        with pytest.raises(UserError, match="is mislabelled: its header says Q4_K_M"):
            models.check_tuned(profile, path)


def test_an_adapter_is_no_model_and_a_model_no_adapter(tmp_path):
    model, adapter, other = tmp_path / "m.gguf", tmp_path / "a.gguf", tmp_path / "o.gguf"
    model.write_bytes(gguf(GOOD))
    adapter.write_bytes(gguf([("general.architecture", 8, text("llama")), ("general.type", 8, text("adapter"))]))
    other.write_bytes(gguf([("general.architecture", 8, text("qwen2")), ("general.type", 8, text("adapter"))]))
    with pytest.raises(UserError, match="is an adapter"):
        models.check_base(EMBEDDED, adapter)
    assert models.resolve_adapter(replace(EMBEDDED, adapter=f"file:{adapter}"), model) == adapter
    with pytest.raises(UserError, match="is a model, not an adapter"):
        models.resolve_adapter(replace(EMBEDDED, adapter=f"file:{model}"), model)
    with pytest.raises(UserError, match="another base"):
        models.resolve_adapter(replace(EMBEDDED, adapter=f"file:{other}"), model)


@pytest.mark.model
def test_the_embedded_profile_is_the_file_it_was_made_for(base_gguf):
    header = models.check_base(EMBEDDED, base_gguf)
    identity = models.identify(EMBEDDED, base_gguf, header)
    assert isinstance(identity, ModelIdentity)
    assert (identity.base, identity.quantization, identity.layers) == ("SmolLM2-135M-Instruct", "Q4_1", 30)
