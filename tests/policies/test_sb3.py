"""Do PPO and DQN find the optimum where it is known, in both modes, and is the MultiDiscrete actor what it says?"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from trimtab.checkpoints import Checkpoints
from trimtab.policies.dqn import DQNSettings, build_dqn, train_dqn
from trimtab.policies.factored import FactoredActorCritic, FactoredCategorical, bins_of, expanded
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import exported, network_of, perceptron
from trimtab.policies.sb3 import PPOSettings, build_ppo, export_mlp, train_ppo

DISCOUNT, LENGTH = 0.9, 20


class TwoStates(gymnasium.Env[np.ndarray, np.int64]):
    """Stay or move. Staying in the first state pays 0.2, in the second 1; moving costs 0.5: worth it, but not at once."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)  # type: ignore[assignment]
        self.state, self.left = 0, LENGTH

    def _seen(self) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[self.state]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.left = int(self.np_random.integers(2)), LENGTH
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = -0.5 if action else (0.2, 1.0)[self.state]
        self.state, self.left = (1 - self.state if action else self.state), self.left - 1
        return self._seen(), reward, self.left == 0, False, {}


def _env() -> DummyVecEnv:
    return DummyVecEnv([TwoStates] * 8)


def _best(mlp: MLP) -> list[int]:
    """Greedy actions in the two states."""
    return mlp.scores(np.eye(2, dtype=np.float32)).argmax(axis=1).tolist()


QUICK = DQNSettings(
    updates=30, rollout_steps=8, gradient_steps=16, batch_size=64, warm_up=256, target_every=256, hidden=(16,)
)


def test_ppo_finds_the_way_to_the_better_state() -> None:
    settings = PPOSettings(
        updates=25, rollout_steps=32, batch_size=64, hidden=(16,), learning_rate=3e-3, target_kl=None
    )
    assert _best(export_mlp(train_ppo(_env(), settings))) == [1, 0]


def test_dqn_finds_it_too_and_values_it_right() -> None:
    mlp = train_dqn(_env(), replace(QUICK, updates=80))
    assert _best(mlp) == [1, 0]
    # averaged over an unknown time to go, staying in the second state is worth up to 1 / (1 - 0.9)
    values = mlp.scores(np.eye(2, dtype=np.float32))
    assert 4 < values[1, 0] < 10
    assert values[1, 0] > values[0, 1] > values[0, 0]


def test_soft_q_learning_is_a_policy_of_its_temperature() -> None:
    """A bandit of one round: soft values are the rewards, and the policy is their softmax over the temperature."""

    class OneRound(TwoStates):
        def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            return self._seen(), (0.2, 0.6)[int(action)], True, False, {}

    env, temperature = DummyVecEnv([OneRound] * 8), 0.4
    mlp = train_dqn(env, replace(QUICK, updates=60, entropy=temperature))
    scores = mlp.scores(np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], 0.4 / temperature, atol=0.1)


def test_soft_values_are_the_log_sum() -> None:
    model = build_dqn(_env(), replace(QUICK, entropy=0.5), seed=0)
    states = torch.eye(2)
    values = model.q_net_target(states).detach().numpy().astype(np.float64)
    np.testing.assert_allclose(
        model._next_values(states).detach().numpy()[:, 0], 0.5 * np.log(np.exp(values / 0.5).sum(axis=1)), rtol=1e-5
    )


def test_exploration_tosses_a_coin_for_every_decode() -> None:
    model = build_dqn(_env(), QUICK, seed=0)
    states = np.tile(np.eye(2, dtype=np.float32)[:1], (4000, 1))
    model.exploration_rate = 0.5
    greedy, _ = model.predict(states, deterministic=True)
    chosen, _ = model.predict(states)
    assert (chosen != greedy).mean() == pytest.approx(0.25, abs=0.03)  # half explore, half of these meet another action


# -- MultiDiscrete ----------------------------------------------------------------------------------------------------

COMBINATIONS = [(2, 1), (2, 3), (5, 1), (9, 3)]  # (5, 3) and (9, 1) do not exist


def _logits(rows: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 5)).astype(np.float32)  # bins 2, 5, 9 and 1, 3


