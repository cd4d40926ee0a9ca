"""How is an action chosen whose reward is linear in learned features of the context?

Neural linear (Riquelme, Tucker and Snoek 2018, arXiv:1802.09127, section 4): a network is trained by regression on the
rewards of the actions taken; on its last hidden layer z stands one Bayesian linear regression per action, whose
posterior (equations 1 and 2: normal weights, inverse-gamma noise) Thompson sampling draws from:

    s^2_a ~ IG(a_a, b_a),   w_a ~ N(m_a, s^2_a S_a),   argmax_a  z' w_a

or whose upper confidence bound decides: argmax_a  z' m_a + exploration sqrt(E[s^2_a] z' S_a z).

The network learns every ``train_every`` observations; the posteriors follow at once from all that is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit
from trimtab.policies.linear import intercepted
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import (
    exported,
    linear_layers,
    load_layers,
    network_of,
    optimiser_arrays,
    perceptron,
    restore_optimiser,
    under,
)

A = TypeVar("A")


@dataclass(frozen=True)
class NeuralLinear:
    """``hidden``: widths of the network's layers, the last one carries the regressions. ``ridge``: precision of the
    prior weights; ``shape`` and ``rate``: the inverse-gamma prior of the noise. ``memory``: rounds that are remembered;
    ``steps`` batches are learned every ``train_every`` rounds; ``exploration`` scales the draw (1 is the posterior), or
    the deviation in the bound, by ``rule``."""

    hidden: tuple[int, ...] = (64, 32)
    exploration: float = 1.0
    ridge: float = 1.0
    shape: float = 6.0
    rate: float = 6.0
    memory: int = 50_000
    train_every: int = 1024
    steps: int = 40
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    rule: Literal["ts", "ucb"] = "ts"

    def __post_init__(self) -> None:
        positive = (self.ridge, self.shape, self.rate, self.memory, self.train_every, self.steps, self.batch_size)
        if not self.hidden or min(positive) <= 0 or self.exploration < 0:
            raise ValueError(f"{self}: expected a hidden layer, and all numbers above 0 (exploration 0 or more)")
        if self.rule not in ("ts", "ucb"):
            raise ValueError(f"rule {self.rule!r}: expected ts or ucb")

    def build(self, actions: Sequence[A], features: int, seed: int = 0) -> NeuralLinearBandit[A]:
        """An untrained bandit over ``actions`` for contexts of ``features`` numbers."""
        return NeuralLinearBandit(actions, features, self, seed)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Bayesian linear regression of each action: mean weights, their covariance for noise 1, noise as IG(a, b)."""

    means_AZ: np.ndarray
    covariance_AZZ: np.ndarray
    a_A: np.ndarray
    b_A: np.ndarray

    @classmethod
    def of(cls, regressors_NZ: np.ndarray, columns_N: np.ndarray, rewards_N: np.ndarray, prior: _Prior) -> Posterior:
        """The posterior of all actions, given the rounds that each was played in."""
        each = [
            _regression(regressors_NZ[columns_N == k], rewards_N[columns_N == k], prior) for k in range(prior.actions)
        ]
        means, covariances, shapes, rates = zip(*each, strict=True)
        return cls(np.stack(means), np.stack(covariances), np.array(shapes), np.array(rates))

    def draw(self, regressors_BZ: np.ndarray, exploration: float, generator: np.random.Generator) -> np.ndarray:
        """z' w_a for weights drawn anew for each context, [B, A]."""
        means = regressors_BZ @ self.means_AZ.T
        noise = self.b_A / generator.gamma(self.a_A, size=means.shape)
        variance = noise * self._spread(regressors_BZ)
        return means + exploration * np.sqrt(variance) * generator.standard_normal(means.shape)

    def deviations(self, regressors_BZ: np.ndarray) -> np.ndarray:
        """sqrt(E[s^2_a] z' S_a z), [B, A]."""
        return np.sqrt(self.b_A / np.maximum(self.a_A - 1, 1e-6) * self._spread(regressors_BZ))

    def _spread(self, regressors_BZ: np.ndarray) -> np.ndarray:
        """z' S_a z, [B, A]."""
        across = np.einsum("bz,azy->bay", regressors_BZ, self.covariance_AZZ)
        return np.maximum(np.einsum("bay,by->ba", across, regressors_BZ), 0)


@dataclass(frozen=True)
class _Prior:
    actions: int
    ridge: float
    shape: float
    rate: float


