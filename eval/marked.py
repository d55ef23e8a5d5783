"""Parts of a document that a command writes: what stands between two marks."""

from __future__ import annotations

from space.errors import UserError


def exchanged(document: str, start: str, end: str, block: str, name: str, what: str) -> str:
    """The document with `block` in the place of all from `start` to `end`, marks included. Raises UserError where they
    do not stand there once each, in this order; `name` is the document's, `what` what the place is for."""
    before, _, rest = document.partition(start)
    inside, found, after = rest.partition(end)
    if not found or start in inside + after or end in before + after:
        raise UserError(f"{name} has no place for {what}: it lacks the marks {start} and {end}.",
                        "Put them where it shall stand, once each.")
    return before + block + after
