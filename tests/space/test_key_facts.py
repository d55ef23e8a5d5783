import pytest

from space.key_facts import abstains, contains, hits


@pytest.mark.parametrize(
    "fact, text, found",
    [
        ("71.0", "It reaches 71.0% on AIME.", True),
        ("71.0", "It reaches 171.0.", False),
        ("71.0", "It reaches 71.05.", False),
        ("71", "It reaches 71.0.", False),
        ("71", "It reaches 71.", True),
        ("671B", "It has 671 billion parameters.", True),
        ("14.8T", "on 14.8 trillion tokens", True),
        ("2048", "with 2,048 GPUs", True),
        ("2,048", "with 2048 GPUs", True),
        ("language mixing", "It suffers from Language\nMixing.", True),
        ("KV cache", "the KV caches", False),
        ("DeepSeek-V3-Base", "starts from DeepSeek\u2011V3\u2011Base.", True),
        ("$5.576M", "costs $5.576M in all", True),
        ("1.8x", "gains 1.8x", True),
    ],
)
def test_contains(fact, text, found):
    assert contains(fact, text) is found


def test_hits_answers_for_each_fact():
    assert hits(("671B", "37B"), "671B in all") == [True, False]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("The corpus does not tell how many GPUs were used.", True),
        ("The passages do not say this.", True),
        ("I don't know.", True),
        ("The corpus tells that 2048 GPUs were used.", False),
        ("DeepSeek does not tell lies about 71.0.", False),
    ],
)
def test_abstains(text, wanted):
    assert abstains(text) is wanted
