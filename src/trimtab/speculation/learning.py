"""How does a replay table become a policy, within a minute? Prune the menu, fit a learner, keep what validation favours.

All choices among policies (which iteration, which update, or none at all: the best static tree) are made on a part of
the training prompts that no gradient has seen. Which learners there are: ``learners``; what they are given:
``learning_task``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from trimtab.checkpoints import Keeper
from trimtab.plain import to_plain
from trimtab.policies.mlp import MLP
from trimtab.policies.sb3 import PPOSettings
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.costs import CostModel
from trimtab.speculation.flat_replay import flatten
from trimtab.speculation.full_information import FullInformation
from trimtab.speculation.inference import Inference
from trimtab.speculation.learners import PPO, Learner, Refitting, named_learner
from trimtab.speculation.learning_task import TIME, LearningTask, make_task, split
from trimtab.speculation.measures import Log, Watch
from trimtab.speculation.oracle import Decode, prune
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.states import Features
from trimtab.speculation.tree_policy import TreePolicy, Widths

__all__ = ["ACTION_SPACES", "MODES", "LearningSettings", "LearningTask", "Say", "learn", "mode_of", "replayed", "split"]

Say = Callable[[str], None]

MODES = ("standard", "max-entropy")
ACTION_SPACES = ("flat", "multidiscrete")
_ENTROPY = {"dqn": 0.1}  # soft Q-learning's is a temperature of values, the others' a bonus per nat
_ENTROPY_BONUS = 0.05


@dataclass(frozen=True)
class LearningSettings:
    """Hyper-parameters of ``learn``.

    ``menu_size`` trees are kept (all of them, where the learner combines bins); ``validation_share`` of the prompts only
    choose among policies; ``decision_seconds`` is what a decision is charged. With ``refresh_rate`` the rate to beat rises
    with the policy's own (Dinkelbach); without, it stays at the best static tree's. ``learner``: None is PPO, of
    ``decodes``, ``warm`` (None leaves all to PPO) and ``ppo``. ``reward`` names what a round is worth, ``inference`` is
    how the policy will act, and is judged. With ``refit`` a learner that can (``learners.Refitting``) learns once more,
    from the validation prompts too, after they have found it good; the gain on record is that from before.
    """

    menu_size: int = 48
    validation_share: float = 0.2
    decision_seconds: float = 1e-4
    decodes: int = 128
    refresh_rate: bool = True
    warm: FullInformation | None = field(default_factory=FullInformation)
    ppo: PPOSettings = field(default_factory=PPOSettings)
    learner: Learner | None = None
    reward: str = TIME
    refit: bool = True
    inference: Inference = field(default_factory=Inference)

    def __post_init__(self) -> None:
        if self.menu_size < 1 or not 0 <= self.validation_share < 1 or self.decodes < 1:
            raise ValueError(f"{self}: expected menu_size and decodes >= 1, and validation_share from 0 to below 1")

    @property
    def fitted(self) -> Learner:
        """The learner itself."""
        return self.learner or PPO(self.ppo, self.warm, self.decodes)


def mode_of(
    name: str,
    mode: str = "standard",
    *,
    entropy_coef: float | None = None,
    inference_temperature: float | None = None,
    action_space: str = "flat",
) -> tuple[Learner, Inference]:
    """The learner called ``name`` in a mode, and how its policy acts.

    ``standard``: the learner's own entropy, argmax. ``max-entropy``: a larger entropy coefficient, and actions drawn from
    the softmax of scores over the temperature (default 1). Either number may be given in either mode; a temperature makes
    it draw. ``action_space``: flat, or multidiscrete (``learners.Learner.combines_bins``). Raises ValueError for an unknown
    name, mode or space, or what the learner cannot do.
    """
    if action_space not in ACTION_SPACES:
        raise ValueError(f"no action space {action_space!r}; known ones: {', '.join(ACTION_SPACES)}")
    if mode not in MODES:
        raise ValueError(f"no mode {mode!r}; known modes: {', '.join(MODES)}")
    if mode == "max-entropy":
        entropy_coef = _ENTROPY.get(name, _ENTROPY_BONUS) if entropy_coef is None else entropy_coef
        inference_temperature = 1.0 if inference_temperature is None else inference_temperature
    learner = named_learner(name, entropy_coef=entropy_coef, multidiscrete=action_space == "multidiscrete")
    if not inference_temperature:  # none given, or 0: the limit of drawing
        return learner, Inference()
    return learner, Inference(mode="sample", temperature=inference_temperature)


def learn(
    table: ReplayTable,
    costs: CostModel,
    settings: LearningSettings | None = None,
    *,
    seed: int = 0,
    position: Features | None = None,
    widths: Widths | None = None,
    log: Log | None = None,
    say: Say = print,
    checkpoints: Keeper | None = None,
) -> TreePolicy:
    """Train a tree policy on ``table``. Deterministic for a seed; with ``checkpoints``, resumable to the same policy.

    ``position`` are the features that the table was built with (default: those without a projection); ``widths`` are
    those of the pair it was built from. ``log`` receives the metrics of the learner's updates and of the
    policies judged (``judged/...``, see ``measures``), ``say`` a line per stage.
    Raises ValueError where the table holds other features or nothing to learn from.
    """
    settings, position, started = settings or LearningSettings(), position or PositionFeatures(), time.perf_counter()
    _check_features(table, position)
    watch = None if log is None else Watch(log)
    task = replace(_task(table, costs, settings, seed), watch=watch)
    static = task.actions[task.static]
    say(f"menu {_listed(task.actions)} | best static {static}, {task.objective.rate:.1f} tokens per second")
    learner, refitting = settings.fitted, settings.refit
    mlp = learner.fit(task, seed=seed, log=watch, say=say, checkpoints=checkpoints)
    say(f"{type(learner).__name__} | {task.judge(mlp):.1f} tokens per second on the validation prompts")
    if task.judge_static() >= task.judge(mlp):
        say(f"nothing learned beats the static tree {static}: the policy always chooses that")
        mlp, task = task.constant(), replace(task, inference=Inference())
        refitting = False
    metadata = _metadata(task, mlp, costs)
    if refitting and isinstance(learner, Refitting):
        mlp = learner.refit(task.whole(), seed=seed)
    metadata |= {
        "refitted": refitting and isinstance(learner, Refitting),
        "training_seconds": time.perf_counter() - started,
        "seed": seed,
        "decision_seconds": settings.decision_seconds,
        "learner": _described(learner),
    }
    return TreePolicy(task.actions, mlp, task.features, position, widths, metadata, inference=task.inference)


def _check_features(table: ReplayTable, position: Features) -> None:
    if list(table.feature_names) != position.names:
        raise ValueError(
            f"the table holds the features {', '.join(table.feature_names)}; the given ones are "
            f"{', '.join(position.names)}: pass the features that the table was built with"
        )


def _task(table: ReplayTable, costs: CostModel, settings: LearningSettings, seed: int) -> LearningTask:
    pruned = table
    if not settings.fitted.combines_bins and settings.menu_size < len(table.actions):
        pruned = table.subset(prune(table, costs, settings.menu_size))
    return make_task(
        pruned,
        costs,
        validation_share=settings.validation_share,
        decision_seconds=settings.decision_seconds,
        seed=seed,
        reward=settings.reward,
        refresh_rate=settings.refresh_rate,
        inference=settings.inference,
    )


def _listed(menu: list[TreeShape]) -> str:
    return ", ".join(map(str, menu)) if len(menu) <= 24 else f"of {len(menu)} trees"


def _described(learner: Any) -> dict[str, Any]:
    """A learner's hyper-parameters, as a card holds them."""
    return to_plain(learner)