def _regression(
    regressors_NZ: np.ndarray, rewards_N: np.ndarray, prior: _Prior
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Mean, covariance, a and b of one action (equations 1 and 2, with prior mean 0 and precision ``ridge``)."""
    precision = regressors_NZ.T @ regressors_NZ + prior.ridge * np.eye(regressors_NZ.shape[1])
    covariance = np.linalg.inv(precision)
    mean = covariance @ (regressors_NZ.T @ rewards_N)
    spread = rewards_N @ rewards_N - mean @ precision @ mean
    return mean, covariance, prior.shape + len(rewards_N) / 2, prior.rate + max(float(spread), 0.0) / 2


class NeuralLinearBandit(Bandit[A]):
    """A network, a memory of rounds, and the posteriors on the network's last hidden layer."""

    def __init__(self, actions: Sequence[A], features: int, settings: NeuralLinear, seed: int) -> None:
        super().__init__(actions, features)
        self.settings = settings
        self._prior = _Prior(len(self.actions), settings.ridge, settings.shape, settings.rate)
        self._generator = np.random.default_rng(seed)
        self.network = network_of(perceptron(features, settings.hidden, len(self.actions), seed))
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._contexts_NF = np.empty((0, features), dtype=np.float32)
        self._columns_N, self._rewards_N = np.empty(0, dtype=np.int64), np.empty(0)
        self._untrained = 0
        self._refresh()

    def _regressors(self, contexts_BF: np.ndarray) -> np.ndarray:
        """The last hidden layer [B, Z], with an intercept."""
        with torch.no_grad():
            hidden = self.network[:-1](torch.from_numpy(np.ascontiguousarray(contexts_BF, dtype=np.float32)))
        return intercepted(hidden.numpy())

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self._regressors(contexts_BF) @ self.posterior.means_AZ.T

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self.posterior.deviations(self._regressors(contexts_BF))

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        if self.settings.rule == "ucb":
            bounds = self.means(contexts_BF) + self.settings.exploration * self.deviations(contexts_BF)
            return bounds.argmax(axis=1)
        drawn = self.posterior.draw(self._regressors(contexts_BF), self.settings.exploration, self._generator)
        return drawn.argmax(axis=1)

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        keep = self.settings.memory
        self._contexts_NF = np.concatenate((self._contexts_NF, contexts_BF), dtype=np.float32)[-keep:]
        self._columns_N = np.concatenate((self._columns_N, columns_B))[-keep:]
        self._rewards_N = np.concatenate((self._rewards_N, rewards_B))[-keep:]
        self._untrained += len(columns_B)
        if self._untrained >= self.settings.train_every:
            self._untrained = 0
            self._train()
            self._refresh()

    def _train(self) -> None:
        """Regression on the rewards of the actions taken."""
        for _ in range(self.settings.steps):
            batch = self._generator.integers(len(self._rewards_N), size=self.settings.batch_size)
            predicted = self.network(torch.from_numpy(self._contexts_NF[batch]))
            taken = predicted.gather(1, torch.from_numpy(self._columns_N[batch])[:, None])[:, 0]
            loss = nn.functional.mse_loss(taken, torch.from_numpy(self._rewards_N[batch].astype(np.float32)))
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()

    def _refresh(self) -> None:
        """The posteriors of all that is remembered, on the network as it is."""
        regressors = self._regressors(self._contexts_NF)
        self.posterior = Posterior.of(regressors, self._columns_N, self._rewards_N, self._prior)

    def mlp(self) -> MLP:
        """The network up to its last hidden layer, and the posteriors' means on it."""
        body = exported(self.network).layers[:-1]
        weights, bias = self.posterior.means_AZ[:, :-1].T, self.posterior.means_AZ[:, -1]
        return MLP((*body, (weights.astype(np.float32), bias.astype(np.float32))))

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {f"network/{name}": array for name, array in exported(self.network).arrays().items()}
        arrays |= {f"optimiser/{name}": tensor.numpy() for name, tensor in optimiser_arrays(self._optimiser).items()}
        arrays |= {f"posterior/{name}": np.asarray(array) for name, array in vars(self.posterior).items()}
        memory = {"contexts_NF": self._contexts_NF, "columns_N": self._columns_N, "rewards_N": self._rewards_N}
        return arrays | memory

    def state(self) -> dict[str, Plain]:
        generator: Any = self._generator.bit_generator.state
        return {"generator": generator, "untrained": self._untrained}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        load_layers(linear_layers(self.network), MLP.from_arrays(under("network", arrays)))
        restore_optimiser(self._optimiser, under("optimiser", arrays))
        self.posterior = Posterior(**under("posterior", arrays))
        self._contexts_NF, self._columns_N = arrays["contexts_NF"].copy(), arrays["columns_N"].copy()
        self._rewards_N = arrays["rewards_N"].copy()
        self._untrained = state["untrained"]
        self._generator.bit_generator.state = state["generator"]
