"""Which action is best on average, found with little regret and without looking at any context?

UCB1 (Auer, Cesa-Bianchi and Fischer 2002, "Finite-time analysis of the multiarmed bandit problem", figure 1): play
argmax_a mean_a + c sqrt(2 ln n / n_a). BanditSpec (arXiv:2505.15141) chooses the configuration of speculative decoding so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from trimtab.policies.bandit import Bandit, constant_mlp
from trimtab.policies.mlp import MLP

A = TypeVar("A")


@dataclass(frozen=True)
class UCB1:
    """``exploration`` is c, in units of reward: 1 for rewards from 0 to 1, as in the paper."""

    exploration: float = 1.0

    def __post_init__(self) -> None:
        if self.exploration < 0:
            raise ValueError(f"exploration {self.exploration}: expected 0 or more")

    def build(self, actions: Sequence[A], features: int = 0) -> UCB1Bandit[A]:
        """An untrained bandit over ``actions``; ``features`` is the width of the contexts that it ignores."""
        return UCB1Bandit(actions, features, self.exploration)


class UCB1Bandit(Bandit[A]):
    """Counts and sums of rewards of each action. Several choices at once go down the order of their bounds' freshness:
    each counts as played (with its mean as reward) before the next is made."""

    def __init__(self, actions: Sequence[A], features: int, exploration: float) -> None:
        super().__init__(actions, features)
        self.exploration = exploration
        self.plays_A, self.sums_A = np.zeros(len(self.actions)), np.zeros(len(self.actions))

    @property
    def means_A(self) -> np.ndarray:
        """Mean rewards; 0 where an action was never played."""
        return self.sums_A / np.maximum(self.plays_A, 1)

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        plays, means = self.plays_A.copy(), self.means_A
        columns = np.empty(len(contexts_BF), dtype=np.int64)
        for index in range(len(columns)):
            columns[index] = _most_promising(plays, means, self.exploration)
            plays[columns[index]] += 1
        return columns

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        np.add.at(self.plays_A, columns_B, 1)
        np.add.at(self.sums_A, columns_B, rewards_B)

    def mlp(self) -> MLP:
        """The means; actions never played come last."""
        played = self.plays_A > 0
        lowest = self.means_A[played].min() - 1 if played.any() else 0.0
        return constant_mlp(np.where(played, self.means_A, lowest), self.features)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"plays_A": self.plays_A, "sums_A": self.sums_A}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self.plays_A, self.sums_A = arrays["plays_A"].copy(), arrays["sums_A"].copy()


def _most_promising(plays_A: np.ndarray, means_A: np.ndarray, exploration: float) -> int:
    """Each action once, then the highest upper confidence bound."""
    if not plays_A.all():
        return int(plays_A.argmin())
    return int((means_A + exploration * np.sqrt(2 * np.log(plays_A.sum()) / plays_A)).argmax())
