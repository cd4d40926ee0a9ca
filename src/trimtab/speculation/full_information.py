"""What can be learned from a table before any exploration? The outcome of every action is known, so nothing is sampled.

The policy gradient with all actions in it (Sutton et al. 2000, theorem 1: sum over a of grad pi(a|s) Q(s, a)), where Q
is exact: the policy's own value at every position, by dynamic programming backwards over the text. PPO estimates the
same gradient from one sampled action per round.

The value of a position depends on the history that led there. A position that no round began at is given the history of
the last round before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from trimtab.plain import Plain
from trimtab.policies.factored import expanded
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import (
    exported,
    linear_layers,
    load_layers,
    network_of,
    optimiser_arrays,
    restore_optimiser,
    under,
)
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, join
from trimtab.speculation.environment import Objective
from trimtab.speculation.flat_replay import FlatReplay, Rounds, rate, roll
from trimtab.types import Metrics


@dataclass(frozen=True)
class FullInformation:
    """Hyper-parameters. Each of ``iterations`` replays all prompts, values all positions anew, and makes ``epochs``
    passes over them; ``entropy`` (in units of reward) decays to a tenth over the iterations."""

    iterations: int = 30
    epochs: int = 3
    batch_size: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    entropy: float = 0.5
    skipped_weight: float = 0.5


def softmax(scores_NA: np.ndarray) -> np.ndarray:
    """Probabilities [N, A]."""
    exponentials = np.exp(scores_NA - scores_NA.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def histories(replay: FlatReplay, rounds: Rounds) -> tuple[np.ndarray, np.ndarray]:
    """History features [N, H] at every row, those of the last round that began at or before it; visited [N]."""
    visited = np.zeros(replay.rows, dtype=bool)
    visited[rounds.row_T] = True
    history = np.zeros((replay.rows, len(HISTORY_NAMES)), dtype=np.float32)
    history[rounds.row_T] = rounds.features_TF[:, -len(HISTORY_NAMES) :]
    last = np.maximum.accumulate(np.where(visited, np.arange(replay.rows), 0))
    return history[last], visited


def action_values(replay: FlatReplay, rewards_NA: np.ndarray, probabilities_NA: np.ndarray) -> np.ndarray:
    """Q [N, A]: the reward of an action and of following the policy after it (undiscounted), exactly."""
    q_NA = rewards_NA.astype(np.float64)
    value_N = np.zeros(replay.rows + 1)
    order = np.argsort(replay.remaining_N, kind="stable")
    ends = np.flatnonzero(np.diff(replay.remaining_N[order])) + 1
    for rows in np.split(order, ends):  # all prompts' positions that are equally far from their end
        landing = rows[:, None] + replay.tokens_NA[rows]
        over = replay.tokens_NA[rows] >= replay.remaining_N[rows, None]
        q_NA[rows] += np.where(over, 0.0, value_N[landing])
        value_N[rows] = (probabilities_NA[rows] * q_NA[rows]).sum(axis=1)
    return q_NA


class FullInformationLearner:
    """Policy iteration on all rows of a replay; an update is one iteration (see ``policies.loop``).

    ``network`` is where it starts; with ``bins_HA`` its outputs are logits of bins (see ``policies.factored``). With
    ``refresh_rate`` the rate to beat rises with the policy's own on ``replay`` (Dinkelbach). ``rewards`` says what every
    action is worth at every row (default: the objective); ``myopic`` ones are not summed over the rounds that follow.
    """

    def __init__(
        self,
        network: MLP,
        replay: FlatReplay,
        features: FeatureSet,
        objective: Objective,
        settings: FullInformation,
        *,
        seed: int = 0,
        bins_HA: np.ndarray | None = None,
        refresh_rate: bool = False,
        rewards: Callable[[Objective], np.ndarray] | None = None,
        myopic: bool = False,
    ) -> None:
        self.replay, self.features, self.objective, self.settings = replay, features, objective, settings
        self.refresh_rate, self.iteration = refresh_rate, 0
        self._rewards = rewards or (lambda objective: objective.rewards_NA(replay))
        self._bins_HA, self._myopic = bins_HA, myopic
        self._network = network_of(network)
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )

    def network(self) -> MLP:
        """The network as it is: of actions, or of bins."""
        return exported(self._network)

    def mlp(self) -> MLP:
        """The policy as it is."""
        return expanded(self.network(), self._bins_HA)

    def update(self) -> Metrics:
        """Replay, value all positions, and climb for a few passes over them."""
        inputs, weights, advantages, speed = self._lesson()
        entropy = self.settings.entropy * 0.1 ** (self.iteration / max(1, self.settings.iterations - 1))
        total = 0.0
        for _ in range(self.settings.epochs):
            for batch in torch.randperm(len(inputs), generator=self._generator).split(self.settings.batch_size):
                logprobs = self._logits(inputs[batch]).log_softmax(dim=1)
                gained = (logprobs.exp() * (advantages[batch] - entropy * logprobs)).sum(dim=1)
                loss = -(weights[batch] * gained).mean()
                self._optimiser.zero_grad()
                loss.backward()
                self._optimiser.step()
                total -= loss.item() * len(batch)
        self.iteration += 1
        if self.refresh_rate:
            self.objective = replace(self.objective, rate=max(self.objective.rate, speed))
        return {"tokens_per_second": speed, "gain": total / (self.settings.epochs * len(inputs))}

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self._network(inputs)
        return outputs if self._bins_HA is None else outputs @ torch.from_numpy(self._bins_HA)

    def _lesson(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
        """Inputs [N, F], weights [N] and advantages [N, A] of all rows under the policy as it is, and its speed."""
        mlp, features = self.mlp(), self.features
        rounds = roll(
            self.replay, lambda features_BF, _rows: mlp.scores(features.normalise(features_BF)).argmax(axis=1)
        )
        history, visited = histories(self.replay, rounds)
        inputs = features.normalise(join(self.replay.features_NF, history))
        probabilities = softmax(mlp.scores(inputs))
        rewards_NA = self._rewards(self.objective)
        q_NA = rewards_NA if self._myopic else action_values(self.replay, rewards_NA, probabilities)
        advantages = (q_NA - (probabilities * q_NA).sum(axis=1, keepdims=True)).astype(np.float32)
        weights = np.where(visited, 1.0, self.settings.skipped_weight).astype(np.float32)
        speed = rate(rounds, self.objective.decision_seconds)
        return torch.from_numpy(inputs), torch.from_numpy(weights), torch.from_numpy(advantages), speed

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        arrays = {f"network/{name}": array for name, array in exported(self._network).arrays().items()}
        arrays |= {f"optimiser/{name}": tensor.numpy() for name, tensor in optimiser_arrays(self._optimiser).items()}
        return arrays | {"generator": self._generator.get_state().numpy()}

    def state(self) -> dict[str, Plain]:
        return {"iteration": self.iteration, "rate": self.objective.rate}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from what the two above gave."""
        load_layers(linear_layers(self._network), MLP.from_arrays(under("network", arrays)))
        restore_optimiser(self._optimiser, under("optimiser", arrays))
        self._generator.set_state(torch.from_numpy(arrays["generator"].copy()))
        self.iteration = state["iteration"]
        self.objective = replace(self.objective, rate=state["rate"])


def warm_start(
    mlp: MLP,
    replay: FlatReplay,
    features: FeatureSet,
    objective: Objective,
    settings: FullInformation,
    *,
    seed: int = 0,
    report: Callable[[int, MLP], None] | None = None,
    bins_HA: np.ndarray | None = None,
    rewards: Callable[[Objective], np.ndarray] | None = None,
    myopic: bool = False,
) -> MLP:
    """Train ``mlp`` on all rows of ``replay``. ``report`` sees the network after each iteration (with ``bins_HA``: the
    bins' logits, as those of ``mlp``)."""
    learner = FullInformationLearner(
        mlp,
        replay,
        features,
        objective,
        settings,
        seed=seed,
        bins_HA=bins_HA,
        rewards=rewards,
        myopic=myopic,
    )
    for iteration in range(settings.iterations):
        learner.update()
        if report is not None:
            report(iteration + 1, learner.network())
    return learner.network()
