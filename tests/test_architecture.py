"""The rules that hold the whole together: who may import whom, and where heavy libraries live."""

import ast
import subprocess
import sys

import pytest

from space.settings import ROOT

MODULES = [p for folder in ("space", "train", "eval") for p in sorted((ROOT / folder).rglob("*.py"))]
HOMES = {
    "gradio": {
        "space/app.py",
        "space/chat_tab.py",
        "space/chat_layout.py",
        "space/chat_screen.py",
        "space/eval_tab.py",
        "space/train_tab.py",
        "space/corpus_tab.py",
        "space/about_tab.py",
    },
    "llama_cpp": {"space/weights.py", "train/llama.py", "eval/bench/serve_systems.py"},
    "xllamacpp": {"eval/bench/serve_systems.py"},
    "faiss": {"space/retriever.py"},
    "sentence_transformers": {"space/retriever.py"},
    "ragas": {"eval/ragas_judge.py", "eval/local_metrics.py", "train/testset.py"},
    "spaces": {"space/zero_gpu.py"},
    "unsloth": {"train/tune.py"},
    "trl": {"train/tune.py", "eval/bench/plain_trl.py"},
    "opendataloader_pdf": {"train/pdf_text.py"},
    "pdfplumber": {"train/pdf.py"},
    "pypdfium2": {"train/pdf_source.py"},
    "landingai_ade": {"train/pdf_landing.py"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_depends_one_way(path):
    folder = path.relative_to(ROOT).parts[0]
    forbidden = {"space": {"train", "eval"}, "train": {"eval"}, "eval": set()}[folder] | {"tests"}
    used = {name.split(".")[0] for name, _ in imports(path)}
    assert not used & forbidden


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_have_one_home(path):
    name = str(path.relative_to(ROOT))
    for module, _ in imports(path):
        home = HOMES.get(module.split(".")[0])
        assert home is None or name in home, f"{name} imports {module}"


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.name not in ("app.py", "chat_tab.py", "__init__.py")],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_nothing_heavy_is_imported_at_the_top(path):
    heavy = {
        "torch",
        "transformers",
        "sentence_transformers",
        "faiss",
        "llama_cpp",
        "gradio",
        "unsloth",
        "trl",
        "datasets",
        "ragas",
        "pandas",
        "plotly",
        "numpy",
        "huggingface_hub",
    }
    tree = ast.parse(path.read_text())
    top = {alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module.split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    if not path.name.endswith(("_tab.py", "_layout.py", "_screen.py")):
        assert not top & heavy


@pytest.mark.parametrize(
    "module",
    [
        "space.ask",
        "train.run",
        "train.index",
        "train.data",
        "train.publish",
        "train.export",
        "train.parity",
        "train.sweep",
        "train.synthesize",
        "train.pdf",
        "eval.run",
        "eval.retrieval",
        "eval.arc",
        "eval.bench.training",
    ],
)
def test_help_answers_at_once_and_shows_the_command(module):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and f"python -m {module}" in done.stdout
    assert not any(f" {heavy}\n" in done.stderr for heavy in ("torch", "gradio", "transformers", "faiss"))


def test_no_pickle_is_read():
    """The accepted risk of diskcache rests on it: nothing here reads a pickle or uses a cache that does."""
    risky = {"pickle", "dill", "joblib", "shelve", "diskcache", "marshal"}
    words = ("LlamaDiskCache", "DiskCacheBackend", "allow_pickle=True", "trust_remote_code=True", "weights_only=False",
             "allow_dangerous_deserialization")
    for path in MODULES:
        assert not {name.split(".")[0] for name, _ in imports(path)} & risky, path
        assert not [word for word in words if word in path.read_text()], path
