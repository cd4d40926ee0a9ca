"""Do the bandits compute what their papers say, find the best action where it is known, and go on after a restore?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.play import play
from trimtab.policies.bandit import Bandit
from trimtab.policies.exp3 import EXP3
from trimtab.policies.linear import LinearThompson, LinUCB, Ridges, intercepted
from trimtab.policies.neural_linear import NeuralLinear
from trimtab.policies.neural_ucb import NeuralUCB
from trimtab.policies.ucb1 import UCB1
from trimtab.policies.uniform import Uniform
from trimtab.testing import check_policy
from trimtab.types import Choice, Grade, Step

ACTIONS = ["left", "middle", "right"]
NEURAL = NeuralUCB(width=16, exploration=0.3, ridge=0.1, train_every=48, steps=600, memory=200)
SMALL = NeuralLinear(hidden=(16, 8), train_every=64, steps=20, batch_size=64)
BUILDERS: dict[str, Callable[[], Bandit[str]]] = {
    "ucb1": lambda: UCB1(0.5).build(ACTIONS, 2),
    "exp3": lambda: EXP3(0.2, -1.0, 2.0).build(ACTIONS, 2, seed=1),
    "linucb": lambda: LinUCB(0.5).build(ACTIONS, 2),
    "lin-ts": lambda: LinearThompson(0.5).build(ACTIONS, 2, seed=1),
    "neural-linear": lambda: SMALL.build(ACTIONS, 2, seed=1),
    "neural-linear-ucb": lambda: replace(SMALL, rule="ucb", rate=0.1).build(ACTIONS, 2, seed=1),
    "neural-ucb": lambda: NEURAL.build(ACTIONS, 2, seed=1),
    "neural-ucb-full": lambda: replace(NEURAL, covariance="full").build(ACTIONS, 2, seed=1),
    "neural-ucb-theta0": lambda: replace(NEURAL, start="theta0", steps=3000).build(ACTIONS, 2, seed=1),
    "neural-ts": lambda: replace(NEURAL, rule="ts").build(ACTIONS, 2, seed=1),
}
CONTEXTUAL = [name for name in BUILDERS if name not in ("ucb1", "exp3")]


def _reward(contexts_BF: np.ndarray, columns_B: np.ndarray) -> np.ndarray:
    """Left pays for a negative first feature, right for a positive one; middle pays a little always."""
    return np.choose(columns_B, [-contexts_BF[:, 0], np.full(len(contexts_BF), 0.1), contexts_BF[:, 0]])


def _train(bandit: Bandit[Any], rounds: int, seed: int = 0, bonus_A: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        contexts = rng.standard_normal((8, 2))
        columns = bandit.choose(contexts)
        noise = 0.1 * rng.standard_normal(8)
        bandit.observe(contexts, columns, _reward(contexts, columns) + np.array(bonus_A)[columns] + noise)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_contract_of_policies_is_kept(name: str) -> None:
    rng = np.random.default_rng(0)
    contexts = list(rng.standard_normal((5, 2)))
    steps = [Step("t", c, Choice("right"), None, Grade(1.0)) for c in contexts]
    check_policy(BUILDERS[name](), contexts, actions=ACTIONS, episodes=[steps, []])


@pytest.mark.parametrize("name", CONTEXTUAL)
def test_the_best_action_of_each_context_is_found(name: str) -> None:
    bandit = BUILDERS[name]()
    _train(bandit, 150)
    contexts = np.random.default_rng(9).standard_normal((200, 2))
    clear = np.abs(contexts[:, 0]) > 0.3
    wanted = np.where(contexts[:, 0] > 0, 2, 0)
    chosen = bandit.mlp().scores(contexts.astype(np.float32)).argmax(axis=1)
    assert (chosen == wanted)[clear].mean() > 0.97


@pytest.mark.parametrize("name", ["ucb1", "exp3"])
def test_the_best_action_on_average_is_found(name: str) -> None:
    bandit = BUILDERS[name]()
    _train(bandit, 400, bonus_A=(0.0, 0.5, 0.0))
    assert bandit.mlp().scores(np.zeros((1, 2))).argmax() == 1  # on average the others bring nothing
    assert (bandit.choose(np.zeros((300, 2))) == 1).mean() > 0.5


@pytest.mark.parametrize("name", BUILDERS)
def test_a_restored_bandit_goes_on_to_the_same_numbers(name: str) -> None:
    whole, resumed = BUILDERS[name](), BUILDERS[name]()
    _train(whole, 30)
    resumed.restore({k: v.copy() for k, v in whole.arrays().items()}, whole.state())
    for bandit in (whole, resumed):
        _train(bandit, 30, seed=5)
    expected, given = whole.arrays(), resumed.arrays()
    assert set(expected) == set(given)
    for key, array in expected.items():
        np.testing.assert_array_equal(array, given[key], err_msg=key)


def test_linucb_by_hand() -> None:
    # one feature and the intercept; left was played once at x = 1 and brought 3; M = I + [1 1; 1 1], b = (3, 3)
    bandit = LinUCB(exploration=2.0).build(["left", "right"], 1)
    bandit.observe(np.array([[1.0]]), np.array([0]), np.array([3.0]))
    np.testing.assert_allclose(bandit.ridges.inverse_AFF[0], np.array([[2.0, -1.0], [-1.0, 2.0]]) / 3)
    np.testing.assert_allclose(bandit.ridges.coefficients_AF, [[1.0, 1.0], [0.0, 0.0]])
    x = intercepted(np.array([[1.0]]))
    np.testing.assert_allclose(bandit.ridges.means(x), [[2.0, 0.0]])
    np.testing.assert_allclose(bandit.ridges.deviations(x), [[np.sqrt(2 / 3), np.sqrt(2)]])
    # bounds: left 2 + 2 * 0.816 = 3.63, right 0 + 2 * 1.414 = 2.83
    assert bandit.act([np.array([1.0])]) == [Choice("left")]
    # at x = -3 left's mean is -2: -2 + 2 sqrt((9*2 + 6 + 2)/3) = 3.89 against 2 sqrt(10) = 6.32
    assert bandit.choose(np.array([[-3.0]])).tolist() == [1]


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.1, 5.0))
@settings(max_examples=25, deadline=None)
def test_sherman_and_morrison_invert_as_the_naive_way(seed: int, rounds: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    ridges = Ridges(2, 4, ridge)
    contexts, columns, rewards = rng.standard_normal((rounds, 4)), rng.integers(2, size=rounds), rng.random(rounds)
    for x, column, reward in zip(contexts, columns, rewards, strict=True):
        ridges.observe(int(column), x, float(reward))
    for action in range(2):
        mine = contexts[columns == action]
        precision = ridge * np.eye(4) + mine.T @ mine
        np.testing.assert_allclose(ridges.inverse_AFF[action], np.linalg.inv(precision), atol=1e-9)
        solved = np.linalg.solve(precision, mine.T @ rewards[columns == action])
        np.testing.assert_allclose(ridges.coefficients_AF[action], solved, atol=1e-9)


def test_linear_draws_have_the_posterior_they_should() -> None:
    bandit = LinearThompson(exploration=0.7).build(ACTIONS[:2], 1, seed=3)
    bandit.observe(np.array([[1.0]]), np.array([0]), np.array([3.0]))
    share = (bandit.choose(np.ones((20_000, 1))) == 0).mean()
    # the difference of two draws at x = 1: mean 2, variance 0.49 (2/3 + 2)
    assert share == pytest.approx(NormalDist().cdf(2 / (0.7 * np.sqrt(8 / 3))), abs=0.01)


def test_ucb1_by_hand() -> None:
    bandit = UCB1(1.0).build(["a", "b"])
    assert [c.action for c in bandit.act([np.empty(0)] * 2)] == ["a", "b"]  # each once first
    bandit.observe(np.empty((4, 0)), np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 0.4]))
    # a: 1 + sqrt(2 ln 4 / 3) = 1.96; b: 0.4 + sqrt(2 ln 4 / 1) = 2.07
    assert bandit.act([np.empty(0)])[0].action == "b"
    bandit.observe(np.empty((1, 0)), np.array([1]), np.array([0.4]))
    # a: 1 + sqrt(2 ln 5 / 3) = 2.04; b: 0.4 + sqrt(2 ln 5 / 2) = 1.67
    assert bandit.act([np.empty(0)])[0].action == "a"


def test_exp3_by_hand() -> None:
    bandit = EXP3(exploration=0.5, low=0.0, high=2.0).build(["a", "b"])
    np.testing.assert_allclose(bandit.probabilities_A, [0.5, 0.5])
    bandit.observe(np.empty((1, 0)), np.array([1]), np.array([1.0]))  # half of the range, over probability a half: 1
    np.testing.assert_allclose(bandit.logweights_A, [0.0, 0.5 * 1.0 / 2])
    weights = np.exp([0.0, 0.25])
    np.testing.assert_allclose(bandit.probabilities_A, 0.5 * weights / weights.sum() + 0.25)
    (choice,) = bandit.act([np.empty(0)])
    assert choice.logprob == pytest.approx(np.log(bandit.probabilities_A[["a", "b"].index(choice.action)]))


def test_neural_linear_posteriors_are_bayesian_regressions() -> None:
    bandit = NeuralLinear(hidden=(3,), ridge=2.0, shape=4.0, rate=5.0, train_every=10**6).build(["a"], 2, seed=0)
    rng = np.random.default_rng(0)
    contexts, rewards = rng.standard_normal((20, 2)), rng.standard_normal(20)
    bandit.observe(contexts, np.zeros(20, dtype=int), rewards)
    bandit._refresh()
    weight, bias = bandit.network[0].weight.detach().numpy(), bandit.network[0].bias.detach().numpy()
    z = np.column_stack((np.tanh(contexts @ weight.T + bias), np.ones(20)))
    precision = z.T @ z + 2 * np.eye(4)
    mean = np.linalg.solve(precision, z.T @ rewards)
    posterior = bandit.posterior
    np.testing.assert_allclose(posterior.means_AZ[0], mean, atol=1e-5)
    np.testing.assert_allclose(posterior.covariance_AZZ[0], np.linalg.inv(precision), atol=1e-5)
    assert posterior.a_A[0] == 14.0
    residual = ((rewards - z @ mean) ** 2).sum() + 2 * (mean**2).sum()
    assert posterior.b_A[0] == pytest.approx(5 + residual / 2, rel=1e-5)
    np.testing.assert_allclose(bandit.mlp().scores(contexts.astype(np.float32))[:, 0], z @ mean, atol=1e-5)


def test_neural_linear_bounds_are_the_mean_and_the_expected_deviation() -> None:
    bandit = replace(SMALL, rule="ucb", exploration=2.0, train_every=10**6).build(["a", "b"], 2, seed=0)
    rng = np.random.default_rng(0)
    bandit.observe(rng.standard_normal((30, 2)), rng.integers(2, size=30), rng.standard_normal(30))
    bandit._refresh()
    asked, posterior = rng.standard_normal((5, 2)), bandit.posterior
    z = bandit._regressors(asked)
    expected = np.empty((5, 2))
    for row in range(5):
        for arm in range(2):
            noise = posterior.b_A[arm] / (posterior.a_A[arm] - 1)  # the mean of an inverse gamma
            expected[row, arm] = np.sqrt(noise * z[row] @ posterior.covariance_AZZ[arm] @ z[row])
    np.testing.assert_allclose(bandit.deviations(asked), expected, rtol=1e-6)
    bounds = z @ posterior.means_AZ.T + 2.0 * expected
    assert bandit.choose(asked).tolist() == bounds.argmax(axis=1).tolist()


@dataclass
class _Pull:
    """An episode of one round."""

    context: np.ndarray
    task: str = "pull"
    done: bool = False

    def start(self) -> np.ndarray:
        return self.context

    def step(self, action: str, /) -> tuple[float, None]:
        assert not self.done
        self.done = True
        return float(_reward(self.context[None], np.array([ACTIONS.index(action)]))[0]), None


def test_playing_and_updating_is_all_it_takes() -> None:
    bandit, rng = LinUCB(0.5).build(ACTIONS, 2), np.random.default_rng(0)
    metrics: list[float] = []
    for _ in range(40):
        pulls = [_Pull(context) for context in rng.standard_normal((8, 2))]
        metrics.append(bandit.update(play(pulls, bandit, lambda outcomes: [Grade(o) for o in outcomes]))["reward"])
    assert np.mean(metrics[:5]) < 0.7
    assert np.mean(metrics[-10:]) > 0.75  # the best there is: the mean of max(|x|, 0.1), 0.80


def test_chance_plays_every_action_alike_and_goes_on_after_a_restore() -> None:
    chance, resumed = Uniform(ACTIONS, 2, seed=1), Uniform(ACTIONS, 2, seed=2)
    shares = np.bincount(chance.choose(np.zeros((30_000, 2))), minlength=3) / 30_000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.01)
    resumed.restore(chance.arrays(), chance.state())
    np.testing.assert_array_equal(chance.choose(np.zeros((50, 2))), resumed.choose(np.zeros((50, 2))))


def test_what_cannot_be_is_refused() -> None:
    for broken in (lambda: UCB1(-1), lambda: EXP3(0.0), lambda: EXP3(low=1.0, high=1.0), lambda: LinUCB(ridge=0.0)):
        with pytest.raises(ValueError, match="expected"):
            broken()
    with pytest.raises(ValueError, match="at least one action"):
        LinUCB().build([], 2)
    with pytest.raises(ValueError, match="made for 2 features"):
        LinUCB().build(ACTIONS, 2).act([np.zeros(3)])
    with pytest.raises(ValueError, match="hidden layer"):
        NeuralLinear(hidden=())
    with pytest.raises(ValueError, match="expected ts or ucb"):
        replace(NeuralLinear(), rule="other")
