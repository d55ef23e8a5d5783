"""The card of an adapter binds it: to its own bytes, and to the base file that it was trained for.

llama.cpp notices a truncated file but loads 64 KB of flipped weights without a word, so nothing but
the hash can tell a damaged model from a whole one.
"""

from __future__ import annotations

from pathlib import Path

from space.errors import UserError
from space.json_text import parse_json

CARD = "model_card.json"
CARD_SCHEMA = 1
"""The newest format of model_card.json that is read here."""


def check_card(adapter: Path, base: Path, adapter_sha256: str, base_sha256: str) -> None:
    """Hold an adapter and its base to the model_card.json beside the adapter, where there is one. Raises
    UserError, which costs the fine-tuned columns only."""
    path = adapter.with_name(CARD)
    try:
        card = parse_json(path.read_text(encoding="utf-8"))
        schema, own, wanted = card["schema"], card["adapter_sha256"], card["base_sha256"]
        base_file = str(card["base_file"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} of the adapter {adapter.parent.name} is unreadable.",
                        "Make both anew with `make train`, or fetch both again.") from error
    if schema != CARD_SCHEMA:
        raise UserError(f"{path.name} of the adapter {adapter.parent.name} has format {schema!r}; this version reads "
                        f"{CARD_SCHEMA}.", "Update this repository.")
    if own != adapter_sha256:
        raise UserError(f"{adapter.name} of {adapter.parent.name} is not the file its card describes (its SHA-256 "
                        "differs).", "Make it anew with `make train`, or fetch file and card again.")
    if wanted != base_sha256:
        raise UserError(f"{adapter.name} of {adapter.parent.name} was trained for another base file ({base_file}).",
                        f"Use {base_file}, or train an adapter for {base.name} with `make train`.")
