"""A training run, its proof, the adapters and their commands as HTML. Pure; every text of a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from space.markup import blocks, inline
from space.run_log import AdapterCard, Parity, TrainingRun, number

GROUPS = {
    "Model": ("base", "weights", "load_in_4bit", "precision", "device"),
    "Adapter": ("rank", "alpha", "dropout"),
    "Schedule": ("learning_rate", "epochs", "max_steps", "warmup_steps", "scheduler", "optimizer", "weight_decay",
                 "seed"),
    "Batches": ("batch_size", "gradient_accumulation", "group_by_length", "packing", "max_length", "num_proc"),
    "Rows": ("data", "rag_rows", "rag_passages", "rag_sentences", "missing_share", "arc_rows", "chat_template"),
    "Choice": ("keep_best", "metric"),
}
"""Keys of a recipe in the order in which they are read; others follow."""
HEAD = ('<div class="page-head"><h1>Training</h1><p>How the adapter of the second and third column was made: what was '
        "asked of the run, how its losses went, whether what is served is what was trained, and the commands that do "
        "it all again. Every figure here is read from the files of a run.</p></div>")


def facts(run: TrainingRun) -> str:
    """The run in figures: state, base, data, steps, time, speed, size."""
    card = run.card
    data = card.get("data") if isinstance(card.get("data"), dict) else {}
    rows = [
        ("state", f"{run.status}, {run.steps:,} steps" if run.steps else run.status),
        ("base", card.get("base")), ("method", card.get("method")),
        ("rows", _rows(data or {})),
        ("trainable parameters", _whole(card.get("trainable_parameters"))),
        ("time", _minutes(card.get("minutes"))),
        ("speed", f"{run.tokens_per_s:,.0f} tokens/s without the evaluations" if run.tokens_per_s else None),
        ("peak memory", f"{memory:,.0f} MB" if (memory := number(card.get("memory_mb"))) else None),
        ("hardware", card.get("hardware")), ("weights held in", card.get("dtype")),
        ("code", _revision(card)),
    ]
    return f'<section class="run-facts" aria-label="The run in figures">{_pairs(rows)}</section>'


def dev_table(run: TrainingRun) -> str:
    """Dev loss after each epoch, and which epoch was kept and why."""
    if not run.dev:
        return '<p class="hint">This run has measured no dev loss yet.</p>'
    rows = "".join(
        f"<tr><td>{e.epoch:g}</td><td>{e.step:,}</td><td>{e.loss:.4f}</td>"
        f"<td>{', '.join(w for w, is_it in (('lowest', e == run.lowest), ('kept', e == run.kept)) if is_it)}</td></tr>"
        for e in run.dev)
    why = ""
    if run.kept and run.lowest and run.kept != run.lowest:
        why = ("<p class='hint dev-why'>The recipe says <code>keep_best = false</code>: the last epoch is kept "
               "although its loss is not the lowest; <a href='?tab=about&amp;read=experiments'>the experiments</a> "
               "say why.</p>")
    return ('<div class="scroll" tabindex="0"><table class="plain-table"><caption>Loss on the dev questions</caption>'
            '<thead><tr><th scope="col">epoch</th><th scope="col">step</th><th scope="col">dev loss</th>'
            f'<th scope="col"></th></tr></thead><tbody>{rows}</tbody></table></div>{why}')


def recipe(run: TrainingRun) -> str:
    """Every value that the run used, grouped."""
    if not run.recipe:
        return '<p class="hint">The run does not say its recipe.</p>'
    known = {key for keys in GROUPS.values() for key in keys} | {"name", "note"}
    groups = {title: [k for k in keys if k in run.recipe] for title, keys in GROUPS.items()}
    groups["More"] = [key for key in run.recipe if key not in known]
    drawn = "".join(
        f"<div><h3>{title}</h3>{_pairs([(key, _value(run.recipe[key])) for key in keys], code=True)}</div>"
        for title, keys in groups.items() if keys)
    note = f"<p>{escape(str(run.recipe['note']))}</p>" if run.recipe.get("note") else ""
    return f'<section class="recipe"><h2>Recipe as used</h2>{note}<div class="groups">{drawn}</div></section>'


def parity(run: TrainingRun) -> str:
    """Whether what is served is what was trained."""
    head = "<section class='parity'><h2>Is what is served what was trained?</h2>"
    found = run.parity
    if found is None:
        return (f"{head}<p class='hint'>Not proven for this run yet. <code>python -m train.parity {escape(run.name)}"
                "</code> answers dev prompts with transformers and with llama.cpp and compares them token by token."
                "</p></section>")
    rows = [
        ("the float16 GGUF against the merged model in transformers", _whole_answers(found), ""),
        ("the merged q4_k_m file against the float16 GGUF", _share(found.q4_whole), _share(found.q4_first)),
        ("the adapter on the 4-bit base, as served here", _share(found.served_whole), _share(found.served_first)),
    ]
    body = "".join(f'<tr><th scope="row">{a}</th><td>{b}</td><td>{c}</td></tr>' for a, b, c in rows if b or c)
    troubles = _stale(run, found) + "".join(f'<p class="notice">Not kept: {inline(t)}</p>' for t in found.troubles)
    return (f"{head}<p>The same {found.prompts} dev prompts, answered greedily by both.</p>"
            '<div class="scroll" tabindex="0"><table class="plain-table"><thead><tr><th scope="col">files</th>'
            '<th scope="col">whole answer the same</th><th scope="col">first token the same</th></tr></thead>'
            f"<tbody>{body}</tbody></table></div>{troubles}<p class='hint'>{_parted(found)}Fewer bits change some "
            "tokens; all three columns answer from the same 4-bit base. From <code>assets/runs/"
            f"{escape(run.name)}/parity.json</code>.</p></section>")


def _stale(run: TrainingRun, found: Parity) -> str:
    """A notice where the proof is not of the run's adapter."""
    if not found.adapter_sha256 or found.adapter_sha256 == run.card.get("adapter_sha256", found.adapter_sha256):
        return ""
    return ("<p class='notice'>This proof is of an earlier adapter of this name; <code>python -m train.parity "
            f"{escape(run.name)}</code> makes it anew.</p>")


