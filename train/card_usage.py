"""How to run a published adapter elsewhere: llama.cpp, llama-cpp-python, Ollama, vLLM. Every snippet sends the
system prompt and the ChatML template of the training rows; tests parse them, and run what runs on a CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from space import prompts

QUESTION = "Under which open-source license does DeepSeek publish 3FS?"
TEMPLATE = (f"<|im_start|>system\n{{{{ .System }}}}{prompts.END}\n<|im_start|>user\n{{{{ .Prompt }}}}{prompts.END}\n"
            "<|im_start|>assistant\n")
"""Ollama's spelling of `prompts.build` for a question alone (Go's text/template)."""
MAX_TOKENS, CONTEXT = 200, 2048


def modelfile(base_file: str) -> str:
    """Ollama's Modelfile: base, adapter, template, system prompt, greedy decoding."""
    return f'''# ollama create papers -f Modelfile && ollama run papers "{QUESTION}"
FROM ./{base_file}
ADAPTER ./adapter.gguf
TEMPLATE """{TEMPLATE}"""
SYSTEM """{prompts.SYSTEM}"""
PARAMETER temperature 0
PARAMETER num_predict {MAX_TOKENS}
PARAMETER num_ctx {CONTEXT}
PARAMETER stop "{prompts.END}"
'''


def usage(about: dict[str, Any], files: Sequence[str], repo: str, base: str) -> str:
    """The section of the card; `base` is the base model's repository on the Hub, "" where it is not known."""
    base_file = about["base_file"]
    return f"""```sh
hf download {repo} adapter.gguf Modelfile --local-dir .
llama-cli -m {base_file} --lora adapter.gguf --temp 0 -n {MAX_TOKENS} -cnv \\
  -sys "{prompts.SYSTEM}"
```

```python
from llama_cpp import Llama

llm = Llama("{base_file}", lora_path="adapter.gguf", n_ctx={CONTEXT}, verbose=False)
answer = llm.create_chat_completion(temperature=0, max_tokens={MAX_TOKENS}, messages=[
    {{"role": "system", "content": "{prompts.SYSTEM}"}},
    {{"role": "user", "content": "{QUESTION}"}}])
print(answer["choices"][0]["message"]["content"])
```

Ollama, with `Modelfile` (it holds template, system prompt and greedy decoding) beside both files:

```sh
ollama create papers -f Modelfile
ollama run papers "{QUESTION}"
```
{_vllm(about, files, repo, base)}
The system prompt is the one of the training rows, so send it along. Passages go into the user's turn: `Passages:`,
each as `[1] Title: text`, then `{prompts.READ}` and `Question: …`.
"""


def _vllm(about: dict[str, Any], files: Sequence[str], repo: str, base: str) -> str:
    """vLLM reads PEFT folders only, so the section stands where one is published."""
    folder = next((f.rpartition("/")[0] for f in files if f.endswith("adapter_config.json")), None)
    if folder is None or not base:
        return ""
    wanted = f' --include "{folder}/*"' if folder else ' --include "adapter_*"'
    body = json.dumps({"model": "papers", "temperature": 0, "max_tokens": MAX_TOKENS, "messages": [
        {"role": "system", "content": prompts.SYSTEM}, {"role": "user", "content": QUESTION}]})
    return f"""
vLLM, on a GPU, with the PEFT form of the adapter:

```sh
hf download {repo}{wanted} --local-dir lora
vllm serve {base} --enable-lora --max-lora-rank {about["recipe"]["rank"]} --lora-modules papers=lora/{folder}
curl http://localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'
```
"""
