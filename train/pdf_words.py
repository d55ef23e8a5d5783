"""The letters and line ends of a PDF as plain text.

PDF fonts hold ligatures and a mathematical alphabet of their own, and a typesetter breaks words at
line ends. A broken word is joined as the rest of the document writes it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_SPACES = re.compile(r"[\u00a0\u2000-\u200a\u202f\u205f\u3000\t]")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff\ufffd\x00-\x08\x0b-\x1f\x7f]")
_STYLED = re.compile(r"[\ufb00-\ufb06\U0001d400-\U0001d7ff]")
_TOKEN = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


def plain(text: str) -> str:
    """Ligatures and mathematical letters as ordinary letters, without invisible characters. A power of
    ten whose exponent a PDF sets as small letters keeps its meaning: `5 × 10^-6`."""
    text = _UNSEEN.sub("", _SPACES.sub(" ", text))
    text = _STYLED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    text = text.replace("\u00ad", "-").replace("\u2212", "-")
    return re.sub(r"([×x]\s?10)-(?=\d)", r"\1^-", text)


class Lines:
    """Joins the lines of a paragraph. Knows how the document spells its words inside lines."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._seen: Counter[str] = Counter()
        for text in texts:
            for line in text.split("\n"):
                tokens = _TOKEN.findall(re.sub(r"\w+-\s*$", "", line).lower())
                self._seen.update(tokens)
                self._seen.update(part for token in tokens if "-" in token for part in token.split("-"))

    def join(self, lines: Iterable[str]) -> str:
        """One line of text; a hyphen at a line's end goes where it only marked the break."""
        text = ""
        for line in lines:
            line = re.sub(r" {2,}", " ", line).strip()
            if not line:
                continue
            if not text:
                text = line
            elif re.search(r"\w-$", text) and line[0].isalnum():
                text = text[:-1] + ("-" if self._is_compound(text, line) else "") + line
            elif re.search(r"\w[-/]$|https?://\S*[/=_-]$", text) and line[0].isalnum():
                text += line
            else:
                text += f" {line}"
        return text

    def _is_compound(self, text: str, line: str) -> bool:
        """Whether the hyphen at the end of `text` belongs to the word and stays."""
        left = re.search(r"[^\s(\[\"'“/]+(?=-$)", text)
        right = re.match(r"[^\W_]+(?:-[^\W_]+)*", line)
        if not left or not right:
            return True
        before, after = left[0], right[0]
        whole = self._seen[(before.split("-")[-1] + after.split("-")[0]).lower()]
        parts = self._seen[f"{before}-{after}".lower()]
        if whole or parts:
            return parts > whole
        if not after[0].islower() or not before[-1].islower():
            return True
        first, second = before.split("-")[-1].lower(), after.split("-")[0].lower()
        return len(first) > 2 and len(second) > 2 and bool(self._seen[first]) and bool(self._seen[second])