def _parted(found: Parity) -> str:
    if not found.splits:
        return ""
    return (f"{len(found.splits)} of the float16 answers part from those of transformers, at a token that leads the "
            f"other by at most {max(found.splits):.3f} logits. ")


def commands(run: TrainingRun) -> str:
    """The commands that make the run, its proof and its scores again."""
    name = run.name
    data = "ARC_DIR=DIR " if "arc" in str(run.recipe.get("data", "")) else ""
    lines = (
        ("once: training and evaluation packages; then `python` is .venv/bin/python", "make setup-dev"),
        ("fine-tune (an interrupted run goes on where it stopped)",
         f"{data}python -m train.run train/recipes/{name}.toml"),
        ("prove that what is served is what was trained", f"python -m train.parity {name}"),
        ("score it on the held-out questions", f"ADAPTER=file:assets/adapters/{name}/adapter.gguf "
                                               f"python -m eval.run --part heldout --name {name}"),
        ("chat with it", f"ADAPTER=file:assets/adapters/{name}/adapter.gguf make demo"),
    )
    text = "\n".join(f"# {why}\n{command}" for why, command in lines)
    return (f'<section class="commands"><h2>Do it again</h2><pre class="scroll" tabindex="0"><code>{escape(text)}'
            "</code></pre></section>")


def adapters(cards: Sequence[AdapterCard]) -> str:
    """The model card of every adapter that lies in assets."""
    if not cards:
        return ('<section><h2>Adapters</h2><p class="hint">There is no adapter yet: '
                "<code>python -m train.run train/recipes/smollm2-135m.toml</code> makes one.</p></section>")
    return f"<section><h2>Adapters</h2>{''.join(_adapter(c, n == 0) for n, c in enumerate(cards))}</section>"


