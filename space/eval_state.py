"""What a visitor looks at in the dashboard, as a value: it becomes a link and comes back from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

ANY = "any"
"""The choice that filters nothing: a dropdown wants a value."""
LONGEST = 200
"""Characters of one value of a link that are read."""


@dataclass(frozen=True)
class View:
    """The names are those of the parameters in the link. "" is the default of each: the newest run, no
    second run, the first metric, no filter, the order of the questions, no question open."""

    run: str = ""
    vs: str = ""
    metric: str = ""
    q: str = ""
    kind: str = ""
    document: str = ""
    outcome: str = ""
    sort: str = ""
    id: str = ""

    def parameters(self) -> dict[str, str]:
        """The parameters of a link to this view, without those that are at their default."""
        return {"tab": "eval"} | {key: value for key, value in asdict(self).items() if value}


def from_fields(values: Sequence[str | None]) -> View:
    """The view on screen, from the values of its fields in the order of View."""
    return View(*("" if v in (None, ANY) else str(v) for v in values))


def from_parameters(parameters: Mapping[str, str]) -> View:
    """The view that a link names. What the values mean is checked where they are used."""
    return View(**{f.name: str(parameters.get(f.name, ""))[:LONGEST] for f in fields(View)})
