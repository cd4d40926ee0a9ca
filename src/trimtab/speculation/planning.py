"""How does a policy learn to decide for several rounds at once? From full information, over whole plans.

A decision is a plan: M trees, each held for N rounds. As in ``full_information``, every outcome is in the table, so the
policy gradient has all actions in it (Sutton et al. 2000, theorem 1) and its values are exact. The value of tree a as
step j of the plan is what the plan's first j trees bring, then a, then the rest of the plan, then the value of the
position reached, where the next plan is made. Holding (M = 1) and planning (N = 1) are two ends of this.

The rest of a plan is the one the policy would choose (its argmax), so each step is improved with the others as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from trimtab.policies.mlp import MLP
from trimtab.policies.networks import exported, network_of
from trimtab.speculation.context import FeatureSet, join
from trimtab.speculation.flat_replay import FlatReplay, Rounds, held_jumps, roll
from trimtab.speculation.full_information import FullInformation, histories
from trimtab.speculation.inference import softmax


@dataclass(frozen=True, eq=False)
class Jumps:
    """Where each tree leads when it is held, and what that brings. Row N is the end of every text: it leads to itself
    and brings nothing."""

    next_NA: np.ndarray
    rewards_NA: np.ndarray

    @classmethod
    def of(cls, held: FlatReplay, rewards_NA: np.ndarray) -> Jumps:
        """Of a replay whose rounds are held jumps, and the reward of each."""
        over = held.tokens_NA >= held.remaining_N[:, None]
        landing = np.where(over, held.rows, np.arange(held.rows)[:, None] + held.tokens_NA)
        end = np.full((1, landing.shape[1]), held.rows)
        return cls(np.concatenate((landing, end)), np.concatenate((rewards_NA, np.zeros(end.shape))))

    def follow(self, rows: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A jump from each of ``rows``: its reward, and the row reached."""
        return self.rewards_NA[rows, actions], self.next_NA[rows, actions]


def plan_values(jumps: Jumps, plans_NM: np.ndarray, order: list[np.ndarray]) -> np.ndarray:
    """The value [N + 1] of every row where the plan of that row is made, and so on to the end. ``order``: groups of rows,
    those nearest to their end first."""
    values = np.zeros(len(plans_NM) + 1)
    brought, landing = np.zeros(len(plans_NM)), np.arange(len(plans_NM))
    for actions_N in plans_NM.T:
        gained, landing = jumps.follow(landing, actions_N)
        brought += gained
    for rows in order:
        values[rows] = brought[rows] + values[landing[rows]]
    return values


def step_values(jumps: Jumps, plans_NM: np.ndarray, values: np.ndarray, step: int) -> np.ndarray:
    """The value [N, A] of every tree as that ``step`` of each row's plan, all else being as planned."""
    brought, at = np.zeros(len(plans_NM)), np.arange(len(plans_NM))
    for actions_N in plans_NM.T[:step]:
        gained, at = jumps.follow(at, actions_N)
        brought += gained
    total_NA, at_NA = brought[:, None] + jumps.rewards_NA[at], jumps.next_NA[at]
    for actions_N in plans_NM.T[step + 1 :]:
        gained, at_NA = jumps.follow(at_NA, actions_N[:, None])
        total_NA = total_NA + gained
    return total_NA + values[at_NA]


def by_remaining(replay: FlatReplay) -> list[np.ndarray]:
    """Rows in groups that are equally far from their text's end, the nearest first."""
    order = np.argsort(replay.remaining_N, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(replay.remaining_N[order])) + 1)


@dataclass(frozen=True, eq=False)
class PlanningTask:
    """Plans of ``planned_rounds`` trees over ``replay``, each tree held for ``hold_rounds``, and what they are worth.

    ``rewards`` values held jumps, given as a replay and the rounds of each (see ``held_jumps``). Where they are
    ``myopic``, each step of a plan is judged by what it brings itself.
    """

    replay: FlatReplay
    features: FeatureSet
    rewards: Callable[[FlatReplay, np.ndarray], np.ndarray]
    hold_rounds: int = 1
    planned_rounds: int = 1
    myopic: bool = False

    def scores(self, mlp: MLP, features_BF: np.ndarray) -> np.ndarray:
        """[B, M, A] for normalised features."""
        return mlp.scores(features_BF).reshape(len(features_BF), self.planned_rounds, -1)

    def roll(self, mlp: MLP, replay: FlatReplay | None = None) -> Rounds:
        """The greedy policy on a replay (default: the task's own)."""
        return roll(
            self.replay if replay is None else replay,
            lambda features_BF, _rows: self.scores(mlp, self.features.normalise(features_BF)).argmax(axis=2),
            self.hold_rounds,
        )


