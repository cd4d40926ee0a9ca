"""How does a replay table become a policy, within a minute? Prune the menu, learn from full information, refine by PPO.

All choices among policies (which iteration, which update, or no policy at all: the best static tree) are made on a part
of the training prompts that no gradient has seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from stable_baselines3.common.policies import ActorCriticPolicy

from trimtab.checkpoints import Checkpoints
from trimtab.policies.mlp import MLP
from trimtab.policies.sb3 import Log, PPOSettings, export_mlp, import_mlp, train_ppo
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import HISTORY_NAMES, FeatureSet, PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.environment import Objective, ReplayVecEnv
from trimtab.speculation.flat_replay import FlatReplay, best_static, fixed, flatten, rate, roll
from trimtab.speculation.full_information import FullInformation, warm_start
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.tree_policy import TreePolicy, Widths

Say = Callable[[str], None]


@dataclass(frozen=True)
class LearningSettings:
    """Hyper-parameters of ``learn``.

    ``menu_size`` trees are kept; ``validation_share`` of the prompts only choose among policies; ``decision_seconds`` is
    what a decision is charged. ``warm`` or ``ppo`` may be None, not both.
    """

    menu_size: int = 12
    validation_share: float = 0.2
    decision_seconds: float = 1e-4
    decodes: int = 128
    warm: FullInformation | None = field(default_factory=FullInformation)
    ppo: PPOSettings | None = field(default_factory=PPOSettings)

    def __post_init__(self) -> None:
        if self.warm is None and self.ppo is None:
            raise ValueError("neither a warm start nor PPO: expected at least one of them to learn from")
        if self.menu_size < 1 or not 0 <= self.validation_share < 1 or self.decodes < 1:
            raise ValueError(f"{self}: expected menu_size and decodes >= 1, and validation_share from 0 to below 1")


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be learned: gradients come from ``train``, choices are made on ``judged``."""

    train: FlatReplay
    judged: FlatReplay
    features: FeatureSet
    objective: Objective
    static: int

    def rate_of(self, mlp: MLP, replay: FlatReplay) -> float:
        """Tokens per second of the greedy policy, its decisions included."""
        rounds = roll(replay, lambda features_BF, _rows: mlp.scores(self.features.normalise(features_BF)).argmax(axis=1))
        return rate(rounds, self.objective.decision_seconds)

    def judge(self, mlp: MLP) -> float:
        return self.rate_of(mlp, self.judged)

    def constant(self) -> MLP:
        """The best static tree as a network: no weights, one bias."""
        bias = np.zeros(len(self.train.actions), dtype=np.float32)
        bias[self.static] = 1.0
        return MLP(((np.zeros((self.features.width, len(bias)), dtype=np.float32), bias),))


def split(table: ReplayTable, share: float, seed: int) -> tuple[ReplayTable, ReplayTable]:
    """Training and validation prompts, by chance; all of them in both where ``share`` asks for none."""
    playable = [index for index, prompt in enumerate(table.prompts) if prompt.positions]
    order = np.random.default_rng(seed).permutation(playable)
    held = round(share * len(order))
    if held == 0 or held == len(order):
        return table, table
    parts = (np.sort(order[held:]), np.sort(order[:held]))
    train, judged = (
        ReplayTable(table.actions, table.feature_names, [table.prompts[i] for i in part], table.metadata) for part in parts
    )
    return train, judged


def _features(replay: FlatReplay, static: int, seed: int) -> FeatureSet:
    """Normalised over decodes with the best static tree and with trees chosen by chance."""
    rng = np.random.default_rng(seed)
    at_random = roll(replay, lambda features_BF, _rows: rng.integers(len(replay.actions), size=len(features_BF)))
    visited = np.concatenate((roll(replay, fixed(static)).features_TF, at_random.features_TF))
    return FeatureSet.fit(replay.feature_names, visited)


def _task(table: ReplayTable, costs: CostModel, settings: LearningSettings, seed: int) -> _Task:
    train_table, judged_table = split(table, settings.validation_share, seed)
    train, judged = flatten(train_table, costs), flatten(judged_table, costs)
    static, to_beat = best_static(train)
    rounds = roll(train, fixed(static))
    deviation = float((rounds.tokens_T - to_beat * rounds.seconds_T).std())
    objective = Objective(to_beat, settings.decision_seconds, deviation or 1.0)
    return _Task(train, judged, _features(train, static, seed), objective, static)


