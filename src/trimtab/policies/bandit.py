"""What do bandits share? They choose a column of their menu, see the reward of that one alone, and learn from it.

A bandit is a ``Policy`` whose contexts are arrays [F]. ``choose`` and ``observe`` are the same in arrays, for replay at
full speed. A round's reward does not depend on the choices before it: that is what a bandit assumes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.mlp import MLP
from trimtab.types import Choice, Metrics, Step

A = TypeVar("A")


class Bandit(ABC, Generic[A]):
    """Chooses among ``actions`` for contexts of ``features`` numbers. Raises ValueError for an empty menu."""

    def __init__(self, actions: Sequence[A], features: int) -> None:
        if not actions or features < 0:
            raise ValueError(f"{len(actions)} actions and {features} features: expected at least one action")
        self.actions, self.features = list(actions), features

    @abstractmethod
    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Columns of the menu [B], as exploration wants them."""

    @abstractmethod
    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        """Learn from what the chosen columns brought."""

    @abstractmethod
    def mlp(self) -> MLP:
        """What it would choose without exploring, as a network of ``features`` inputs: its argmax is the best action."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned, for a checkpoint."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from what ``arrays`` and ``state`` gave."""

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Expected rewards [B, A]."""
        return self.mlp().scores(contexts_BF)

    def deviations(self, contexts_BF: np.ndarray) -> np.ndarray:
        """How far off each expected reward may be, [B, A]. Raises ValueError where the bandit keeps no such account."""
        raise ValueError(f"{type(self).__name__} knows no uncertainty: expected uncertainty_coef 0, or another bandit")

    def deployed(self, contexts_BF: np.ndarray, uncertainty_coef: float = 0.0) -> np.ndarray:
        """Columns [B] without exploring: the highest lower confidence bound, mean - uncertainty_coef deviation."""
        means = self.means(contexts_BF)
        if uncertainty_coef:
            means = means - uncertainty_coef * self.deviations(contexts_BF)
        return means.argmax(axis=1)

    def state(self) -> dict[str, Plain]:
        """What a checkpoint needs besides ``arrays``: plain data."""
        return {}

    def act(self, contexts: Sequence[np.ndarray], /) -> list[Choice[A]]:
        """A choice for each context [F]. Raises ValueError for contexts of another width."""
        if not contexts:
            return []
        return [Choice(self.actions[column]) for column in self.choose(self._checked(contexts)).tolist()]

    def update(self, episodes: Sequence[Sequence[Step[np.ndarray, A, Any]]], /) -> Metrics:
        """Learn from every step of the episodes, in order."""
        steps = [step for episode in episodes for step in episode]
        if not steps:
            return {}
        columns = np.array([self.actions.index(step.choice.action) for step in steps])
        rewards = np.array([step.grade.value for step in steps])
        self.observe(self._checked([step.context for step in steps]), columns, rewards)
        return {"reward": float(rewards.mean()), "steps": float(len(steps))}

    def _checked(self, contexts: Sequence[np.ndarray]) -> np.ndarray:
        stacked = np.stack([np.asarray(context, dtype=np.float64) for context in contexts])
        if stacked.shape[1:] != (self.features,):
            raise ValueError(
                f"contexts of shape {stacked.shape[1:]}: this bandit was made for {self.features} features"
            )
        return stacked


def linear_mlp(weights_FA: np.ndarray, bias_A: np.ndarray) -> MLP:
    """Scores that are linear in the features, as a network of one layer."""
    return MLP(((weights_FA.astype(np.float32), bias_A.astype(np.float32)),))


def constant_mlp(scores_A: np.ndarray, features: int) -> MLP:
    """The same scores whatever the features."""
    return linear_mlp(np.zeros((features, len(scores_A))), scores_A)
