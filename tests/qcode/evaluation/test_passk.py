"""Is pass@k the unbiased estimator of Chen et al., against a count of all subsets?"""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.qcode.evaluation.passk import pass_at_k, pass_interval, pass_rates, usable


@given(
    st.integers(min_value=1, max_value=8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_it_is_the_share_of_subsets_with_a_right_sample(drawn: tuple[int, int, int]) -> None:
    n, c, k = drawn
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(any(s) for s in subsets) / len(subsets))


def test_by_hand() -> None:
    assert pass_at_k(4, 1, 1) == pytest.approx(0.25)
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)
    assert pass_at_k(200, 1, 100) == pytest.approx(0.5)


@pytest.mark.parametrize("wrong", [(4, 1, 5), (4, 5, 1), (4, -1, 1), (4, 1, 0)])
def test_impossible_numbers_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 <= k"):
        pass_at_k(*wrong)


def test_problems_may_have_different_numbers_of_samples() -> None:
    assert pass_rates([[True, False], [True], [False, False, False]], 1).tolist() == [0.5, 1.0, 0.0]
    assert usable([8, 4], (1, 2, 4, 8)) == [1, 2, 4]
    interval = pass_interval([[True], [False]], 1)
    assert (interval.estimate, interval.low, interval.high) == (0.5, 0.0, 1.0)
