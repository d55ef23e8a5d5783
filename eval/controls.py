"""Judge the judge: items whose right order is known, scored by the same judge in every run.

Made from the run's own questions: reference answers with their own evidence, which are good, against the
same answers with the evidence of another question, with a number, a name or the sense changed, against
"I don't know", and (for relevancy) against the reference answer to another question. How well the judge
tells them apart stands beside its scores, as an AUROC with an interval by document.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.calibrate import CORRUPTIONS
from eval.judge import FAITHFULNESS, RELEVANCY, Item, Judged
from space.questions import topic
from space.schema import Example
from space.stats import auroc, auroc_interval

SEED = 3407
AT_MOST = 60
"""Questions of which controls are made: enough for an interval, few enough for a judge that costs money."""
DOES_NOT_KNOW = "I don't know."
GOOD = "good"
WEAK, STRONG = 0.7, 0.85
"""An AUROC below the first is no evidence of anything, from the second on it is good."""
NAMES = {
    (FAITHFULNESS, "shuffled"): "the evidence of another question",
    (FAITHFULNESS, "number"): "a number changed",
    (FAITHFULNESS, "name"): "a name changed",
    (FAITHFULNESS, "contradiction"): "the sense turned round",
    (FAITHFULNESS, "unknown"): "\u201cI don't know\u201d",
    (RELEVANCY, "shuffled"): "the answer to another question",
    (RELEVANCY, "unknown"): "\u201cI don't know\u201d",
}


@dataclass(frozen=True)
class Control:
    """An item whose quality is known. `kind` is good or a key of NAMES."""

    item: Item
    kind: str
    document: str


def make_controls(examples: Sequence[Example], evidence: Mapping[str, tuple[str, ...]]) -> list[Control]:
    """The control set of a run: of at most AT_MOST of its answerable questions, the same ones every time."""
    usable = [e for e in examples if e.kind != "unanswerable" and evidence[e.id]]
    chance = random.Random(SEED)
    chosen = sorted(chance.sample(usable, min(AT_MOST, len(usable))), key=lambda e: e.id)
    found: list[Control] = []
    for place, example in enumerate(chosen):
        own, document = evidence[example.id], topic(example)
        answers = {GOOD: example.reference, "unknown": DOES_NOT_KNOW}
        others = [text for e in chosen for text in evidence[e.id]]
        for kind, change in CORRUPTIONS.items():
            if wrong := change(example.reference, others, chance):
                answers[kind] = wrong
        found += [Control(Item(FAITHFULNESS, example.question, text, own), kind, document)
                  for kind, text in answers.items()]
        found += [Control(Item(RELEVANCY, example.question, answers[kind]), kind, document)
                  for kind in (GOOD, "unknown")]
        if other := _another(chosen, place):
            elsewhere = Item(FAITHFULNESS, example.question, example.reference, evidence[other.id])
            found += [Control(elsewhere, "shuffled", document),
                      Control(Item(RELEVANCY, example.question, other.reference), "shuffled", document)]
    return found


def _another(chosen: Sequence[Example], place: int) -> Example | None:
    """The next question of another document."""
    order = [*chosen[place + 1:], *chosen[:place]]
    return next((e for e in order if topic(e) != topic(chosen[place])), None)


def describe(controls: Sequence[Control], judged: Mapping[Item, Judged]) -> dict[str, Any]:
    """What a run says of its judge: `controls`, a row for each kind of bad item, and `words`."""
    rows = [row for (metric, kind), name in NAMES.items() if (row := _row(metric, kind, name, controls, judged))]
    return {"controls": rows, "words": in_words(rows)}


def _row(metric: str, kind: str, name: str, controls: Sequence[Control],
         judged: Mapping[Item, Judged]) -> dict[str, Any]:
    sides = [[c for c in controls if c.item.metric == metric and c.kind == side] for side in (GOOD, kind)]
    if not sides[1]:
        return {}
    label = {FAITHFULNESS: "Faithfulness", RELEVANCY: "Answer relevancy"}[metric]
    scored = [[(judged[c.item].score, c.document) for c in side if judged[c.item].score is not None] for side in sides]
    row: dict[str, Any] = {
        "name": f"{label}: {name}", "metric": metric, "kind": kind, "auroc": None, "low": None, "high": None,
        "n": sum(map(len, scored)), "unscored": sum(map(len, sides)) - sum(map(len, scored))}
    if all(scored):
        (good, good_groups), (bad, bad_groups) = (zip(*side, strict=True) for side in scored)
        row["auroc"] = round(auroc(good, bad), 4)
        if bounds := auroc_interval(good, bad, good_groups, bad_groups):
            row["low"], row["high"] = (round(b, 4) for b in bounds)
    return row


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which of its scores a judge can be believed on, and on which not."""
    if not rows:
        return "No control set could be made, so nothing shows whether this judge can be believed."
    lines = []
    for metric, label in ((FAITHFULNESS, "faithfulness"), (RELEVANCY, "answer relevancy")):
        own = [r for r in rows if r["metric"] == metric]
        blind = [_told(r) for r in own if r["auroc"] is None or r["auroc"] < WEAK
                 or (r["low"] is not None and r["low"] <= 0.5)]
        unsure = [_told(r) for r in own if _told(r) not in blind and r["auroc"] < STRONG]
        good = [_told(r) for r in own if _told(r) not in blind + unsure]
        said = [f"it notices {_listed(good)}"] if good else []
        said += [f"it often misses {_listed(unsure)}"] if unsure else []
        said += [f"it cannot be believed on {_listed(blind)}"] if blind else []
        if said:
            lines.append(f"On {label} " + "; ".join(said) + ".")
    if all(r["low"] is None for r in rows):
        lines.append("These are too few documents for intervals, so it shows little.")
    return " ".join(lines)


def _told(row: Mapping[str, Any]) -> str:
    name = row["name"].split(": ", 1)[1]
    return f"{name} (AUROC {row['auroc']:.2f})" if row["auroc"] is not None else f"{name} (not scored)"


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
