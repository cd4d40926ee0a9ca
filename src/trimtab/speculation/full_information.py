"""What can be learned from a table before any exploration? The outcome of every action is known, so nothing is sampled.

The policy gradient with all actions in it (Sutton et al. 2000, theorem 1: sum over a of grad pi(a|s) Q(s, a)), where Q
is exact: the policy's own value at every position, by dynamic programming backwards over the text. PPO estimates the
same gradient from one sampled action per round.

The value of a position depends on the history that led there. A position that no round began at is given the history of
the last round before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from trimtab.policies.mlp import MLP
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, join
from trimtab.speculation.environment import Objective
from trimtab.speculation.flat_replay import FlatReplay, Rounds, roll


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


def _network(mlp: MLP) -> nn.Sequential:
    modules: list[nn.Module] = []
    for weight, bias in mlp.layers:
        layer = nn.Linear(*weight.shape)
        layer.load_state_dict({"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias.copy())})
        modules += [layer, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def _exported(network: nn.Sequential) -> MLP:
    layers = [module for module in network if isinstance(module, nn.Linear)]
    return MLP(tuple((la.weight.detach().T.numpy().copy(), la.bias.detach().numpy().copy()) for la in layers))


def warm_start(
    mlp: MLP,
    replay: FlatReplay,
    features: FeatureSet,
    objective: Objective,
    settings: FullInformation,
    *,
    seed: int = 0,
    report: Callable[[int, MLP], None] | None = None,
) -> MLP:
    """Train ``mlp`` on all rows of ``replay``. ``report`` sees the policy after each iteration."""
    network = _network(mlp)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    rewards_NA = objective.reward(replay.tokens_NA, replay.seconds_NA)
    for iteration in range(settings.iterations):
        inputs, weights, advantages = _lesson(_exported(network), replay, features, rewards_NA, settings)
        entropy = settings.entropy * 0.1 ** (iteration / max(1, settings.iterations - 1))
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(inputs), generator=generator).split(settings.batch_size):
                logprobs = network(inputs[batch]).log_softmax(dim=1)
                gained = (logprobs.exp() * (advantages[batch] - entropy * logprobs)).sum(dim=1)
                loss = -(weights[batch] * gained).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        if report is not None:
            report(iteration + 1, _exported(network))
    return _exported(network)


def _lesson(
    mlp: MLP, replay: FlatReplay, features: FeatureSet, rewards_NA: np.ndarray, settings: FullInformation
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs [N, F], weights [N] and advantages [N, A] of all rows under the policy as it is."""
    rounds = roll(replay, lambda features_BF, _rows: mlp.scores(features.normalise(features_BF)).argmax(axis=1))
    history, visited = histories(replay, rounds)
    inputs = features.normalise(join(replay.features_NF, history))
    probabilities = softmax(mlp.scores(inputs))
    q_NA = action_values(replay, rewards_NA, probabilities)
    advantages = (q_NA - (probabilities * q_NA).sum(axis=1, keepdims=True)).astype(np.float32)
    weights = np.where(visited, 1.0, settings.skipped_weight).astype(np.float32)
    return torch.from_numpy(inputs), torch.from_numpy(weights), torch.from_numpy(advantages)
