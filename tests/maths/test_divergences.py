"""Do the estimators of KL agree with the exact one, and does the controller steer as it should?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.maths.distributions import kl_divergence, log_softmax
from trimtab.maths.divergences import adapted_coefficient, k1, k2, k3


def test_by_hand() -> None:
    ratio = np.log(np.array([2.0, 0.5]))
    np.testing.assert_allclose(k1(ratio), [np.log(2), -np.log(2)])
    np.testing.assert_allclose(k2(ratio), np.full(2, np.log(2) ** 2 / 2))
    np.testing.assert_allclose(k3(ratio), [0.5 - 1 + np.log(2), 2 - 1 - np.log(2)])


logits = st.lists(st.floats(-3, 3), min_size=4, max_size=4).map(np.array)


@given(logits, logits)
def test_k1_and_k3_are_unbiased_and_k3_is_never_negative(p: np.ndarray, q: np.ndarray) -> None:
    logprobs = log_softmax(p)
    ratio, chances = logprobs - log_softmax(q), np.exp(logprobs)
    exact = float(kl_divergence(p, q))
    assert (chances * k1(ratio)).sum() == pytest.approx(exact, abs=1e-9)
    assert (chances * k3(ratio)).sum() == pytest.approx(exact, abs=1e-9)
    assert k3(ratio).min() >= -1e-12
    assert k2(ratio).min() >= 0


def test_k2_is_right_near_the_reference() -> None:
    p, q = np.array([0.0, 0.01, -0.02]), np.zeros(3)
    logprobs = log_softmax(p)
    ratio = logprobs - log_softmax(q)
    assert (np.exp(logprobs) * k2(ratio)).sum() == pytest.approx(float(kl_divergence(p, q)), rel=0.02)


def test_the_controller_by_hand() -> None:
    # twice the target: the error is held at 0.2; 100 of 1000 replies: a tenth of it
    assert adapted_coefficient(0.5, 12.0, target=6.0, samples=100, horizon=1000.0) == pytest.approx(0.5 * 1.02)
    assert adapted_coefficient(0.5, 0.0, target=6.0, samples=100, horizon=1000.0) == pytest.approx(0.5 * 0.98)
    assert adapted_coefficient(0.5, 6.6, target=6.0, samples=100, horizon=100.0) == pytest.approx(0.5 * 1.1)
    assert adapted_coefficient(0.5, 6.0, target=6.0, samples=100, horizon=1000.0) == pytest.approx(0.5)
    assert adapted_coefficient(0.0, 60.0, target=6.0, samples=100, horizon=100.0) == 0.0
    with pytest.raises(ValueError, match="expected both above 0"):
        adapted_coefficient(0.5, 1.0, target=0.0, samples=1, horizon=1.0)
