"""Are returns and advantages what a hand, an identity and a naive double loop compute?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.maths.advantages import discounted_returns, gae, temporal_differences


def test_returns_by_hand() -> None:
    np.testing.assert_allclose(discounted_returns(np.array([1.0, 2.0, 4.0]), 0.5), [3.0, 4.0, 4.0])
    assert discounted_returns(np.array([]), 0.5).shape == (0,)


def test_gae_by_hand() -> None:
    rewards, values = np.array([1.0, 0.0]), np.array([0.5, 2.0])
    # deltas: 1 + 0.5 * 2 - 0.5 = 1.5 and 0 + 0.5 * 4 - 2 = 0; A_0 = 1.5 + 0.25 * 0
    np.testing.assert_allclose(gae(rewards, values, discount=0.5, decay=0.5, last_value=4.0), [1.5, 0.0])
    # without what follows: deltas 1.5 and -2; A_0 = 1.5 - 0.25 * 2
    np.testing.assert_allclose(gae(rewards, values, discount=0.5, decay=0.5), [1.0, -2.0])


episodes = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.floats(-10, 10), min_size=n, max_size=n).map(np.array)] * 2)
)


@given(episodes, st.floats(0, 1), st.floats(0, 1), st.floats(-10, 10))
def test_gae_equals_its_definition(
    episode: tuple[np.ndarray, np.ndarray], discount: float, decay: float, last_value: float
) -> None:
    rewards, values = episode
    following = [*values[1:], last_value]
    deltas = [r + discount * after - v for r, v, after in zip(rewards, values, following, strict=True)]
    naive = [sum((discount * decay) ** (u - t) * deltas[u] for u in range(t, len(deltas))) for t in range(len(deltas))]
    got = gae(rewards, values, discount=discount, decay=decay, last_value=last_value)
    np.testing.assert_allclose(got, naive, atol=1e-9)


@given(episodes, st.floats(0, 1))
def test_the_ends_of_lambda(episode: tuple[np.ndarray, np.ndarray], discount: float) -> None:
    """lambda 0 is the TD residual (eq. 17), lambda 1 the return less the value (eq. 18)."""
    rewards, values = episode
    np.testing.assert_allclose(
        gae(rewards, values, discount=discount, decay=0.0), temporal_differences(rewards, values, discount), atol=1e-9
    )
    np.testing.assert_allclose(
        gae(rewards, values, discount=discount, decay=1.0), discounted_returns(rewards, discount) - values, atol=1e-9
    )


def test_shapes_are_checked() -> None:
    with pytest.raises(Exception, match="values_T"):
        temporal_differences(np.ones(3), np.ones(2), 0.9)
