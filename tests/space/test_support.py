import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.support import keys, sentence_spans, stem, support, terms

PASSAGES = ["MLA shrinks the KV cache by 93.3% compared with DeepSeek 67B.",
            "The model was trained on 14.8 trillion tokens with 2,048 GPUs; eight experts are active."]


def sentences(text):
    return [text[a:b] for a, b in sentence_spans(text)]


def test_each_sentence_has_its_share_and_its_passage():
    answer = "MLA shrinks the KV cache by 93.3%. It was trained on 14.8T tokens with 4096 TPUs."
    first, second = support(answer, PASSAGES)
    assert first.share == 1.0 and first.passage_index == 0 and not first.missing
    assert second.passage_index == 1 and second.numbers_missing == ("4096",) and second.missing == ("4096", "tpus")
    assert second.terms == 5 and second.share == pytest.approx(3 / 5)
    assert all(answer[s.start:s.end] == s.text for s in (first, second))


def test_words_are_compared_by_stem_and_figures_by_value():
    pairs = [("Training shrinks caches.", "It trained, shrinking the cache."), ("671 billion", "671B parameters"),
             ("8 experts", "eight experts"), ("eight experts", "8 experts"), ("2048 GPUs", "2,048 GPUs"),
             ("0.50", "0.5"), ("200Gbps", "2x200Gbps"), ("MLA\u2019s cache", "MLA has a cache"),
             ("14.8 trillion", "14.8T")]
    for answer, passage in pairs:
        assert support(answer, [passage])[0].share == 1.0, answer
    for answer, passage in [("67B", "671B"), ("H800", "H100"), ("93.3%", "3.3%"), ("V3", "V2"), ("9.5", "9.50.1")]:
        assert support(answer, [passage])[0].share == 0.0, answer
    assert support("671B", ["671 is a number"])[0].share == 0.0  # a scale is part of a figure, ...
    assert support("671", ["671B parameters"])[0].share == 1.0  # ... and may be left out by who repeats it
    assert support("H800", ["800 cards"])[0].numbers_missing == ()  # a name, no figure


def test_sentences_end_where_a_reader_would_say():
    assert sentences("It has 1.5B parameters, e.g. Qwen et al. 2024 say so. Is it? Yes! fig. 3 shows it.") == [
        "It has 1.5B parameters, e.g. Qwen et al. 2024 say so.", "Is it?", "Yes!", "fig. 3 shows it."]
    assert sentences("Steps:\n1. Read it.\n2. Write it\n- and this\n\n* J. Smith did") == [
        "Steps:", "Read it.", "Write it", "and this", "J. Smith did"]
    assert sentences('He said "no." Then left (at last.) The end') == [
        'He said "no."', "Then left (at last.)", "The end"]
    assert sentences("It uses FP8. then more") == ["It uses FP8.", "then more"]
    assert sentences("") == sentences(" \n.. ") == []


def test_nothing_to_check_is_nothing_missing():
    (one,) = support("It is so.", PASSAGES)
    assert (one.share, one.terms, one.passage_index) == (1.0, 0, None)
    (other,) = support("Bananas ripen.", PASSAGES)
    assert (other.share, other.passage_index) == (0.0, None)
    assert support("Bananas.", [])[0].share == 0.0 and support("", PASSAGES) == []


def test_of_equal_passages_the_first_is_named():
    assert support("The cache.", ["a cache", "the cache"])[0].passage_index == 0


def test_stems():
    assert len({stem(w) for w in ("train", "trained", "training", "trains")}) == 1
    assert stem("v3.1") == "v3.1" and stem("mla's") == "mla" and stem("gas") == "gas"
    assert [t.key for t in terms("The 4-bit E4M3 format")] == ["4", "bit", "e4m3", stem("format")]


@given(st.text(max_size=300), st.lists(st.text(max_size=100), max_size=3))
def test_any_text_at_all(answer, passages):
    found = support(answer, passages)
    last = 0
    for s in found:
        assert last <= s.start < s.end and answer[s.start:s.end] == s.text and 0.0 <= s.share <= 1.0
        assert s.passage_index is None or s.passage_index < len(passages)
        last = s.end
    assert all(s.share == 1.0 for s in support(answer, [answer]))
    assert keys(answer) >= {t.key for t in terms(answer)}
