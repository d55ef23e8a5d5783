"""One column as HTML: name, state, answer, numbers, identity, details. Pure; all foreign text is escaped."""

from __future__ import annotations

from html import escape

from space import key_facts, marks, prompts
from space.comparison import Column, Comparison
from space.schema import VARIANTS, Answer, AnswerDone, Example, ModelIdentity, Variant

ROLES = {
    "plain": "the base model as it is",
    "tuned": "the same weights + our LoRA adapter",
    "tuned_rag": "adapter + passages from the corpus",
}
LETTERS = "ABC"
"""Names of the columns of a blind comparison, from left to right."""
FINISHES = {"end": "finished", "length": "cut at the length limit", "stopped": "stopped",
            "deadline": "stopped at the time limit"}


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, … 11th, … 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def state_text(answer: Answer) -> str:
    """Where an answer stands, in a few words."""
    match answer.state:
        case "queued":
            return f"{ordinal(answer.ahead + 1)} in line" if answer.ahead else "starting"
        case "reading":
            return f"reading {answer.prompt_tokens} tokens"
        case "streaming":
            return "answering"
        case "failed":
            return "no answer"
        case "done" if answer.done:
            return FINISHES.get(answer.done.finish, answer.done.finish)
    return "waiting"


def card(comparison: Comparison, position: int) -> str:
    """The column at a position of the screen, 0 on the left."""
    key = comparison.order[position]
    column = comparison.columns[key]
    if comparison.hidden:
        return _blind_card(comparison, position, column.answer)
    label = VARIANTS[key].label
    letter = f'<span class="letter">{LETTERS[position]}</span> ' if comparison.blind else ""
    best = '<span class="voted">your vote</span>' if comparison.vote == key else ""
    answer = column.answer
    state = "recorded" if column.source else state_text(answer)
    return (
        f'<section class="card {key}" data-variant="{key}" data-state="{answer.state}" aria-label="{escape(label)}">'
        f'<header><h3>{letter}{escape(label)}{best}</h3><p class="role">{escape(ROLES.get(key, ""))}</p>'
        f'<p class="state">{escape(state)}</p></header>'
        f'<div class="answer">{_answer(comparison, key)}</div>'
        f'{_verdict(comparison.example, answer)}{_numbers(answer.done)}{_identity(answer.done)}'
        f'{_details(comparison, column)}</section>'
    )


def empty_card(variant: Variant) -> str:
    """A column before the first question."""
    return (f'<section class="card {variant.key}" data-variant="{variant.key}" data-state="waiting" '
            f'aria-label="{escape(variant.label)}"><header><h3>{escape(variant.label)}</h3>'
            f'<p class="role">{escape(ROLES[variant.key])}</p><p class="state">waiting</p></header>'
            '<div class="answer"><p class="answer-empty">The answer appears here.</p></div></section>')


def _blind_card(comparison: Comparison, position: int, answer: Answer) -> str:
    """Nothing that tells the columns apart: no name, colour, number or pace; texts come together."""
    ready = comparison.finished
    text = answer.text or ("This column has no answer." if answer.state == "failed" else "")
    body = (f'<p class="answer-text">{escape(text)}</p>' if ready else
            '<p class="answer-empty">The three answers appear together.</p>')
    name = f"Answer {LETTERS[position]}"
    return (f'<section class="card blind" data-state="{"done" if ready else "working"}" aria-label="{name}">'
            f'<header><h3>{name}</h3><p class="role">unnamed until your vote</p>'
            f'<p class="state">{"ready" if ready else "working"}</p></header>'
            f'<div class="answer">{body}</div></section>')


