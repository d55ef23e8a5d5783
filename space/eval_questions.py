"""The questions of a run, one row each with every variant's outcome: searched, filtered, sorted, as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from space import key_facts
from space.eval_state import View
from space.eval_view import chip, framed
from space.plots import label
from space.results import EvalRecord


@dataclass(frozen=True)
class Outcome:
    """How an answer came out by its key facts: `key` is right | part | none | unknown | invented |
    open | failed, `share` how much of what was wanted is there."""

    key: str
    mark: str
    short: str
    text: str
    share: float


@dataclass(frozen=True)
class Row:
    """A question with its answers and what they came to, by variant; `place` is its place in the run."""

    place: int
    id: str
    document: str
    kind: str
    question: str
    answers: Mapping[str, EvalRecord]
    outcomes: Mapping[str, Outcome]


def rows(records: Sequence[EvalRecord]) -> list[Row]:
    """The questions in the order of the run."""
    by_id: dict[str, dict[str, EvalRecord]] = {}
    for record in records:
        by_id.setdefault(record.id, {})[record.variant] = record
    firsts = [(id_, next(iter(answers.values())), answers) for id_, answers in by_id.items()]
    return [Row(n, id_, r.document, r.kind, r.question, answers, {v: outcome(a) for v, a in answers.items()})
            for n, (id_, r, answers) in enumerate(firsts)]


def outcome(record: EvalRecord) -> Outcome:
    """What an answer came to. By key facts, so it is a floor: an answer may hold them and be wrong elsewhere."""
    if record.error or record.done is None:
        return Outcome("failed", "!", "failed", "no answer", 0.0)
    abstains = key_facts.abstains(record.text)
    if record.kind == "unanswerable":
        return (Outcome("right", "✓", "abstains", "says it does not know, rightly", 1.0) if abstains
                else Outcome("invented", "✗", "answers", "answers what the corpus does not tell", 0.0))
    hits = key_facts.hits(record.key_facts, record.text)
    count, short = f"{sum(hits)} of {len(hits)} key fact{'s' if len(hits) != 1 else ''}", f"{sum(hits)}/{len(hits)}"
    if not hits:
        return Outcome("open", "·", "open", "has no key facts to check", 0.0)
    if all(hits):
        return Outcome("right", "✓", short, count, 1.0)
    if abstains:
        return Outcome("unknown", "–", "abstains", "says it does not know", sum(hits) / len(hits))
    if any(hits):
        return Outcome("part", "◐", short, count, sum(hits) / len(hits))
    return Outcome("none", "✗", short, count, 0.0)


def disagreement(row: Row) -> tuple[float, float]:
    """How far the variants are apart: by the share of key facts, then by the words shared with the reference."""
    shares = [o.share for o in row.outcomes.values()]
    overlaps = [r.scores.get("reference_f1", 0.0) for r in row.answers.values()]
    return max(shares) - min(shares), max(overlaps) - min(overlaps)


SORTS: dict[str, tuple[str, Callable[[Row], tuple]]] = {
    "": ("variants disagree most", lambda r: (*(-d for d in disagreement(r)), r.place)),
    "order": ("order of the run", lambda r: (r.place,)),
    "fewest": ("fewest key facts", lambda r: (sum(o.share for o in r.outcomes.values()), r.place)),
    "longest": ("longest answer", lambda r: (-max(len(a.text) for a in r.answers.values()), r.place)),
}
"""For the key in a link: what it is called, and what it sorts by."""


def outcomes(variants: Sequence[str]) -> dict[str, str]:
    """The filters by outcome: key in a link -> what it is called."""
    found = {"": "any outcome", "differ": "variants differ", "all": "all variants right", "no": "no variant right"}
    for variant in variants:
        found |= {f"right-{variant}": f"{label(variant)} right", f"wrong-{variant}": f"{label(variant)} not right"}
    return found | {"failed": "an answer failed"}


def select(found: Sequence[Row], view: View) -> list[Row]:
    """The rows that a view shows, in its order. Values that do not exist filter nothing."""
    words = view.q.lower().split()
    kept = [r for r in found
            if (view.kind not in {x.kind for x in found} or r.kind == view.kind)
            and (view.document not in {x.document for x in found} or r.document == view.document)
            and _comes_out(r, view.outcome) and (not words or _holds(r, words))]
    return sorted(kept, key=SORTS.get(view.sort, SORTS[""])[1])


def _holds(row: Row, words: Sequence[str]) -> bool:
    answers = list(row.answers.values())
    text = " ".join([row.id, row.question, answers[0].reference, *(a.text for a in answers)]).lower()
    return all(word in text for word in words)


def _comes_out(row: Row, wanted: str) -> bool:
    keys = {variant: found.key for variant, found in row.outcomes.items()}
    kind, _, variant = wanted.partition("-")
    match kind:
        case "differ":
            return len(set(keys.values())) > 1
        case "all" | "no":
            return all((key == "right") == (kind == "all") for key in keys.values())
        case "right" | "wrong" if variant in keys:
            return (keys[variant] == "right") == (kind == "right")
        case "failed":
            return "failed" in keys.values()
    return True


def table(shown: Sequence[Row], total: int, variants: Sequence[str], view: View) -> str:
    """The rows as a table; each row's question is a link to it, with its id in `data-question`."""
    count = f'<p class="ev-count">{len(shown)} of {total} questions</p>'
    if not shown:
        return f'{count}<p class="ev-none">No question fits. Take a filter away or search for less.</p>'
    body = "".join(_row(r, variants, view) for r in shown)
    return count + framed(["Question", *map(chip, variants)], body, "Questions", "ev-tall ev-cards")


def _row(row: Row, variants: Sequence[str], view: View) -> str:
    link = "?" + urlencode({"tab": "eval", "run": view.run, "id": row.id})
    cells = "".join(f'<td data-label="{escape(label(v))}">{outcome_chip(row.outcomes[v])}</td>' if v in row.outcomes
                    else "<td></td>" for v in variants)
    current = ' aria-current="true"' if row.id == view.id else ""
    return (f'<tr data-question="{escape(row.id)}"{current}><th scope="row"><a href="{escape(link)}">'
            f"{escape(row.question)}</a><small>{escape(row.id)} · {escape(row.kind)}</small></th>{cells}</tr>")


def outcome_chip(found: Outcome, words: bool = False) -> str:
    """An outcome as a small sign with its count; in words where there is room."""
    return (f'<span class="ev-out {found.key}" title="{escape(found.text)}">{found.mark} '
            f"{escape(found.text if words else found.short)}</span>")
