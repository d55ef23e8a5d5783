import re
from dataclasses import replace

import pytest

from space import marks
from tests.fakes import PASSAGE

OTHER = replace(PASSAGE, id="doc#2", text="DualPipe overlaps forward and backward computation.", title="T", heading="H")


def test_sentences_are_shaded_by_what_is_found_and_linked_to_their_passage():
    html = marks.marked(
        "MLA shrinks the KV cache by 93.3%. Elephants walk through gardens at 42 km. DualPipe overlaps computation.",
        (PASSAGE, OTHER),
    )
    first, second, third = html.split('class="sentence ')[1:]
    assert first.startswith('s3"') and 'data-passage="1"' in first and "100% of its words" in first
    assert second.startswith('s0"') and "<u class='absent'>42</u>" in second and "href" not in second
    assert third.startswith('s3"') and 'href="#read-2"' in third


@pytest.mark.parametrize("text, wanted", [
    ("It has 178,000,000 experts, with 12,000,000 of them in 12 nodes.", ["178,000,000", "12,000,000", "12"]),
    ("A node has 12,000 cards.", ["12,000"]),
    ("It holds 80GB, 1234.5 and 7000.", ["80GB", "1234.5", "7000"]),
    ("It has 45 billion, 8B and 7 percent, 9%, 61 million.", ["45 billion", "8B", "7", "9", "61 million"]),
    ("It has 12 or 1,12 of 345.", ["12", "1", "12", "345"]),
])
def test_whole_figures_are_underlined(text, wanted):
    assert re.findall("<u class='absent'>(.*?)</u>", marks.marked(text, (PASSAGE,))) == wanted


def test_the_text_stays_what_it_was():
    text = "One <b>fact</b>.\n\n- a list & more\n  Two  spaces. …"
    html = marks.marked(text, (PASSAGE,))
    bare = __import__("re").sub(r"<[^>]+>", "", html)
    assert __import__("html").unescape(bare) == text


@pytest.mark.parametrize("share, level", [(1.0, 3), (0.85, 3), (0.84, 2), (0.6, 2), (0.3, 1), (0.29, 0), (0.0, 0)])
def test_shading_has_four_levels(share, level):
    assert marks.level(share) == level


def test_the_difference_keeps_common_words_and_marks_the_others():
    html = marks.difference("It was made in 2017 by <b>.", "It was made in 2024 by DeepSeek.")
    assert html.startswith("It was made in <del>2017</del> <ins>2024</ins> by ")
    assert "<del>&lt;b&gt;.</del> <ins>DeepSeek.</ins>" in html
    assert "<ins>" not in marks.difference("Same words", "same words")