def _adapter(adapter: AdapterCard, opened: bool) -> str:
    card = adapter.card
    verdict = {True: "the file here has the hash of this card", False: "THE FILE HERE HAS ANOTHER HASH THAN THIS CARD",
               None: "the file is not here"}[adapter.hash_matches]
    data = card.get("data") if isinstance(card.get("data"), dict) else {}
    packages = card.get("packages") if isinstance(card.get("packages"), dict) else {}
    size = f"{adapter.file_mb:g} MB; " if adapter.file_mb is not None else ""
    rows = [
        ("base", card.get("base")), ("base file", card.get("base_file")), ("base sha256", card.get("base_sha256")),
        ("method", card.get("method")), ("trainable parameters", _whole(card.get("trainable_parameters"))),
        ("rows", _rows(data or {})), ("questions sha256", (data or {}).get("questions_sha256")),
        ("kept", f"epoch {card['best_epoch']:g}" if number(card.get("best_epoch")) else None),
        ("ARC accuracy on dev", _accuracy(card.get("dev_accuracy"))),
        ("time", _minutes(card.get("minutes"))), ("hardware", card.get("hardware")),
        ("packages", ", ".join(f"{k} {v}" for k, v in (packages or {}).items()) or None),
        ("adapter sha256", card.get("adapter_sha256")), ("file", f"adapter.gguf, {size}{verdict}"),
    ]
    state = "" if adapter.hash_matches is not False else ' <span class="bad">hash differs</span>'
    return (f'<details class="model-card"{" open" if opened else ""}><summary>{escape(adapter.name)}{state}</summary>'
            f"{_pairs(rows)}</details>")


def _accuracy(found: Any) -> str | None:
    """The share after every epoch."""
    pairs = [pair for pair in found if isinstance(pair, list) and len(pair) == 2] if isinstance(found, list) else []
    said = [f"epoch {epoch:g}: {share:.1%}" for epoch, share in pairs
            if number(epoch) is not None and number(share) is not None]
    return ", ".join(said) or None


def reports(text: str) -> str:
    """docs/reports.md, folded by report."""
    intro, *parts = text.split("\n## ")
    if not text.strip():
        return ""
    lead = "\n".join(line for line in intro.splitlines() if not line.startswith("# "))
    folded = "".join(
        f'<details class="report"><summary>{inline(part.partition(chr(10))[0])}</summary>'
        f"{blocks(part.partition(chr(10))[2], links=True, top=3)}</details>" for part in parts)
    return ('<section class="reports"><h2>Two reports, statement by statement</h2>'
            f"{blocks(lead, links=True)}{folded}</section>")


def _pairs(rows: Sequence[tuple[str, Any]], code: bool = False) -> str:
    shown = [(key, value) for key, value in rows if value not in (None, "")]
    return '<dl class="pairs">' + "".join(
        f"<div><dt>{'<code>' if code else ''}{escape(key)}{'</code>' if code else ''}</dt>"
        f"<dd{' class=hash' if key.endswith('sha256') else ''}>{escape(str(value))}</dd></div>"
        for key, value in shown) + "</dl>"


def _value(value: Any) -> str:
    """As in a recipe file: true and false in lower case, an empty text as two quotes."""
    return str(value).lower() if isinstance(value, bool) else '""' if value == "" else str(value)


def _rows(data: dict[str, Any]) -> str | None:
    named = [f"{int(count):,} {part}" for part in ("train", "dev") if (count := number(data.get(f"{part}_rows")))]
    return ", ".join(named) or None


def _revision(card: dict[str, Any]) -> str | None:
    revision = card.get("git_revision")
    return None if not revision else f"{str(revision)[:12]}{' with changes' if card.get('git_dirty') else ''}"


def _whole_answers(found: Parity) -> str:
    return "" if found.same is None else f"{found.same} of {found.prompts}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _whole(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f"{found:,.0f}"


def _minutes(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f"{found:g} minutes" if found < 180 else f"{found / 60:.1f} hours"
