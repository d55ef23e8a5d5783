from dataclasses import replace

import pytest

from eval.gate import regressions
from eval.metrics import METRICS
from eval.results import NO_JUDGE, build_run
from space.errors import UserError
from space.schema import Sampling
from tests.eval.made import records

GOOD, BAD = [1, 1, 1, 0] * 10, [1, 0, 0, 0] * 10


def made(name, metric="key_facts", documents=10, **values):
    rows = records(metric, documents, **values)
    return build_run(name, "dev", (), list(values), rows, Sampling(), 3, NO_JUDGE, METRICS), rows


def check(before, after):
    return regressions(*before, *after)


def test_a_run_like_its_baseline_passes():
    assert check(made("base", plain=GOOD, tuned=BAD), made("new", plain=GOOD, tuned=BAD)) == []


def test_a_worse_variant_is_named():
    found = check(made("base", plain=GOOD, tuned=GOOD), made("new", plain=GOOD, tuned=BAD))
    assert len(found) == 1
    assert found[0].startswith("tuned, Key facts all there: worse than in base by 0.5, worse on 20 of 40 questions")


def test_better_is_no_regression_and_lower_can_be_better():
    assert check(made("base", plain=BAD), made("new", plain=GOOD)) == []
    assert check(made("base", "wrong_abstention", plain=GOOD), made("new", "wrong_abstention", plain=BAD)) == []
    assert len(check(made("base", "wrong_abstention", plain=BAD), made("new", "wrong_abstention", plain=GOOD))) == 1


def test_noise_is_no_regression():
    shifted = GOOD[1:] + GOOD[:1]
    assert check(made("base", plain=GOOD), made("new", plain=shifted)) == []
    assert check(made("base", plain=GOOD), made("new", plain=[0, *GOOD[1:]])) == []


@pytest.mark.parametrize("metric", ["first_token_s", "decode_tps", "answer_tokens"])
def test_machine_and_length_do_not_count(metric):
    assert check(made("base", metric, plain=GOOD), made("new", metric, plain=BAD)) == []
    assert check(made("base", metric, plain=BAD), made("new", metric, plain=GOOD)) == []


def test_failing_where_it_was_bad_does_not_pass_the_gate():
    after = [None if v == 0 else v for v in GOOD]  # the mean of what is left is 1.0
    found = check(made("base", plain=GOOD), made("new", plain=after))
    assert found == ["plain, Key facts all there: only 30 of 40 answers could be scored."]


def test_what_cannot_be_compared_is_refused():
    base, base_rows = made("base", plain=GOOD, tuned=GOOD)
    new, new_rows = made("new", plain=GOOD, tuned=GOOD)
    with pytest.raises(UserError, match="lacks the variant tuned"):
        check((base, base_rows), made("new", plain=GOOD))
    with pytest.raises(UserError, match="different judges"):
        check((base, base_rows), (replace(new, judge={"kind": "local"}), new_rows))
    with pytest.raises(UserError, match="asks only 35 of the 40 questions"):
        check((base, base_rows), (new, [r for r in new_rows if int(r.id[-2:]) >= 5]))
    with pytest.raises(UserError, match="asks only 0 of the 40"):
        check((base, base_rows), (new, [replace(r, reference="Other.") for r in new_rows]))
    with pytest.raises(UserError, match="5 documents"):
        check(made("base", plain=GOOD, documents=5), made("new", plain=GOOD, documents=5))
