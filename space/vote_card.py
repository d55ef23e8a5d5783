"""The votes of the blind test as a card of the dashboard. HTML only."""

from __future__ import annotations

from html import escape

from space import votes
from space.schema import VARIANTS
from space.votes import Share

EMPTY = ("There are no votes yet. Tick <b>Blind test</b> in the Compare tab, ask a question and pick the best answer; "
         "the names appear after the vote, and the counts here.")


def vote_card() -> str:
    """Win rates with intervals and counts, or what to do while there is no vote."""
    shares = votes.tally()
    body = _table(shares) if shares else f'<p class="soft">{EMPTY}</p>'
    return ('<section class="votes" aria-labelledby="votes-name"><h3 id="votes-name">Blind test: what visitors '
            f'preferred</h3>{body}</section>')


def _table(shares: tuple[Share, ...]) -> str:
    total = shares[0].total
    rows = "".join(_row(share) for share in shares)
    return (f'<p class="soft">{total} vote{"s" if total > 1 else ""}; the columns were shuffled and unnamed. Intervals '
            "are Wilson's. Anybody may vote, and more than once: this is an opinion poll, not a measurement.</p>"
            '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">Best answer</th><th scope="col">Votes'
            '</th><th scope="col">Share</th><th scope="col">95 % interval</th><th scope="col">0 to 100 %</th></tr>'
            f'</thead><tbody>{rows}</tbody></table></div>')


def _row(share: Share) -> str:
    label = "Tie" if share.choice == votes.TIE else VARIANTS[share.choice].label
    low, high = 100 * share.low, 100 * share.high
    scale = (f'<span class="vote-scale {share.choice}" aria-hidden="true"><i style="left:{low:.1f}%;'
             f'width:{high - low:.1f}%"></i><b style="left:{100 * share.share:.1f}%"></b></span>')
    return (f'<tr><th scope="row" class="{share.choice}">{escape(label)}</th><td>{share.count}</td>'
            f"<td>{share.share:.0%}</td><td>{low:.0f} to {high:.0f} %</td><td>{scale}</td></tr>")
