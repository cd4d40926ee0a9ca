"""Splitting a budget over layers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.compression.engine.layers import Pyramid, Shares, Uniform, split


def test_uniform() -> None:
    assert split(Uniform(), 10, 4, protected=3, available=100) == [10, 10, 10, 10]


def test_a_pyramid_falls_and_keeps_its_mean() -> None:
    given_ = split(Pyramid(), 24, 4, protected=4, available=100)
    # rest 20: shares 1.95, 1.3167, 0.6833, 0.05 -> 39, 26.33, 13.67, 1
    assert given_ == [43, 30, 18, 5]
    assert sum(given_) == 4 * 24


def test_what_a_layer_cannot_hold_goes_to_the_others() -> None:
    assert split(Shares((3.0, 1.0)), 10, 2, protected=0, available=12) == [12, 8]


def test_a_budget_beyond_the_prompt_keeps_all() -> None:
    assert split(Pyramid(), 50, 3, protected=4, available=40) == [40, 40, 40]


@given(
    shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=8),
    available=st.integers(1, 200),
    data=st.data(),
)
def test_never_more_than_the_budget_nor_less_than_what_is_protected(shares, available, data) -> None:
    budget = data.draw(st.integers(1, available))
    protected = data.draw(st.integers(0, budget))
    given_ = split(Shares(tuple(shares)), budget, len(shares), protected=protected, available=available)
    assert sum(given_) == budget * len(shares)
    assert all(protected <= tokens <= available for tokens in given_)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="2 shares for 3 layers"):
        split(Shares((1.0, 2.0)), 4, 3, protected=0, available=10)
    with pytest.raises(ValueError, match="above 0"):
        Shares((1.0, 0.0))
    with pytest.raises(ValueError, match="slope"):
        Pyramid(0.5)
