"""How does a bandit learn from a replay table? It plays rounds of many decodes side by side, and sees what each brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import under
from trimtab.speculation.environment import ReplayVecEnv
from trimtab.types import Metrics


class BanditReplay:
    """A bandit over the columns of ``env``'s menu. An update is ``rounds`` rounds of every decode (``policies.loop``).

    Contexts are the environment's normalised features.
    """

    def __init__(self, bandit: Bandit[Any], env: ReplayVecEnv, rounds: int) -> None:
        self.bandit, self.env, self.rounds = bandit, env, rounds
        self._contexts: Any = env.reset()

    def update(self) -> Metrics:
        total = 0.0
        for _ in range(self.rounds):
            columns = self.bandit.choose(self._contexts)
            following, rewards, _, _ = self.env.step(columns)
            self.bandit.observe(self._contexts, columns, rewards.astype(np.float64))
            self._contexts = following
            total += float(rewards.sum())
        return {"reward": total / (self.rounds * self.env.num_envs), "tokens_per_second": self.env.take_rate()}

    def mlp(self) -> MLP:
        return self.bandit.mlp()

    def arrays(self) -> dict[str, np.ndarray]:
        ours = {f"bandit/{name}": array for name, array in self.bandit.arrays().items()}
        return ours | {f"env/{name}": array for name, array in self.env.arrays().items()}

    def state(self) -> dict[str, Plain]:
        return {"bandit": self.bandit.state(), "env": self.env.state()}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self.bandit.restore(under("bandit", arrays), state["bandit"])
        self._contexts = self.env.restore(under("env", arrays), state["env"])