def _metadata(task: LearningTask, mlp: MLP, costs: CostModel) -> dict[str, Any]:
    """What the policy's card says of its origin."""
    return {
        "costs_seconds": dict(zip(map(str, task.actions), task.train.seconds_NA.mean(axis=0).tolist(), strict=True)),
        "costs_measured_on": dict(costs.measured_on),
        "best_static": str(task.actions[task.static]),
        "validation_gain": task.judge(mlp) / task.judge_static(),
        "reward": task.reward,
        "table": dict(task.table.metadata),
    }


def replayed(
    policy: TreePolicy, table: ReplayTable, costs: CostModel, *, decision_seconds: float = 0.0
) -> list[Decode]:
    """Decode every prompt of ``table`` with the policy as it acts, without a model. ``actions`` are columns of
    ``policy.actions``.

    ``decision_seconds`` are charged for every decision. Raises ValueError where the table lacks one of the policy's
    trees, or its features.
    """
    replay = flatten(table, costs, policy.actions)
    rounds = policy.replay(replay)
    charged = rounds.charged_T(decision_seconds)
    played = iter(range(replay.prompts))
    decodes: list[Decode] = []
    for prompt in table.prompts:
        mine = rounds.prompt_T == (next(played) if prompt.positions else -1)
        decodes.append(
            Decode(prompt.task, prompt.positions, float(charged[mine].sum()), rounds.action_T[mine].tolist())
        )
    return decodes
