"""Do log-probabilities, entropy and divergence keep their identities, at the ends too?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.maths.distributions import entropy, kl_divergence, log_softmax

logits = st.lists(st.floats(-50, 50), min_size=1, max_size=8).map(np.array)


def test_by_hand() -> None:
    np.testing.assert_allclose(log_softmax(np.log(np.array([1.0, 3.0]))), np.log([0.25, 0.75]))
    assert entropy(np.zeros((2, 4))) == pytest.approx(np.full(2, np.log(4)))
    p, q = np.log(np.array([0.5, 0.5])), np.log(np.array([0.25, 0.75]))
    assert kl_divergence(p, q) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_impossible_actions() -> None:
    some, all_ = np.array([0.0, 0.0, -np.inf]), np.zeros(3)
    assert entropy(some) == pytest.approx(np.log(2))
    assert kl_divergence(some, all_) == pytest.approx(np.log(1.5))
    assert kl_divergence(some, some) == pytest.approx(0.0)
    assert kl_divergence(all_, some) == np.inf


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(log_softmax(np.array([1e4, 0.0])), [0.0, -1e4])


@given(logits, st.floats(-100, 100))
def test_identities(x: np.ndarray, shift: float) -> None:
    assert np.exp(log_softmax(x)).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(log_softmax(x + shift), log_softmax(x), atol=1e-9)
    assert -1e-9 <= entropy(x) <= np.log(len(x)) + 1e-9
    uniform = np.zeros_like(x)
    assert kl_divergence(x, uniform) == pytest.approx(np.log(len(x)) - entropy(x), abs=1e-9)
