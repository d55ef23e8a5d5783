"""The snippets of a model card, each checked as far as it runs here; and the results that a card states."""

import re
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest

from space import models, prompts
from space.plots import number
from space.settings import ASSETS
from tests import made_results
from train import card_results, card_usage

ABOUT = {"base_file": "SmolLM2-135M-Instruct.Q4_1.gguf", "recipe": {"rank": 32}}
REPO, BASE = "ann/papers", "HuggingFaceTB/SmolLM2-135M-Instruct"
TEXT = card_usage.usage(ABOUT, ["adapter.gguf", "peft/adapter_config.json"], REPO, BASE)


def snippets(kind):
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def commands():
    """Every shell command as its words, continued lines joined."""
    return [shlex.split(line) for block in snippets("sh") for line in block.replace("\\\n", " ").splitlines()]


def test_ollama_gets_the_prompt_that_the_model_was_trained_on():
    """The Modelfile's template, filled in as Ollama does, is character for character our own prompt."""
    file = card_usage.modelfile(ABOUT["base_file"])
    template = re.search(r'TEMPLATE """(.*?)"""', file, re.DOTALL)[1]
    system = re.search(r'SYSTEM """(.*?)"""', file, re.DOTALL)[1]
    filled = template.replace("{{ .System }}", system).replace("{{ .Prompt }}", card_usage.QUESTION)
    assert filled == prompts.text(prompts.build(card_usage.QUESTION))
    assert f'PARAMETER stop "{prompts.END}"' in file and "PARAMETER temperature 0" in file


def test_every_line_of_the_modelfile_is_an_instruction_that_ollama_knows():
    known = {"FROM", "ADAPTER", "TEMPLATE", "SYSTEM", "PARAMETER"}
    options = {"temperature", "num_predict", "num_ctx", "stop"}
    lines = re.sub(r'""".*?"""', "X", card_usage.modelfile("base.gguf"), flags=re.DOTALL).splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    assert {w[0] for w in words} == known
    assert {w[1] for w in words if w[0] == "PARAMETER"} == options
    assert next(w[1] for w in words if w[0] == "FROM") == "./base.gguf"


def test_the_shell_commands_name_what_is_published():
    found = {(words[0], words[1]): words for words in commands()}
    assert found["hf", "download"][2] == REPO
    llama = found["llama-cli", "-m"]
    assert llama[2] == ABOUT["base_file"] and llama[llama.index("--lora") + 1] == "adapter.gguf"
    assert llama[llama.index("-sys") + 1] == prompts.SYSTEM
    served = found["vllm", "serve"]
    assert served[2] == BASE and served[served.index("--lora-modules") + 1] == "papers=lora/peft"
    assert int(served[served.index("--max-lora-rank") + 1]) >= ABOUT["recipe"]["rank"]


def test_what_is_posted_to_vllm_is_the_trained_prompt():
    import json

    curl = next(words for words in commands() if words[0] == "curl")
    body = json.loads(curl[curl.index("-d") + 1])
    assert body["messages"] == prompts.messages(card_usage.QUESTION) and body["model"] == "papers"


def test_vllm_is_left_out_where_there_is_no_peft_folder():
    assert "vllm" not in card_usage.usage(ABOUT, ["adapter.gguf"], REPO, BASE)
    assert "vllm" not in card_usage.usage(ABOUT, ["peft/adapter_config.json"], REPO, "")


@pytest.mark.model
def test_the_python_snippet_runs_as_it_stands(tmp_path, base_gguf):
    (tmp_path / ABOUT["base_file"]).symlink_to(base_gguf)
    (tmp_path / "adapter.gguf").symlink_to(ASSETS / "adapters" / "smollm2-135m" / "adapter.gguf")
    code = snippets("python")[0].replace(f"max_tokens={card_usage.MAX_TOKENS}", "max_tokens=24")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and len(done.stdout.split()) >= 3, done.stderr[-2000:]


def test_the_card_states_the_run_that_this_adapter_answered(tmp_path):
    run, _ = made_results.make(tmp_path, "heldout", limit=20)
    made_results.make(tmp_path, "dev", part="dev", limit=4)
    own = made_results.TUNED.adapter_sha256
    assert card_results.run_of(own, tmp_path) == run and card_results.run_of("0" * 64, tmp_path) is None
    text = card_results.results_section(run)
    for mean in run.means:
        metric = next(m for m in run.metrics if m.key == mean.metric)
        line = next(x for x in text.splitlines() if x.startswith(f"| {metric.label}"))
        wanted = "withheld" if mean.withheld else number(mean.mean, metric)
        assert wanted in line, (mean, line)
    assert run.dataset_sha256 in text and "lexical support + MiniLM" in text and run.samples_sha256 in text
    assert len({x.count("|") for x in text.splitlines() if x.startswith("|")}) == 1


def test_a_run_of_other_questions_serves_where_there_is_no_better(tmp_path):
    run, _ = made_results.make(tmp_path, "dev", part="dev", limit=4)
    assert card_results.run_of(made_results.TUNED.adapter_sha256, tmp_path) == run
    assert "Judge: none" in card_results.results_section(replace(run, judge={"kind": "none"}))


def test_the_base_file_of_the_shipped_adapter_is_the_served_one():
    import json

    card = json.loads((ASSETS / "adapters" / "smollm2-135m" / "model_card.json").read_text())
    assert card["base_file"] == models.PROFILES["embedded"].base.rsplit("/", 1)[-1]