def widened(mlp: MLP, planned_rounds: int) -> MLP:
    """The network with its scores repeated for each planned round: at first, a plan holds the tree that it would choose."""
    *hidden, (weight, bias) = mlp.layers
    return MLP((*hidden, (np.tile(weight, planned_rounds), np.tile(bias, planned_rounds))))


def train_plans(
    mlp: MLP,
    task: PlanningTask,
    settings: FullInformation | None = None,
    *,
    seed: int = 0,
    report: Callable[[int, MLP], None] | None = None,
) -> MLP:
    """Train ``mlp`` (M scores for each tree) on all rows. ``report`` sees the policy after each iteration."""
    settings = settings or FullInformation()
    network = network_of(mlp)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    held, rounds_NA = held_jumps(task.replay, task.hold_rounds)
    jumps, order = Jumps.of(held, task.rewards(held, rounds_NA)), by_remaining(task.replay)
    for iteration in range(settings.iterations):
        inputs, weights, advantages = _lesson(exported(network), task, jumps, order)
        entropy = settings.entropy * 0.1 ** (iteration / max(1, settings.iterations - 1))
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(inputs), generator=generator).split(settings.batch_size):
                logprobs = network(inputs[batch]).view(advantages[batch].shape).log_softmax(dim=2)
                gained = (logprobs.exp() * (advantages[batch] - entropy * logprobs)).sum(dim=2).mean(dim=1)
                loss = -(weights[batch] * gained).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        if report is not None:
            report(iteration + 1, exported(network))
    return exported(network)


def _lesson(
    mlp: MLP, task: PlanningTask, jumps: Jumps, order: list[np.ndarray]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs [N, F], weights [N] and advantages [N, M, A] of all rows under the policy as it is."""
    rounds = task.roll(mlp)
    history, _ = histories(task.replay, rounds)
    inputs = task.features.normalise(join(task.replay.features_NF, history))
    scores = task.scores(mlp, inputs)
    probabilities, q_NMA = softmax(scores), _values(task, jumps, scores.argmax(axis=2), order)
    advantages = (q_NMA - (probabilities * q_NMA).sum(axis=2, keepdims=True)).astype(np.float32)
    return torch.from_numpy(inputs), torch.from_numpy(_weights(task.replay, rounds)), torch.from_numpy(advantages)


def _values(task: PlanningTask, jumps: Jumps, plans_NM: np.ndarray, order: list[np.ndarray]) -> np.ndarray:
    """The value [N, M, A] of every tree as every step of each row's plan."""
    if task.myopic:
        return np.stack([jumps.rewards_NA[at] for at in _passed(jumps, plans_NM)], axis=1)
    values = plan_values(jumps, plans_NM, order)
    return np.stack([step_values(jumps, plans_NM, values, step) for step in range(task.planned_rounds)], axis=1)


def _passed(jumps: Jumps, plans_NM: np.ndarray) -> list[np.ndarray]:
    """The rows at which each step of the plans begins."""
    at = [np.arange(len(plans_NM))]
    for actions_N in plans_NM.T[:-1]:
        at.append(jumps.follow(at[-1], actions_N)[1])
    return at


def _weights(replay: FlatReplay, rounds: Rounds) -> np.ndarray:
    """Rows where a decision was made count 1 each, all others together at most as much as these."""
    decided = np.zeros(replay.rows, dtype=bool)
    decided[rounds.row_T[rounds.decided_T]] = True
    share = min(1.0, decided.sum() / max(1, (~decided).sum()))
    return np.where(decided, 1.0, share).astype(np.float32)
