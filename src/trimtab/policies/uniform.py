"""What does chance earn? Any action, each as likely, whatever is seen: the floor under every learned policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit, constant_mlp
from trimtab.policies.mlp import MLP

A = TypeVar("A")


class Uniform(Bandit[A]):
    """Learns nothing. Deployed without exploring it is the first action: all are as good."""

    def __init__(self, actions: Sequence[A], features: int, seed: int = 0) -> None:
        super().__init__(actions, features)
        self._generator = np.random.default_rng(seed)

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        return self._generator.integers(len(self.actions), size=len(contexts_BF))

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        """Learns nothing."""

    def mlp(self) -> MLP:
        return constant_mlp(np.zeros(len(self.actions)), self.features)

    def arrays(self) -> dict[str, np.ndarray]:
        return {}

    def state(self) -> dict[str, Plain]:
        return {"generator": self._generator.bit_generator.state}  # pyright: ignore[reportReturnType]

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self._generator.bit_generator.state = state["generator"]
