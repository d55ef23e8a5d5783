"""Answers and passages as HTML. Pure functions; every text that is not ours is escaped."""

from __future__ import annotations

from html import escape

from space.markup import blocks
from space.retriever import covered
from space.schema import Answer, ModelIdentity, Passage, Variant

ROLES = {
    "plain": "the base model as it is",
    "tuned": "the same weights + our LoRA adapter",
    "tuned_rag": "adapter + passages from the corpus",
}


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
            return {"end": "finished", "length": "cut at the length limit", "stopped": "stopped",
                    "deadline": "stopped at the time limit"}.get(answer.done.finish, answer.done.finish)
    return "waiting"


def card(variant: Variant, answer: Answer | None) -> str:
    """One column: name, state, answer, numbers, identity, and the passages it read."""
    answer = answer or Answer(variant.key)
    body = f'<p class="answer-text">{escape(answer.text)}</p>' if answer.text else ""
    if answer.state == "failed":
        body += f'<p class="answer-error">{escape(answer.error)}</p>'
    elif not answer.text:
        hint = "The answer appears here." if answer.state == "waiting" else "&nbsp;"
        body = f'<p class="answer-empty">{hint}</p>'
    return (
        f'<section class="card {variant.key}" data-variant="{variant.key}" data-state="{answer.state}" '
        f'aria-label="{escape(variant.label)}">'
        f'<header><h2>{escape(variant.label)}</h2><span class="state">{escape(state_text(answer))}</span>'
        f'<p class="role">{escape(ROLES.get(variant.key, ""))}</p></header>'
        f'<div class="answer">{body}</div>{_numbers(answer)}{_identity(answer)}</section>'
        f'{passage_list(answer.passages)}'
    )


def _numbers(answer: Answer) -> str:
    done = answer.done
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


def _identity(answer: Answer) -> str:
    if not answer.done:
        return ""
    identity = answer.done.identity
    full = f"{identity.file}, sha256 {identity.sha256}"
    if identity.adapter:
        full += f"; {identity.adapter}, sha256 {identity.adapter_sha256}"
    return f'<p class="identity" title="{escape(full)}">{escape(identity_text(identity))}</p>'


def passage_list(passages: tuple[Passage, ...]) -> str:
    """The passages as foldable cards, best first; the first one is open."""
    if not passages:
        return ""
    items = "".join(
        f'<details class="passage"{" open" if n == 1 else ""}>'
        f'<summary><span class="rank">{n}</span><span class="where">{escape(p.title)}'
        f'<small>{escape(p.heading)}</small></span>'
        f'<span class="score" title="0.7 x cosine + 0.3 x BM25; cosine {p.cosine:.2f}">{p.score:.2f}</span></summary>'
        f'<div class="passage-text">{blocks(p.text)}</div></details>'
        for n, p in enumerate(passages, 1))
    notice = "" if covered(passages) else (
        '<p class="notice">No passage comes close to this question: the corpus may not cover it.</p>')
    return f'<section class="passages" aria-label="Passages read"><h3>Passages it read</h3>{notice}{items}</section>'
