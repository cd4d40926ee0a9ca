"""How is an action chosen whose reward is linear in the context? By an upper confidence bound, or by a plausible draw.

One ridge regression per action (disjoint), with M_a = lambda I + sum x x' and b_a = sum r x over the rounds that played a:

    LinUCB   (Li et al. 2010, arXiv:1003.0146, algorithm 1):        argmax_a  x' M_a^-1 b_a + alpha sqrt(x' M_a^-1 x)
    Thompson (Agrawal and Goyal 2013, arXiv:1209.3352, section 2):  argmax_a  x' w_a,  w_a ~ N(M_a^-1 b_a, v^2 M_a^-1)

For one context x' w_a is a normal number of its own, so it is drawn directly. M_a^-1 is kept up to date by Sherman and
Morrison: (M + x x')^-1 = M^-1 - M^-1 x x' M^-1 / (1 + x' M^-1 x).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit, linear_mlp
from trimtab.policies.mlp import MLP

A = TypeVar("A")


class Ridges:
    """A ridge regression for each of A actions over F regressors (those of ``intercepted`` contexts)."""

    def __init__(self, actions: int, regressors: int, ridge: float) -> None:
        self.inverse_AFF = np.tile(np.eye(regressors) / ridge, (actions, 1, 1))
        self.moments_AF = np.zeros((actions, regressors))

    @property
    def coefficients_AF(self) -> np.ndarray:
        """M_a^-1 b_a."""
        return np.einsum("afg,ag->af", self.inverse_AFF, self.moments_AF)

    def observe(self, column: int, regressors_F: np.ndarray, reward: float) -> None:
        """One round, by Sherman and Morrison."""
        inverse = self.inverse_AFF[column]
        across = inverse @ regressors_F
        inverse -= np.outer(across, across / (1 + regressors_F @ across))
        self.moments_AF[column] += reward * regressors_F

    def means(self, regressors_BF: np.ndarray) -> np.ndarray:
        """Expected rewards [B, A]."""
        return regressors_BF @ self.coefficients_AF.T

    def deviations(self, regressors_BF: np.ndarray) -> np.ndarray:
        """sqrt(x' M_a^-1 x), [B, A]: the standard deviation of an expected reward, where that of the noise is 1."""
        across = np.einsum("bf,afg->bag", regressors_BF, self.inverse_AFF)
        return np.sqrt(np.maximum(np.einsum("bag,bg->ba", across, regressors_BF), 0))


def intercepted(contexts_BF: np.ndarray) -> np.ndarray:
    """Contexts [B, F] with a last column of ones."""
    return np.concatenate((contexts_BF, np.ones((len(contexts_BF), 1))), axis=1, dtype=np.float64)


@dataclass(frozen=True)
class LinUCB:
    """``exploration`` is alpha, in units of reward; ``ridge`` is lambda (1 in the paper)."""

    exploration: float = 1.0
    ridge: float = 1.0

    def __post_init__(self) -> None:
        _check(self.exploration, self.ridge)

    def build(self, actions: Sequence[A], features: int) -> LinUCBBandit[A]:
        """An untrained bandit over ``actions`` for contexts of ``features`` numbers."""
        return LinUCBBandit(actions, features, self.exploration, self.ridge)


@dataclass(frozen=True)
class LinearThompson:
    """``exploration`` is v, in units of reward; ``ridge`` is lambda (1 in the paper)."""

    exploration: float = 1.0
    ridge: float = 1.0

    def __post_init__(self) -> None:
        _check(self.exploration, self.ridge)

    def build(self, actions: Sequence[A], features: int, seed: int = 0) -> ThompsonBandit[A]:
        """An untrained bandit over ``actions`` for contexts of ``features`` numbers."""
        return ThompsonBandit(actions, features, self.exploration, self.ridge, seed)


def _check(exploration: float, ridge: float) -> None:
    if exploration < 0 or not ridge > 0:
        raise ValueError(f"exploration {exploration} and ridge {ridge}: expected 0 or more, and above 0")


class _LinearBandit(Bandit[A]):
    """What both have in common: the regressions, their upkeep and their export."""

    def __init__(self, actions: Sequence[A], features: int, exploration: float, ridge: float) -> None:
        super().__init__(actions, features)
        self.exploration = exploration
        self.ridges = Ridges(len(self.actions), features + 1, ridge)

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self.ridges.means(intercepted(contexts_BF))

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self.ridges.deviations(intercepted(contexts_BF))

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        rounds = zip(columns_B.tolist(), intercepted(contexts_BF), rewards_B.tolist(), strict=True)
        for column, regressors_F, reward in rounds:
            self.ridges.observe(column, regressors_F, reward)

    def mlp(self) -> MLP:
        coefficients = self.ridges.coefficients_AF
        return linear_mlp(coefficients[:, :-1].T, coefficients[:, -1])

    def arrays(self) -> dict[str, np.ndarray]:
        return {"inverse_AFF": self.ridges.inverse_AFF, "moments_AF": self.ridges.moments_AF}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self.ridges.inverse_AFF, self.ridges.moments_AF = arrays["inverse_AFF"].copy(), arrays["moments_AF"].copy()


class LinUCBBandit(_LinearBandit[A]):
    """Optimism: the highest upper confidence bound."""

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        regressors = intercepted(contexts_BF)
        bounds = self.ridges.means(regressors) + self.exploration * self.ridges.deviations(regressors)
        return bounds.argmax(axis=1)


class ThompsonBandit(_LinearBandit[A]):
    """Chance in proportion to plausibility: the best of one draw from each posterior."""

    def __init__(self, actions: Sequence[A], features: int, exploration: float, ridge: float, seed: int) -> None:
        super().__init__(actions, features, exploration, ridge)
        self._generator = np.random.default_rng(seed)

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        regressors = intercepted(contexts_BF)
        means, deviations = self.ridges.means(regressors), self.ridges.deviations(regressors)
        return (means + self.exploration * deviations * self._generator.standard_normal(means.shape)).argmax(axis=1)

    def state(self) -> dict[str, Plain]:
        return {"generator": self._generator.bit_generator.state}  # pyright: ignore[reportReturnType]

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        super().restore(arrays, state)
        self._generator.bit_generator.state = state["generator"]
