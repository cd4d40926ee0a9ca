"""Do the estimators say what they should? Identities, and unbiasedness by enumerating a small decision process."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.maths import offpolicy

MU = np.array([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3]])
"""The logger at each of three states; the state after action a is (state + 1 + a) mod 3."""
PI = np.array([[0.9, 0.1], [0.5, 0.5], [0.05, 0.95]])
REWARD = np.array([[1.0, 3.0], [2.0, 0.5], [-1.0, 4.0]])
STEPS = 4


def _after(state: int, action: int) -> int:
    return (state + 1 + action) % 3


def _values(policy: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Q [T, S, A] and V [T, S] of the process by backward induction, Q with errors of size ``noise``."""
    rng = np.random.default_rng(0)
    q, v = np.zeros((STEPS, 3, 2)), np.zeros((STEPS + 1, 3))
    for step, state, action in itertools.product(range(STEPS - 1, -1, -1), range(3), range(2)):
        q[step, state, action] = REWARD[state, action] + v[step + 1, _after(state, action)]
        v[step, state] = policy[state] @ q[step, state]
    q += noise * rng.standard_normal(q.shape)
    return q, np.einsum("tsa,sa->ts", q, policy)


def _visits(policy: np.ndarray) -> np.ndarray:
    """Chances [T, S] of being in each state."""
    d = np.zeros((STEPS, 3))
    d[0, 0] = 1.0
    for step, state, action in itertools.product(range(STEPS - 1), range(3), range(2)):
        d[step + 1, _after(state, action)] += d[step, state] * policy[state, action]
    return d


def _all_trajectories() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States [N, T], actions [N, T] of every trajectory from state 0, and its chance under the logger [N]."""
    actions = np.array(list(itertools.product(range(2), repeat=STEPS)))
    states = np.zeros_like(actions)
    for step in range(1, STEPS):
        states[:, step] = (states[:, step - 1] + 1 + actions[:, step - 1]) % 3
    return states, actions, MU[states, actions].prod(axis=1)


def _estimates(noise: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    states, actions, chance_N = _all_trajectories()
    rewards, ratios = REWARD[states, actions], PI[states, actions] / MU[states, actions]
    q, v = _values(PI, noise)
    steps = np.arange(STEPS)
    q_NT, v_NT = q[steps, states, actions], v[steps, states]
    visits_NT = (_visits(PI) / np.maximum(_visits(MU), 1e-12))[steps, states]
    made = {
        "is": offpolicy.importance_sampling(rewards, ratios),
        "pdis": offpolicy.per_decision(rewards, ratios),
        "dr": offpolicy.doubly_robust(rewards, ratios, q_NT, v_NT),
        "mdr": offpolicy.marginal_doubly_robust(rewards, ratios, visits_NT, q_NT, v_NT),
    }
    return made, chance_N


@pytest.mark.parametrize("name", ["is", "pdis", "dr", "mdr"])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_unbiased_by_enumeration_whatever_the_model(name: str, noise: float) -> None:
    made, chance_N = _estimates(noise)
    truth = _values(PI)[1][0, 0]
    assert chance_N @ made[name] == pytest.approx(truth)


def test_an_exact_model_leaves_no_variance() -> None:
    made, _ = _estimates(0.0)
    for name in ("dr", "mdr"):
        np.testing.assert_allclose(made[name], made[name][0])
    assert made["pdis"].std() > 1


def test_a_fair_model_takes_most_of_the_variance() -> None:
    made, chance_N = _estimates(0.3)
    spread = {name: chance_N @ (values - chance_N @ values) ** 2 for name, values in made.items()}
    assert 10 * max(spread["mdr"], spread["dr"]) < spread["pdis"] < spread["is"]


Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]


@pytest.mark.parametrize(
    "estimator", [offpolicy.importance_sampling, offpolicy.per_decision, offpolicy.weighted_per_decision]
)
@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=6))
def test_equal_policies_return_what_was_seen(estimator: Estimator, rewards: list[list[float]]) -> None:
    rewards_NT = np.array(rewards)
    np.testing.assert_allclose(estimator(rewards_NT, np.ones_like(rewards_NT)), rewards_NT.sum(axis=1), atol=1e-12)


@given(st.integers(0, 1000))
def test_without_a_model_doubly_robust_is_per_decision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rewards, ratios = rng.standard_normal((5, 4)), rng.random((5, 4)) * 2
    nothing = np.zeros((5, 4))
    np.testing.assert_allclose(
        offpolicy.doubly_robust(rewards, ratios, nothing, nothing), offpolicy.per_decision(rewards, ratios)
    )
    past = np.concatenate((np.ones((5, 1)), offpolicy.cumulative_ratios(ratios)[:, :-1]), axis=1)
    q, v = rng.standard_normal((2, 5, 4))
    np.testing.assert_allclose(  # the products over the past are one choice of the visits' ratios
        offpolicy.marginal_doubly_robust(rewards, ratios, past, q, v), offpolicy.doubly_robust(rewards, ratios, q, v)
    )


def test_worked_by_hand() -> None:
    rewards, ratios = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 0.5], [0.5, 3.0]])
    np.testing.assert_allclose(offpolicy.importance_sampling(rewards, ratios), [3.0, 10.5])
    np.testing.assert_allclose(offpolicy.per_decision(rewards, ratios), [4.0, 7.5])
    # weights (2, 1) and (0.5, 1.5): means 1.25 and 1.25
    np.testing.assert_allclose(offpolicy.weighted_per_decision(rewards, ratios), [3.2, 6.0])


def test_weights_that_vanish_are_refused() -> None:
    with pytest.raises(ValueError, match="for 2 steps on end"):
        offpolicy.weighted_per_decision(np.ones((2, 2)), np.array([[1.0, 0.0], [0.0, 1.0]]))


def test_looking_back() -> None:
    visits, ratios = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 2.0, 9.0]])
    np.testing.assert_allclose(offpolicy.looking_back(visits, ratios, 0.0), visits)
    np.testing.assert_allclose(offpolicy.looking_back(visits, ratios, 1.0), [[1.0, 0.5, 4.0]])
    np.testing.assert_allclose(offpolicy.looking_back(visits, ratios, 0.5), [[1.0, 1.25, 3.5]])


def test_looking_back_keeps_right_visits_right() -> None:
    states, actions, chance_N = _all_trajectories()
    ratios = PI[states, actions] / MU[states, actions]
    visits = (_visits(PI) / np.maximum(_visits(MU), 1e-12))[np.arange(STEPS), states]
    q, v = _values(PI, 2.0)
    q_NT, v_NT = q[np.arange(STEPS), states, actions], v[np.arange(STEPS), states]
    back = offpolicy.looking_back(visits, ratios, 0.7)
    made = offpolicy.marginal_doubly_robust(REWARD[states, actions], ratios, back, q_NT, v_NT)
    assert chance_N @ made == pytest.approx(_values(PI)[1][0, 0])


def test_corrections_within_their_noise_are_not_made() -> None:
    assert offpolicy.blend_share(1.0, 2.0) == offpolicy.blend_share(0.0, 0.0) == 0
    assert offpolicy.blend_share(-2.0, 1.0) == pytest.approx(0.75)
    assert offpolicy.blend_share(3.0, 0.0) == 1


def test_effective_size() -> None:
    assert offpolicy.effective_size(np.ones(7)) == pytest.approx(7)
    assert offpolicy.effective_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert offpolicy.effective_size(np.zeros(3)) == 0
