"""Which action is best, where rewards may follow any pattern, even an adversary's?

EXP3 (Auer, Cesa-Bianchi, Freund and Schapire 2002, "The nonstochastic multiarmed bandit problem", figure 1): play a with
p_a = (1 - g) w_a / sum(w) + g / K, and multiply w_a by exp(g r / (p_a K)) for a reward r from 0 to 1. BanditSpec
(arXiv:2505.15141) chooses the configuration of speculative decoding so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit, constant_mlp
from trimtab.policies.mlp import MLP
from trimtab.types import Choice

A = TypeVar("A")


@dataclass(frozen=True)
class EXP3:
    """``exploration`` is g, the share of plays by pure chance. Rewards are brought from ``low``..``high`` to 0..1, and
    clipped there: the guarantee is for bounded rewards."""

    exploration: float = 0.1
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.exploration <= 1 or not self.low < self.high:
            raise ValueError(f"{self}: expected exploration above 0 and up to 1, and low below high")

    def build(self, actions: Sequence[A], features: int = 0, seed: int = 0) -> EXP3Bandit[A]:
        """An untrained bandit over ``actions``; ``features`` is the width of the contexts that it ignores."""
        return EXP3Bandit(actions, features, self, seed)


class EXP3Bandit(Bandit[A]):
    """Log-weights of each action. Choices that are made together share one distribution."""

    def __init__(self, actions: Sequence[A], features: int, settings: EXP3, seed: int) -> None:
        super().__init__(actions, features)
        self.settings = settings
        self.logweights_A = np.zeros(len(self.actions))
        self._generator = np.random.default_rng(seed)

    @property
    def probabilities_A(self) -> np.ndarray:
        """The distribution that actions are drawn from."""
        weights = np.exp(self.logweights_A - self.logweights_A.max())
        uniform = self.settings.exploration / len(weights)
        return (1 - self.settings.exploration) * weights / weights.sum() + uniform

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self._generator.choice(len(self.actions), size=len(contexts_BF), p=self.probabilities_A)

    def act(self, contexts: Sequence[np.ndarray], /) -> list[Choice[A]]:
        """Choices with their log-probabilities."""
        logprobs = np.log(self.probabilities_A)
        chosen = self.choose(np.empty((len(contexts), 0))).tolist()
        return [Choice(self.actions[column], float(logprobs[column])) for column in chosen]

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        """Rewards of choices that were made together, hence of one distribution, count with that one's weights."""
        settings, probabilities = self.settings, self.probabilities_A
        unit = np.clip((rewards_B - settings.low) / (settings.high - settings.low), 0, 1)
        step = settings.exploration / len(self.actions)
        np.add.at(self.logweights_A, columns_B, step * unit / probabilities[columns_B])

    def mlp(self) -> MLP:
        """The log-weights: their softmax is the distribution without the pure chance."""
        return constant_mlp(self.logweights_A - self.logweights_A.max(), self.features)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"logweights_A": self.logweights_A}

    def state(self) -> dict[str, Plain]:
        return {"generator": self._generator.bit_generator.state}  # pyright: ignore[reportReturnType]

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self.logweights_A = arrays["logweights_A"].copy()
        self._generator.bit_generator.state = state["generator"]
