"""How is an action chosen whose reward is any function of the context? By a network, and the uncertainty of its gradients.

    NeuralUCB (Zhou, Li and Gu 2020, arXiv:1911.04462, algorithm 1):   argmax_a  f_a(x) + beta sqrt(lambda g' Z^-1 g)
    NeuralTS  (Zhang et al. 2021, arXiv:2010.00827, algorithm 1):      argmax_a  N(f_a(x), beta^2 lambda g' Z^-1 g)

g are the gradients of the whole network at the time a round was played (``gradient_network``), Z their sum of squares,
diagonal or full (``gradient_covariance``). Training is gradient descent on (f - r)^2, one round at a time:

- ``start="warm"``, as the authors' code does it: go on from the weights as they are, which decay towards 0; at most
  ``steps`` rounds, until the mean squared error of a pass is 0.001 or less
- ``start="theta0"``, as the paper says: always from the first weights, which those found are pulled towards
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit
from trimtab.policies.gradient_covariance import Covariance, Diagonal, Full
from trimtab.policies.gradient_network import GradientNetwork
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import under

A = TypeVar("A")
_ENOUGH = 1e-3
_PULL_EVERY = 100


@dataclass(frozen=True)
class NeuralUCB:
    """``exploration`` is beta, in units of reward. (The authors' nu is its square.) ``ridge`` is lambda. ``rule``: the
    upper confidence bound, or Thompson's draw. ``steps`` rounds at most are learned from every ``train_every`` rounds;
    ``memory``: rounds remembered. ``learning_rate`` is divided by the square of the network's scale."""

    exploration: float = 0.1
    ridge: float = 1e-3
    rule: Literal["ucb", "ts"] = "ucb"
    covariance: Literal["diagonal", "full"] = "diagonal"
    start: Literal["warm", "theta0"] = "warm"
    width: int = 100
    train_every: int = 1
    steps: int = 1000
    learning_rate: float = 1e-2
    memory: int = 4096

    def __post_init__(self) -> None:
        least = min(self.train_every, self.steps, self.memory - 1)
        if least < 1 or self.width < 2 or self.width % 2 or self.exploration < 0 or not self.ridge > 0:
            raise ValueError(
                f"{self}: expected an even width, ridge above 0, exploration 0 or more, counts of 1 or more"
            )
        known = {"rule": ("ucb", "ts"), "covariance": ("diagonal", "full"), "start": ("warm", "theta0")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(values)}")

    def build(self, actions: Sequence[A], features: int, seed: int = 0) -> NeuralUCBBandit[A]:
        """An untrained bandit over ``actions`` for contexts of ``features`` numbers."""
        return NeuralUCBBandit(actions, features, self, seed)


@dataclass(frozen=True, eq=False)
class Doubt:
    """A trained network and the covariance of its gradients: what tells its deviations without the bandit."""

    network: GradientNetwork
    covariance: Covariance

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Of every context and action [B, A], as ``NeuralUCBBandit.deviations``."""
        variances = self.covariance.variances(self.network.gradients(contexts_BF))
        return np.sqrt(np.maximum(variances, 0)).reshape(len(contexts_BF), -1)

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file."""
        parts = {"network": self.network.arrays(), "covariance": self.covariance.arrays()}
        arrays = {f"{part}/{name}": array for part, named in parts.items() for name, array in named.items()}
        return {**arrays, "scale": np.array([self.network.scale]), "ridge": np.array([self.covariance.ridge])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Doubt:
        """The reverse of ``arrays``."""
        named, ridge = under("network", arrays), float(arrays["ridge"][0])
        network = GradientNetwork(
            named["first_AHF"], named["first_bias_H"], named["second_H"], float(arrays["scale"][0])
        )
        network.load(named)
        actions, width, features = network.first_AHF.shape
        kept = under("covariance", arrays)
        full = "inverse_NN" in kept
        covariance = Full(width, features, ridge, 1) if full else Diagonal(actions, width, features, ridge)
        covariance.restore(kept)
        return cls(network, covariance)


class NeuralUCBBandit(Bandit[A]):
    """A network, the covariance of its gradients, and a memory of rounds."""

    def __init__(self, actions: Sequence[A], features: int, settings: NeuralUCB, seed: int) -> None:
        super().__init__(actions, features)
        self.settings = settings
        self._generator = np.random.default_rng(seed)
        begin = GradientNetwork.usual if settings.start == "warm" else GradientNetwork.mirrored
        self.network = begin(len(self.actions), features, settings.width, self._generator)
        self._first = {name: array.copy() for name, array in self.network.arrays().items()}
        self.covariance = self._covariance()
        self._contexts_NF = np.empty((0, features), dtype=np.float32)
        self._columns_N, self._rewards_N = np.empty(0, dtype=np.int64), np.empty(0)
        self._untrained = 0

    def _covariance(self) -> Covariance:
        settings = self.settings
        if settings.covariance == "full":
            return Full(settings.width, self.features, settings.ridge, settings.memory)
        return Diagonal(len(self.actions), settings.width, self.features, settings.ridge)

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self.network.means(contexts_BF)

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self.doubt().deviations(contexts_BF)

    def doubt(self) -> Doubt:
        """What tells the deviations; it shares its arrays with the bandit."""
        return Doubt(self.network, self.covariance)

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        means, deviations = self.means(contexts_BF), self.deviations(contexts_BF)
        push = self._generator.standard_normal(means.shape) if self.settings.rule == "ts" else 1.0
        return (means + self.settings.exploration * push * deviations).argmax(axis=1)

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        self.covariance.observe(self.network.gradients_of(contexts_BF, np.asarray(columns_B)))
        keep = self.settings.memory
        self._contexts_NF = np.concatenate((self._contexts_NF, contexts_BF), dtype=np.float32)[-keep:]
        self._columns_N = np.concatenate((self._columns_N, columns_B))[-keep:]
        self._rewards_N = np.concatenate((self._rewards_N, rewards_B))[-keep:]
        self._untrained += len(columns_B)
        if self._untrained >= self.settings.train_every:
            self._untrained = 0
            self._train()

    def _train(self) -> None:
        """Passes over the rounds in one drawn order, to ``steps`` or a small error."""
        anchor = self._first if self.settings.start == "theta0" else None
        if anchor is not None:
            self.network.load(anchor)
        order = self._generator.permutation(len(self._rewards_N)).tolist()
        columns, rewards = self._columns_N.tolist(), self._rewards_N.tolist()
        rate, taken = self.settings.learning_rate / self.network.scale**2, 0
        while taken < self.settings.steps:
            loss = 0.0
            for row in order[: self.settings.steps - taken]:
                loss += self.network.step(self._contexts_NF[row], columns[row], rewards[row], rate)
                taken += 1
                if taken % _PULL_EVERY == 0:
                    self.network.pull(_PULL_EVERY * self._decay(), anchor)
            if loss / len(order) <= _ENOUGH:
                break

    def _decay(self) -> float:
        """What a step shrinks: weight decay lambda at the learning rate (warm), or the paper's penalty, m lambda / n."""
        settings = self.settings
        if settings.start == "warm":
            return settings.learning_rate * settings.ridge
        return settings.learning_rate * settings.ridge / len(self._rewards_N)

    def mlp(self) -> MLP:
        return self.network.mlp()

    def arrays(self) -> dict[str, np.ndarray]:
        parts = {"network": self.network.arrays(), "first": self._first, "covariance": self.covariance.arrays()}
        arrays = {f"{part}/{name}": array for part, named in parts.items() for name, array in named.items()}
        memory = {"contexts_NF": self._contexts_NF, "columns_N": self._columns_N, "rewards_N": self._rewards_N}
        return arrays | memory

    def state(self) -> dict[str, Plain]:
        generator: Any = self._generator.bit_generator.state
        return {"generator": generator, "untrained": self._untrained}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self.network.load(under("network", arrays))
        self._first = {name: array.copy() for name, array in under("first", arrays).items()}
        self.covariance.restore(under("covariance", arrays))
        self._contexts_NF, self._columns_N = arrays["contexts_NF"].copy(), arrays["columns_N"].copy()
        self._rewards_N = arrays["rewards_N"].copy()
        self._untrained = state["untrained"]
        self._generator.bit_generator.state = state["generator"]
