"""One colour a variant, used in cards, tables and plots. Okabe and Ito's hues, which stay apart for
colour-blind eyes; no meaning is told by colour alone.

style.css holds the same values as --plain, --tuned, --tuned-rag and --plain-rag (a test compares them).
"""

from __future__ import annotations

MARKS = {"plain": "#0072b2", "tuned": "#d55e00", "tuned_rag": "#009e73", "plain_rag": "#b0659a"}
"""For bars, lines and points: at least 3 to 1 against the paper of the light and of the dark page, as a plot
does not follow the theme."""
LIGHT = {"plain": "#00609a", "tuned": "#ad4a00", "tuned_rag": "#00705a", "plain_rag": "#96467f"}
"""For text and borders on the light page: at least 4.5 to 1."""
DARK = {"plain": "#6cc0f0", "tuned": "#ff9a52", "tuned_rag": "#45cfa4", "plain_rag": "#e3a0cb"}
"""For text and borders on the dark page: at least 4.5 to 1."""
PAPERS = {"light": ("#ffffff", "#f5f6f8"), "dark": ("#1a2029", "#11151b")}
"""Background of a card and of the page."""
NEUTRAL = "#7b8794"
"""For axes, grids and text of plots in both themes."""


def css_name(key: str) -> str:
    """The CSS variable of a variant: `--tuned-rag` for `tuned_rag`."""
    return "--" + key.replace("_", "-")
