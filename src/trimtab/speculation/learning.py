"""How does a replay table become a policy, within a minute? Prune the menu, learn from full information, refine by PPO.

All choices among policies (which iteration, which update, or none at all: the best static tree) are made on a part of
the training prompts that no gradient has seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from stable_baselines3.common.policies import ActorCriticPolicy

from trimtab.checkpoints import Keeper
from trimtab.policies.mlp import MLP
from trimtab.policies.sb3 import Log, PPOSettings, export_mlp, import_mlp, train_ppo
from trimtab.speculation.context import FeatureSet, PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.environment import Objective, ReplayVecEnv
from trimtab.speculation.flat_replay import Chooser, FlatReplay, fixed, flatten, rate, roll
from trimtab.speculation.full_information import FullInformation, warm_start
from trimtab.speculation.oracle import Decode, best_static, price, prune
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.tree_policy import TreePolicy, Widths

Say = Callable[[str], None]


@dataclass(frozen=True)
class LearningSettings:
    """Hyper-parameters of ``learn``.

    ``menu_size`` trees are kept; ``validation_share`` of the prompts only choose among policies; ``decision_seconds``
    is what a decision is charged. ``warm``: None leaves all to PPO. With ``refresh_rate`` the rate to beat rises with
    the policy's own (Dinkelbach); without, it stays at the best static tree's.
    """

    menu_size: int = 12
    validation_share: float = 0.2
    decision_seconds: float = 1e-4
    decodes: int = 128
    refresh_rate: bool = True
    warm: FullInformation | None = field(default_factory=FullInformation)
    ppo: PPOSettings = field(default_factory=PPOSettings)

    def __post_init__(self) -> None:
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

    def greedy(self, mlp: MLP) -> Chooser:
        return lambda features_BF, _rows: mlp.scores(self.features.normalise(features_BF)).argmax(axis=1)

    def train_rate(self, mlp: MLP) -> float:
        """Tokens per second of the greedy policy on the training prompts, its decisions included."""
        return rate(roll(self.train, self.greedy(mlp)), self.objective.decision_seconds)

    def judge(self, mlp: MLP) -> float:
        """The same on the validation prompts."""
        return rate(roll(self.judged, self.greedy(mlp)), self.objective.decision_seconds)

    def raised(self, objective: Objective, mlp: MLP) -> Objective:
        """The objective with the policy's own rate to beat, where that is higher."""
        return replace(objective, rate=max(objective.rate, self.train_rate(mlp)))

    def constant(self) -> MLP:
        """The best static tree as a network: no weights, one bias."""
        bias = np.zeros(len(self.train.actions), dtype=np.float32)
        bias[self.static] = 1.0
        return MLP(((np.zeros((self.features.width, len(bias)), dtype=np.float32), bias),))


def split(table: ReplayTable, share: float, seed: int) -> tuple[ReplayTable, ReplayTable]:
    """Training and validation prompts, by chance; all of them in both where ``share`` leaves one side empty.

    The turns of a conversation stay together.
    """
    conversations = sorted({_conversation(prompt.task) for prompt in table.prompts if prompt.positions})
    order = np.random.default_rng(seed).permutation(conversations).tolist()
    held = set(order[: round(share * len(order))])
    if not held or len(held) == len(order):
        return table, table
    train = table.where(lambda prompt: _conversation(prompt.task) not in held)
    return train, table.where(lambda prompt: _conversation(prompt.task) in held)


def _conversation(task: str) -> str:
    return task.split("/turn")[0]


def _features(replay: FlatReplay, static: int, seed: int) -> FeatureSet:
    """Normalised over decodes with the best static tree and with trees chosen by chance."""
    rng = np.random.default_rng(seed)
    at_random = roll(replay, lambda features_BF, _rows: rng.integers(len(replay.actions), size=len(features_BF)))
    visited = np.concatenate((roll(replay, fixed(static)).features_TF, at_random.features_TF))
    return FeatureSet.fit(replay.feature_names, visited)


def _task(table: ReplayTable, costs: CostModel, settings: LearningSettings, seed: int) -> _Task:
    train_table, judged_table = split(table, settings.validation_share, seed)
    train, judged = flatten(train_table, costs), flatten(judged_table, costs)
    static = best_static(price(train_table, costs))
    rounds = roll(train, fixed(static))
    to_beat = rate(rounds)
    deviation = float((rounds.tokens_T - to_beat * rounds.seconds_T).std())
    objective = Objective(to_beat, settings.decision_seconds, deviation or 1.0)
    return _Task(train, judged, _features(train, static, seed), objective, static)