def _answer(comparison: Comparison, key: str) -> str:
    answer = comparison.columns[key].answer
    if answer.state == "failed":
        partial = f'<p class="answer-text">{escape(answer.text)}</p>' if answer.text else ""
        return f'{partial}<p class="answer-error">{escape(answer.error)}</p>'
    if not answer.text:
        hint = {"waiting": "The answer appears here.", "done": "The model wrote nothing."}.get(answer.state, "&nbsp;")
        return f'<p class="answer-empty">{hint}</p>'
    if not answer.finished or not comparison.finished:
        return f'<p class="answer-text">{escape(answer.text)}</p>'
    passages = comparison.passages
    shaded = marks.marked(answer.text, passages) if passages else escape(answer.text)
    html = f'<p class="answer-text">{shaded}</p>'
    plain = comparison.columns.get("plain")
    if plain and key != "plain" and plain.answer.text:
        html += f'<p class="answer-diff">{marks.difference(plain.answer.text, answer.text)}</p>'
    return html


def _verdict(example: Example | None, answer: Answer) -> str:
    """How the answer fares against the key facts of the reference, in one line."""
    if not example or answer.state != "done":
        return ""
    if example.kind == "unanswerable":
        good = key_facts.abstains(answer.text)
        says = "says that it does not know" if good else "answers, though the corpus has no answer"
    else:
        hits = key_facts.hits(example.key_facts, answer.text)
        good = all(hits)
        says = f"{sum(hits)} of {len(hits)} key fact{'s' if len(hits) > 1 else ''}"
    return f'<p class="verdict {"good" if good else "poor"}">{says}</p>'


def _numbers(done: AnswerDone | None) -> str:
    if not done:
        return ""
    waited = f"<div><dt>waited</dt><dd>{done.queued_s:.1f} s</dd></div>" if done.queued_s >= 0.1 else ""
    return (
        '<dl class="numbers">'
        f"<div><dt>first token</dt><dd>{done.first_token_s:.2f} s</dd></div>"
        f"<div><dt>speed</dt><dd>{done.decode_tps:.1f} tok/s</dd></div>"
        f"<div><dt>tokens</dt><dd>{done.prompt_tokens} read, {done.answer_tokens} written</dd></div>"
        f"{waited}</dl>"
    )


def identity_text(identity: ModelIdentity) -> str:
    """Base model, quantisation, adapter and short hashes, as read from the files that answered."""
    parts = [f"{identity.base} {identity.quantization}, {identity.size_mb:.0f} MB, "
             f"sha256 {identity.sha256[:8]}"]
    parts.append(f"adapter {identity.adapter}, sha256 {identity.adapter_sha256[:8]}"
                 if identity.adapter else "no adapter")
    return " + ".join(parts) if identity.adapter else "; ".join(parts)


def _identity(done: AnswerDone | None) -> str:
    return f'<p class="identity">{escape(identity_text(done.identity))}</p>' if done else ""


def _details(comparison: Comparison, column: Column) -> str:
    """The drawer: every number of the answer, the files behind it, and the prompt word for word."""
    answer, done = column.answer, column.answer.done
    if not done:
        return ""
    sampling, identity = column.sampling, done.identity
    rows = {
        "prompt": f"{done.prompt_tokens} tokens, {done.cached_tokens} of them reused",
        "answer": f"{done.answer_tokens} tokens, {done.decode_tps:.1f} a second",
        "first token": f"{done.first_token_s:.2f} s, after {done.queued_s:.2f} s in line",
        "ended": FINISHES.get(done.finish, done.finish),
        "sampling": (f"temperature {sampling.temperature:g}, seed {sampling.seed}" if sampling.temperature
                     else "temperature 0 (greedy)") + f", at most {sampling.max_tokens} tokens",
        "model file": f"{identity.file}, sha256 {identity.sha256}",
    }
    if identity.adapter:
        rows["adapter file"] = f"{identity.adapter}, sha256 {identity.adapter_sha256}"
    if column.source:
        rows["recorded"] = f"{column.source.day}, from {column.source.file}"
    listed = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items())
    prompt = prompts.text(prompts.build(comparison.full_question, answer.passages))
    says = "Prompt, as this version builds it" if column.source else "Exact prompt"
    return (f'<details class="more"><summary>Details and prompt</summary><dl>{listed}</dl>'
            f'<p class="prompt-name">{says}</p><pre class="prompt scroll" tabindex="0">{escape(prompt)}</pre>'
            '</details>')
