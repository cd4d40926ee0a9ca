"""Do the intervals cover what they should, and do ratios weigh prompts by their time?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab import statistics
from trimtab.statistics import Interval, mean_interval, paired_difference, paired_ratio, verdict


def test_mean_interval_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    interval = mean_interval(values)
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.01)


def test_mean_interval_equals_a_naive_loop() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    rows = np.random.default_rng(5).integers(4, size=(200, 4))
    means = [sum(values[row] for row in draw) / 4 for draw in rows]
    interval = mean_interval(values, resamples=200, seed=5, level=0.9)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])))


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(10.0)
    whole = mean_interval(values, resamples=1000)
    monkeypatch.setattr(statistics, "_CHUNK_DRAWS", 70)
    assert mean_interval(values, resamples=1000) == whole


@pytest.mark.parametrize("seed", range(3))
def test_coverage_is_near_the_level(seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = generator.exponential(1.0, size=(200, 60))
    covered = [mean_interval(sample, resamples=500).contains(1.0) for sample in samples]
    assert 0.86 <= np.mean(covered) <= 0.99


def test_paired_ratio_by_hand() -> None:
    """A: 60 tokens in 6 s; B: 60 tokens in 12 s. (The mean of the prompts' ratios would be (1 + 2.5) / 2.)"""
    interval = paired_ratio(np.array([10, 50]), np.array([2.0, 4.0]), np.array([2.0, 10.0]))
    assert interval.estimate == pytest.approx(12 / 6)
    assert (interval.low, interval.high) == pytest.approx((1.0, 2.5))  # only the first, only the second prompt drawn
    other = paired_ratio(
        np.array([10, 50]), np.array([2.0, 4.0]), np.array([2.0, 10.0]), tokens_b_P=np.array([10, 110])
    )
    assert other.estimate == pytest.approx((60 / 6) / (120 / 12))


def test_pairing_makes_a_constant_ratio_certain() -> None:
    seconds = np.random.default_rng(1).exponential(1.0, size=30) + 0.1
    tokens = np.random.default_rng(2).integers(1, 100, size=30)
    interval = paired_ratio(tokens, seconds / 1.25, seconds)
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((1.25, 1.25, 1.25))


def test_paired_difference_is_the_mean_of_differences() -> None:
    a, b = np.array([3.0, 5.0, 9.0]), np.array([1.0, 4.0, 5.0])
    assert paired_difference(a, b) == mean_interval(a - b)
    assert paired_difference(a, b).estimate == pytest.approx(7 / 3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.integers(0, 5))
def test_intervals_are_ordered_bounded_and_deterministic(values: list[float], seed: int) -> None:
    array = np.array(values)
    interval = mean_interval(array, resamples=100, seed=seed)
    slack = 1e-9 * (1 + np.abs(array).max())
    assert array.min() - slack <= interval.low <= interval.high <= array.max() + slack
    assert interval == mean_interval(array, resamples=100, seed=seed)


def test_verdict_is_undecided_when_the_interval_includes_even() -> None:
    assert verdict(Interval(0.2, 0.1, 0.3)) == "better"
    assert verdict(Interval(-0.2, -0.3, -0.1)) == "worse"
    assert verdict(Interval(0.2, 0.0, 0.3)) == "undecided"
    assert verdict(Interval(1.02, 0.99, 1.05), even=1.0) == "undecided"
    assert verdict(Interval(1.02, 1.01, 1.05), even=1.0) == "better"


def test_an_interval_reads() -> None:
    interval = Interval(1.234567, 1.1, 1.4)
    assert str(interval) == "1.235 [1.100, 1.400]"
    assert interval.half_width == pytest.approx(0.15)


def test_what_cannot_be_averaged() -> None:
    with pytest.raises(ValueError, match="one at least"):
        mean_interval(np.array([], dtype=np.float64))
    with pytest.raises(ValueError, match="not finite"):
        mean_interval(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="confidence level"):
        mean_interval(np.array([1.0, 2.0]), level=95.0)
    with pytest.raises(ValueError, match="positive tokens and seconds"):
        paired_ratio(np.array([1.0, 0.0]), np.ones(2), np.ones(2))