def _warm(task: _Task, start: MLP, settings: LearningSettings, seed: int) -> MLP:
    """The best iteration of the warm start; where the rate is refreshed, of a second one against the first's rate."""
    assert settings.warm is not None
    best, score, objective = start, -np.inf, task.objective

    def keep(_iteration: int, mlp: MLP) -> None:
        nonlocal best, score
        judged = task.judge(mlp)
        if judged > score:
            best, score = mlp, judged

    for _ in range(2 if settings.refresh_rate else 1):
        warm_start(best, task.train, task.features, objective, settings.warm, seed=seed, report=keep)
        objective = task.raised(objective, best)
    return best


def _refined(
    task: _Task, settings: LearningSettings, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None
) -> MLP:
    """The best policy of the warm start and PPO after it."""
    env = ReplayVecEnv(task.train, task.features, task.objective, settings.decodes, seed)

    def prepare(policy: ActorCriticPolicy) -> None:
        if settings.warm is not None:
            warm = _warm(task, export_mlp(policy), settings, seed)
            import_mlp(policy, warm)
            say(f"full information | {task.judge(warm):.1f} tokens per second on the validation prompts")

    def judge(mlp: MLP) -> float:
        if settings.refresh_rate:
            env.objective = task.raised(env.objective, mlp)
        return task.judge(mlp)

    policy = train_ppo(env, settings.ppo, seed=seed, log=log, checkpoints=checkpoints, judge=judge, prepare=prepare)
    mlp = export_mlp(policy)
    say(f"ppo | {task.judge(mlp):.1f} tokens per second on the validation prompts")
    return mlp


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
    checkpoints: Keeper | None = None,
) -> TreePolicy:
    """Train a tree policy on ``table``. Deterministic for a seed; with ``checkpoints``, resumable to the same policy.

    ``position`` are the features that the table was built with (default: those without a projection); ``widths`` are
    those of the pair it was built from. ``log`` receives the metrics of PPO's updates, ``say`` a line per stage. Raises
    ValueError where the table holds other features or nothing to learn from.
    """
    settings, position, started = settings or LearningSettings(), position or PositionFeatures(), time.perf_counter()
    if list(table.feature_names) != position.names:
        raise ValueError(
            f"the table holds the features {', '.join(table.feature_names)}; the given ones are "
            f"{', '.join(position.names)}: pass the features that the table was built with"
        )
    menu = prune(table, costs, min(settings.menu_size, len(table.actions)))
    task = _task(table.subset(menu), costs, settings, seed)
    static_tree = menu[task.static]
    say(f"menu {', '.join(map(str, menu))} | best static {static_tree}, {task.objective.rate:.1f} tokens per second")
    mlp = _refined(task, settings, seed, log, say, checkpoints)
    if task.judge(task.constant()) >= task.judge(mlp):
        say(f"nothing learned beats the static tree {static_tree}: the policy always chooses that")
        mlp = task.constant()
    metadata = {
        "costs_seconds": dict(zip(map(str, menu), task.train.seconds_NA.mean(axis=0).tolist(), strict=True)),
        "costs_measured_on": dict(costs.measured_on),
        "best_static": str(static_tree),
        "validation_gain": task.judge(mlp) / rate(roll(task.judged, fixed(task.static))),
        "training_seconds": time.perf_counter() - started,
        "seed": seed,
        "decision_seconds": settings.decision_seconds,
        "table": dict(table.metadata),
    }
    return TreePolicy(menu, mlp, task.features, position, widths, metadata)


def replayed(
    policy: TreePolicy, table: ReplayTable, costs: CostModel, *, decision_seconds: float = 0.0
) -> list[Decode]:
    """Decode every prompt of ``table`` with the policy, without a model. ``actions`` are columns of ``policy.actions``.

    ``decision_seconds`` are charged to every round. Raises ValueError where the table lacks one of the policy's trees.
    """
    replay = flatten(table, costs, policy.actions)
    rounds = roll(replay, lambda features_BF, _rows: policy.columns(features_BF))
    played = iter(range(replay.prompts))
    decodes: list[Decode] = []
    for prompt in table.prompts:
        mine = rounds.prompt_T == (next(played) if prompt.positions else -1)
        seconds = float((rounds.seconds_T[mine] + decision_seconds).sum())
        decodes.append(Decode(prompt.task, prompt.positions, seconds, rounds.action_T[mine].tolist()))
    return decodes