def _warm(task: _Task, start: MLP, settings: FullInformation, seed: int, say: Say) -> MLP:
    """The best iteration of the warm start, twice: first against the best static tree's rate, then against its own."""
    best, score = start, -np.inf

    def keep(_iteration: int, mlp: MLP) -> None:
        nonlocal best, score
        judged = task.judge(mlp)
        if judged > score:
            best, score = mlp, judged

    objective = task.objective
    for _ in range(2):
        warm_start(best, task.train, task.features, objective, settings, seed=seed, report=keep)
        objective = replace(objective, rate=max(objective.rate, task.rate_of(best, task.train)))
    say(f"full information | {score:.1f} tokens per second on the validation prompts")
    return best


def learn(
    table: ReplayTable,
    costs: CostModel,
    settings: LearningSettings | None = None,
    *,
    seed: int = 0,
    position: PositionFeatures | None = None,
    widths: Widths | None = None,
    log: Log | None = None,
    say: Say = print,
    checkpoints: Checkpoints | None = None,
) -> TreePolicy:
    """Train a tree policy on ``table``. Deterministic for a seed; with ``checkpoints``, PPO is resumable.

    ``position`` are the features that the table was built with (default: those without a projection); ``widths`` are
    those of the pair it was built from. ``log`` receives the metrics of PPO's updates, ``say`` a line per stage. Raises
    ValueError where the table holds other features or nothing to learn from.
    """
    settings, position, started = settings or LearningSettings(), position or PositionFeatures(), time.perf_counter()
    if list(table.feature_names) != position.names:
        raise ValueError(
            f"the table holds the features {', '.join(table.feature_names)}; the given ones are {', '.join(position.names)}: "
            "pass the features that the table was built with"
        )
    mlp, task = _learned(table, costs, settings, seed, log, say, checkpoints)
    metadata = {
        "costs_seconds": dict(zip(map(str, task.train.actions), task.train.seconds_NA.mean(axis=0).tolist(), strict=True)),
        "best_static": str(task.train.actions[task.static]),
        "validation_gain": task.judge(mlp) / rate(roll(task.judged, fixed(task.static))),
        "training_seconds": time.perf_counter() - started,
        "seed": seed,
        "decision_seconds": settings.decision_seconds,
        "table": dict(table.metadata),
    }
    return TreePolicy(task.train.actions, mlp, task.features, position, widths, metadata)


def _learned(
    table: ReplayTable,
    costs: CostModel,
    settings: LearningSettings,
    seed: int,
    log: Log | None,
    say: Say,
    checkpoints: Checkpoints | None,
) -> tuple[MLP, _Task]:
    task = _task(table.subset(_menu(table, costs, settings.menu_size)), costs, settings, seed)
    menu = ", ".join(map(str, task.train.actions))
    say(f"menu {menu} | best static {task.train.actions[task.static]}, {task.objective.rate:.1f} tokens per second")
    if settings.ppo is not None:
        mlp = _refined(task, settings, settings.ppo, seed, log, say, checkpoints)
    else:
        assert settings.warm is not None
        mlp = _warm(task, initial(task.features.width, len(task.train.actions), seed), settings.warm, seed, say)
    constant = task.constant()
    if task.judge(constant) >= task.judge(mlp):
        say(f"nothing learned beats the static tree {task.train.actions[task.static]}: the policy always chooses that")
        mlp = constant
    return mlp, task


def _refined(
    task: _Task,
    settings: LearningSettings,
    ppo: PPOSettings,
    seed: int,
    log: Log | None,
    say: Say,
    checkpoints: Checkpoints | None,
) -> MLP:
    def prepare(policy: ActorCriticPolicy) -> None:
        if settings.warm is not None:
            import_mlp(policy, _warm(task, export_mlp(policy), settings.warm, seed, say))

    env = ReplayVecEnv(task.train, task.features, task.objective, settings.decodes, seed)
    policy = train_ppo(env, ppo, seed=seed, log=log, checkpoints=checkpoints, judge=task.judge, prepare=prepare)
    mlp = export_mlp(policy)
    say(f"ppo | {task.judge(mlp):.1f} tokens per second on the validation prompts")
    return mlp
