"""Do the calibrations allow what their papers allow, and do their promises hold on fresh cases?"""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from trimtab.maths.risk import binomial_cdf, conformal, learn_then_test


def test_conformal_by_hand() -> None:
    # nine cases: bounds (0 + 1) / 10, (1 + 1) / 10, (3 + 1) / 10
    losses = np.zeros((3, 9))
    losses[1, 0] = losses[2, 1] = losses[2, 2] = 1
    losses[2, 0] = 0  # falls again: case 0 has failed under a stricter setting and counts
    assert [conformal(losses, delta) for delta in (0.05, 0.1, 0.2, 0.39, 0.4)] == [None, 0, 1, 1, 2]


def test_the_binomial_is_the_naive_sum() -> None:
    naive = [sum(comb(12, j) * 0.3**j * 0.7 ** (12 - j) for j in range(k + 1)) for k in range(13)]
    np.testing.assert_allclose(binomial_cdf(np.arange(13), 12, 0.3), naive, rtol=1e-10)


def test_testing_stops_at_the_first_setting_not_shown_safe() -> None:
    losses = np.zeros((4, 50))
    losses[1, :10] = 1  # a fifth fails: not shown to be below a tenth, and what comes after is not looked at
    assert learn_then_test(losses, 0.1, 0.1) == 0
    assert learn_then_test(losses[:1, :20], 0.1, 0.1) is None  # 0.9 ** 20 = 0.12
    assert learn_then_test(losses[[0, 0, 0]], 0.1, 0.1) == 2


def _losses(rng: np.random.Generator, cases: int) -> np.ndarray:
    """A rule among options: laxer settings fail more often, but not always where stricter ones did."""
    risk_S = np.linspace(0.0, 0.3, 16)
    return (rng.random((16, cases)) < risk_S[:, None]).astype(float)


def test_promises_hold_on_fresh_cases() -> None:
    rng, risk_S = np.random.default_rng(0), np.linspace(0.0, 0.3, 16)
    expected, broken, used = 0.0, 0, 0
    for _ in range(300):
        losses = _losses(rng, 100)
        place = conformal(losses, 0.1)
        expected += 0.0 if place is None else risk_S[place]
        tested = learn_then_test(losses, 0.1, 0.1)
        broken += tested is not None and risk_S[tested] > 0.1
        used += tested is not None and tested > 0
    assert expected / 300 <= 0.1
    assert broken / 300 <= 0.1 + 3 * (0.09 / 300) ** 0.5
    assert used > 200  # and the promise is not kept by never daring


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"delta 1.0: expected"):
        conformal(np.zeros((1, 3)), 1.0)
    with pytest.raises(ValueError, match="every loss from 0 to 1"):
        conformal(np.full((1, 3), 2.0), 0.1)
    with pytest.raises(ValueError, match="losses of 0 and 1"):
        learn_then_test(np.full((1, 3), 0.5), 0.1)