def test_a_combination_weighs_the_sum_of_its_bins() -> None:
    bins = bins_of(COMBINATIONS)
    np.testing.assert_array_equal(bins, [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


def test_masked_combinations_are_the_product_of_bins_given_that_they_exist() -> None:
    bins, logits = bins_of(COMBINATIONS), _logits()
    distribution = FactoredCategorical(bins).proba_distribution(torch.from_numpy(logits)).distribution
    for row, probabilities in zip(logits.astype(np.float64), distribution.probs.numpy(), strict=True):
        totals, widths = np.exp(row[:3]) / np.exp(row[:3]).sum(), np.exp(row[3:]) / np.exp(row[3:]).sum()
        joint = {
            (t, k): totals[i] * widths[j]
            for (i, t), (j, k) in itertools.product(enumerate((2, 5, 9)), enumerate((1, 3)))
        }
        existing = np.array([joint[combination] for combination in COMBINATIONS])
        np.testing.assert_allclose(probabilities, existing / existing.sum(), rtol=1e-5)


def test_without_impossible_ones_it_is_sb3s_own_multidiscrete() -> None:
    from stable_baselines3.common.distributions import MultiCategoricalDistribution

    everything, logits = list(itertools.product((2, 5, 9), (1, 3))), torch.from_numpy(_logits())
    ours = FactoredCategorical(bins_of(everything)).proba_distribution(logits)
    theirs = MultiCategoricalDistribution([3, 2]).proba_distribution(logits)
    pairs = torch.tensor(list(itertools.product(range(3), range(2))))
    for column, pair in enumerate(pairs):
        expected = theirs.log_prob(pair.expand(len(logits), 2))
        torch.testing.assert_close(ours.log_prob(torch.full((len(logits),), column)), expected)
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_the_exported_network_acts_as_the_factored_actor() -> None:
    class Four(TwoStates):
        def __init__(self) -> None:
            super().__init__()
            self.action_space = spaces.Discrete(4)  # type: ignore[assignment]

    bins = bins_of(COMBINATIONS)
    model = build_ppo(DummyVecEnv([Four] * 2), PPOSettings(hidden=(8,), batch_size=64), 0, bins)
    assert isinstance(model.policy, FactoredActorCritic)
    states = np.random.default_rng(1).standard_normal((50, 2)).astype(np.float32)
    mlp = export_mlp(model.policy, bins)
    assert mlp.outputs == 4
    distribution: Any = model.policy.get_distribution(torch.from_numpy(states)).distribution
    softmax = torch.softmax(torch.from_numpy(mlp.scores(states)), dim=1)
    torch.testing.assert_close(distribution.probs, softmax, rtol=1e-4, atol=1e-6)
    assert expanded(export_mlp(model.policy), None).outputs == 5
    with pytest.raises(ValueError, match="combinations of shape"):
        bins_of([])


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_networks_travel_both_ways() -> None:
    mlp = perceptron(3, (5, 4), 2, seed=1)
    states = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(network_of(mlp)(torch.from_numpy(states)).numpy(), mlp.scores(states), atol=1e-6)
    for (weight, bias), (twin, other) in zip(mlp.layers, exported(network_of(mlp)).layers, strict=True):
        np.testing.assert_array_equal(weight, twin)
        np.testing.assert_array_equal(bias, other)


def test_a_schedule_is_part_of_what_is_resumed(tmp_path: Path) -> None:
    class Env(DummyVecEnv):
        """With nothing to remember: it begins anew."""

        def arrays(self) -> dict[str, np.ndarray]:
            return {}

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, _arrays: Any, _state: Any) -> Any:
            return self.reset()

    (tmp_path / "c").mkdir()
    store = Checkpoints(tmp_path / "c", keep=2)
    train_dqn(Env([TwoStates] * 8), replace(QUICK, updates=2), checkpoints=store)
    with pytest.raises(ValueError, match=r"other settings \(updates\)"):
        train_dqn(Env([TwoStates] * 8), replace(QUICK, updates=4), checkpoints=store)
    with pytest.raises(ValueError, match="expected entropy"):
        DQNSettings(entropy=-1)
