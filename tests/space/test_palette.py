import re

import pytest

from space import palette
from space.schema import VARIANTS
from space.settings import ROOT


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def declared(block):
    css = (ROOT / "space" / "style.css").read_text()
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", css.split(block + " {", 1)[1].split("}", 1)[0]))


@pytest.mark.parametrize("key", VARIANTS)
def test_style_sheet_and_plots_share_the_colours(key):
    assert declared(":root")[palette.css_name(key)] == palette.LIGHT[key]
    assert declared(".dark")[palette.css_name(key)] == palette.DARK[key]


@pytest.mark.parametrize("key", VARIANTS)
def test_colours_can_be_read_on_both_pages(key):
    assert min(contrast(palette.LIGHT[key], p) for p in palette.PAPERS["light"]) >= 4.5
    assert min(contrast(palette.DARK[key], p) for p in palette.PAPERS["dark"]) >= 4.5
    assert min(contrast(palette.MARKS[key], p) for both in palette.PAPERS.values() for p in both) >= 3


def test_the_style_sheet_has_the_papers_that_were_measured():
    for block, (paper, ground) in ((":root", palette.PAPERS["light"]), (".dark", palette.PAPERS["dark"])):
        assert (declared(block)["--paper"], declared(block)["--ground"]) == (paper, ground)
