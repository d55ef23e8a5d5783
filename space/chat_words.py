"""The texts of the compare tab around its cards, as HTML. Pure; all foreign text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from space import examples, zero_gpu
from space.comparison import Comparison
from space.eval_view import means_of, verdict
from space.models import Profile
from space.results import EvalRun
from space.schema import Example

INVITATION = "Type a question or pick one above."
GREETING = "A recorded comparison to begin with. Ask a question, or run this one live."


def measured(runs: Sequence[EvalRun], profile: Profile) -> str:
    """The page's two questions answered by the newest held-out run of this profile; "" where there is none."""
    run = next((r for r in runs if r.part == "heldout" and r.profile == profile.name), None)
    if not run:
        return ""
    answerable = max((m.expected for m in means_of(run, "key_facts")), default=0)
    more = ' <a href="?tab=eval">See the evaluation</a>'
    return verdict(run, f"Measured on {answerable} held-out questions that the corpus answers:", more)


def intro(profile: Profile) -> str:
    """What this page is, and which model answers."""
    if zero_gpu.switched_on():
        model = f"<b>{escape(profile.label)}</b> by transformers, on a GPU that is lent for each question."
    else:
        model = _on_cpu(profile)
    return ("<h1>Does fine-tuning help? Does retrieval help?</h1>"
            "<p>One question about AI research papers, three answers: the plain model, the same weights with a LoRA "
            "adapter trained on questions about the papers, and the adapter with passages retrieved from the corpus. "
            f'<span class="small-model">Answers by {model}</span></p>')


def _on_cpu(profile: Profile) -> str:
    return (f"<b>{escape(profile.label)}</b>, a real 4-bit model that installs with pip and runs on two CPU "
             "cores: too small to know much by heart. <code>PROFILE=qwen2.5-3b</code> runs "
             "Qwen2.5-3B-Instruct instead."
             if profile.name == "embedded" else f"<b>{escape(profile.label)}</b>, 4-bit, on this machine's CPU.")


def chips(groups: Mapping[str, Sequence[Example]]) -> str:
    """The example questions, a line for each group, and one that picks by chance."""
    rows = "".join(
        f'<div class="chip-row"><h2>{escape(examples.GROUPS[key][0])}</h2><div class="chips">'
        + "".join(_chip(e.question, e.question) for e in group) + "</div></div>" for key, group in groups.items())
    return rows + f'<div class="chip-row"><h2>Any of them</h2><div class="chips">{_chip("", "Surprise me")}</div></div>'


def _chip(question: str, label: str) -> str:
    return f'<button type="button" class="chip" data-question="{escape(question)}">{escape(label)}</button>'


def status_line(text: str) -> str:
    """The one line that a screen reader hears."""
    return f'<p class="status-line">{escape(text)}</p>'


def models_line(text: str, ready: bool = False) -> str:
    """What the models are doing; seen, not read aloud."""
    return f'<p class="models-line {"ready" if ready else "loading"}">{escape(text)}</p>'


def asked(comparison: Comparison) -> str:
    """The question that the columns answer, and where the answers come from."""
    notes = []
    if comparison.earlier:
        notes.append(f"follow-up, read as: {escape(comparison.full_question)}")
    if not comparison.hidden:
        about = escape(examples.meaning(comparison.example)) if comparison.example else ""
        if source := comparison.source:
            about = (f'<b class="recorded">recorded on {escape(source.day)}</b> from <code>{escape(source.file)}</code>'
                     + (f" · {about}" if about else ""))
        notes += [about] if about else []
    lines = "".join(f"<p>{note}</p>" for note in notes)
    return f'<div class="asked"><h2>{escape(comparison.question)}</h2>{lines}</div>'
