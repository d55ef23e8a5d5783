"""Links that bring a view back: `?tab=eval&run=…&id=…` on the Space's page or on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from space.settings import load_settings

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(?::\d{1,5})?|https?://\[[0-9A-Fa-f:]+\](?::\d{1,5})?")


def page_link(parameters: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The address that opens this page with `parameters`; empty ones are left out.

    On a Space it is the Space's own page (SPACE_ID), which hands the parameters on, or its host
    (SPACE_HOST). Elsewhere it is where the visitor's browser says that it is, by the `origin` or
    `host` header of its request, else this machine.
    """
    query = urlencode({key: value for key, value in parameters.items() if value})
    return _base(headers) + (f"?{query}" if query else "")


def _base(headers: Mapping[str, str]) -> str:
    if space := os.environ.get("SPACE_ID", ""):
        return f"https://huggingface.co/spaces/{space}"
    if host := os.environ.get("SPACE_HOST", ""):
        return f"https://{host}/"
    for origin in (headers.get("origin") or "", f"http://{headers.get('host') or ''}"):
        if _ORIGIN.fullmatch(origin):
            return f"{origin}/"
    return f"http://127.0.0.1:{load_settings().port}/"
