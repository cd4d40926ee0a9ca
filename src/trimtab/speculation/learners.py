"""Which learners are there, by name? Each turns a task into a perceptron over the menu's trees.

PPO and DQN play rounds as a Markov decision process; bandits take each round for itself, worth the time that it saves
against the best static tree, where it lands included (``environment``); full information sees every outcome of the
table. All are frozen dataclasses of hyper-parameters, all resume exactly from checkpoints, and all keep the best policy
on the validation prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from stable_baselines3.common.policies import ActorCriticPolicy

from trimtab.checkpoints import Keeper
from trimtab.policies.bandit import Bandit
from trimtab.policies.distillation import Distillation
from trimtab.policies.dqn import DQNSettings, train_dqn
from trimtab.policies.exp3 import EXP3
from trimtab.policies.factored import expanded
from trimtab.policies.linear import LinearThompson, LinUCB
from trimtab.policies.loop import Schedule, train
from trimtab.policies.mlp import MLP
from trimtab.policies.networks import perceptron, single_thread
from trimtab.policies.neural_linear import NeuralLinear
from trimtab.policies.sb3 import Log, PPOSettings, export_mlp, import_mlp, train_ppo
from trimtab.policies.sb3_training import plain_settings
from trimtab.policies.ucb1 import UCB1
from trimtab.speculation.bandit_replay import BanditReplay
from trimtab.speculation.full_information import FullInformation, FullInformationLearner, warm_start
from trimtab.speculation.greedy_network import greedy_network
from trimtab.speculation.learning_task import LearningTask

Say = Callable[[str], None]


class Learner(Protocol):
    """``fit`` is deterministic for a seed, and with ``checkpoints`` resumable to the same network.

    ``combines_bins``: whether the menu is given as combinations of bins (MultiDiscrete), all of them, unpruned.
    """

    @property
    def combines_bins(self) -> bool: ...
    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP: ...


@runtime_checkable
class Refitting(Protocol):
    """A learner whose policy needs no judge, once it is known to be good: it learns again from all prompts."""

    def refit(self, task: LearningTask, *, seed: int) -> MLP: ...


# -- a Markov decision process -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PPO:
    """PPO over ``decodes`` prompts side by side, started from full information (``warm``; None: from nothing).

    ``combines_bins``: MultiDiscrete, with a logit for each bin (``policies.factored``); else flat. ``landing``: rewards
    shaped by where a round leads, which needs no refreshed rate.
    """

    settings: PPOSettings = field(default_factory=PPOSettings)
    warm: FullInformation | None = field(default_factory=FullInformation)
    decodes: int = 128
    combines_bins: bool = False
    landing: bool = False

    def with_entropy(self, coefficient: float) -> PPO:
        """The max-entropy mode: a bonus of so much per nat of the policy's entropy."""
        return replace(self, settings=replace(self.settings, entropy=coefficient))

    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP:
        bins_HA = task.bins_HA if self.combines_bins else None
        env = task.environment(self.decodes, seed, self.landing)

        def prepare(policy: ActorCriticPolicy) -> None:
            if self.warm is not None:
                import_mlp(policy, warmed(task, export_mlp(policy), self.warm, seed, bins_HA))
                started = export_mlp(policy, bins_HA)
                say(f"full information | {task.judge(started):.1f} tokens per second on the validation prompts")

        def judge(mlp: MLP) -> float:
            env.objective = task.raised(env.objective, mlp)
            return task.judge(mlp)

        policy = train_ppo(
            env,
            replace(self.settings, gamma=0.0) if task.myopic else self.settings,
            seed=seed,
            log=log,
            checkpoints=checkpoints,
            judge=judge,
            prepare=prepare,
            bins_HA=bins_HA,
        )
        return export_mlp(policy, bins_HA)


def warmed(
    task: LearningTask, network: MLP, settings: FullInformation, seed: int, bins_HA: np.ndarray | None = None
) -> MLP:
    """The best iteration of full information from ``network``; where the rate is refreshed, of a second run against the
    first one's rate."""
    best, score, objective = network, -np.inf, task.objective

    def keep(_iteration: int, mlp: MLP) -> None:
        nonlocal best, score
        judged = task.judge(expanded(mlp, bins_HA))
        if judged > score:
            best, score = mlp, judged

    rewards = task.rewards()
    for _ in range(2 if task.refresh_rate else 1):
        warm_start(
            best,
            task.train,
            task.features,
            objective,
            settings,
            seed=seed,
            report=keep,
            bins_HA=bins_HA,
            rewards=rewards,
            myopic=task.myopic,
        )
        objective = task.raised(objective, expanded(best, bins_HA))
    return best


@dataclass(frozen=True)
class DQN:
    """Double DQN over ``decodes`` prompts side by side; with ``settings.entropy``, soft Q-learning."""

    settings: DQNSettings = field(default_factory=DQNSettings)
    decodes: int = 64
    landing: bool = False

    @property
    def combines_bins(self) -> bool:
        return False

    def with_entropy(self, coefficient: float) -> DQN:
        """The max-entropy mode: soft values, a policy of temperature ``coefficient`` (in units of reward)."""
        return replace(self, settings=replace(self.settings, entropy=coefficient))

    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP:
        env = task.environment(self.decodes, seed, self.landing)

        def judge(mlp: MLP) -> float:
            env.objective = task.raised(env.objective, mlp)
            return task.judge(mlp)

        settings = replace(self.settings, gamma=0.0) if task.myopic else self.settings
        return train_dqn(env, settings, seed=seed, log=log, checkpoints=checkpoints, judge=judge)


# -- every outcome known -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Informed:
    """Policy iteration on all outcomes of the table, from an untrained network of ``hidden`` layers.

    Its strong decay of weights needs no early stop, so that it can learn from the validation prompts too (``refit``).
    """

    settings: FullInformation = field(default_factory=lambda: FullInformation(weight_decay=0.3))
    hidden: tuple[int, ...] = (64, 64)
    combines_bins: bool = False

    def with_entropy(self, coefficient: float) -> Informed:
        """The max-entropy mode: so much entropy (in units of reward) at first, a tenth of it at last."""
        return replace(self, settings=replace(self.settings, entropy=coefficient))

    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP:
        learner, settings = self._begun(task, seed), plain_settings(self) | {"seed": seed}
        schedule = Schedule(self.settings.iterations)
        return train(learner, schedule, task.judge, settings=settings, log=log, checkpoints=checkpoints)

    def refit(self, task: LearningTask, *, seed: int) -> MLP:
        """The same number of iterations on ``task``'s training prompts, none of them judged."""
        learner = self._begun(task, seed)
        with single_thread():
            for _ in range(self.settings.iterations):
                learner.update()
        return learner.mlp()

    def _begun(self, task: LearningTask, seed: int) -> FullInformationLearner:
        bins_HA = task.bins_HA if self.combines_bins else None
        outputs = len(task.actions) if bins_HA is None else len(bins_HA)
        return FullInformationLearner(
            perceptron(task.features.width, self.hidden, outputs, seed),
            task.train,
            task.features,
            task.objective,
            self.settings,
            seed=seed,
            bins_HA=bins_HA,
            refresh_rate=task.refresh_rate,
            rewards=task.rewards(),
            myopic=task.myopic,
        )


# -- bandits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BanditLearner:
    """A bandit that plays ``decodes`` prompts side by side, ``rounds`` of each between two judgements.

    ``bandit`` is its settings. ``landing`` False: a round is worth its tokens less its seconds at the rate to beat, and
    nothing else.
    """

    bandit: UCB1 | EXP3 | LinUCB | LinearThompson | NeuralLinear
    updates: int = 40
    rounds: int = 64
    decodes: int = 16
    landing: bool = True
    judge_every: int = 2
    checkpoint_every: int = 10

    @property
    def combines_bins(self) -> bool:
        return False

    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP:
        env = task.environment(self.decodes, seed, self.landing)
        learner = BanditReplay(self._built(task, seed), env, self.rounds)

        def judge(mlp: MLP) -> float:
            if not self.landing:  # shaped rewards know no rate
                env.objective = task.raised(env.objective, mlp)
            return task.judge(mlp)

        schedule = Schedule(self.updates, self.judge_every, self.checkpoint_every)
        settings = plain_settings(self) | {"seed": seed}
        return train(learner, schedule, judge, settings=settings, log=log, checkpoints=checkpoints)

    def _built(self, task: LearningTask, seed: int) -> Bandit[Any]:
        width, bandit = task.features.width, self.bandit
        if isinstance(bandit, EXP3):
            low, high = np.quantile(task.rewards(self.landing)(task.objective), (0.01, 0.99)).tolist()
            return replace(bandit, low=low, high=max(high, low + 1e-6)).build(task.actions, width, seed)
        if isinstance(bandit, LinearThompson | NeuralLinear):
            return bandit.build(task.actions, width, seed)
        return bandit.build(task.actions, width)


# -- closed form -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Greedy:
    """The rule of ``greedy`` (expected worth over measured cost, no gradient), taken over by a small network so that it
    travels as any policy. The rule itself is ``greedy.fit``."""

    student: Distillation = field(default_factory=Distillation)

    @property
    def combines_bins(self) -> bool:
        return False

    def fit(self, task: LearningTask, *, seed: int, log: Log | None, say: Say, checkpoints: Keeper | None) -> MLP:
        mlp, agreed = greedy_network(task, self.student, seed)
        say(f"greedy | the network chooses as the rule does in {agreed:.1%} of the training rounds")
        return mlp


LEARNERS: dict[str, Learner] = {
    "ppo": PPO(),
    "ppo-multidiscrete": PPO(combines_bins=True),
    "dqn": DQN(DQNSettings(gamma=0.7)),
    "linucb": BanditLearner(LinUCB(ridge=100.0), updates=160),
    "lin-ts": BanditLearner(LinearThompson(ridge=300.0), updates=160),
    "neural-linear": BanditLearner(NeuralLinear(ridge=100.0, weight_decay=0.1), updates=100),
    "full-information": Informed(),
    "greedy": Greedy(),
    "ucb1": BanditLearner(UCB1()),
    "exp3": BanditLearner(EXP3()),
}
"""Name -> learner, its hyper-parameters chosen by cross-validation over training prompts. Ridges are strong: a reward of
deviation 1 tells little of differences that are a few hundredths, and dozens of trees share the rounds."""


def named_learner(name: str, *, entropy_coef: float | None = None, multidiscrete: bool = False) -> Learner:
    """The learner called ``name``, with an entropy coefficient (max-entropy mode) and over bins, where asked for.

    Raises ValueError for an unknown name, listing the known ones, and for what the learner cannot do, naming those that
    can.
    """
    if name not in LEARNERS:
        raise ValueError(f"no learner {name!r}; known learners: {', '.join(LEARNERS)}")
    learner: Any = LEARNERS[name]
    if entropy_coef is not None:
        _must(name, "max-entropy mode", lambda other: hasattr(other, "with_entropy"))
        learner = learner.with_entropy(entropy_coef)
    if multidiscrete and not learner.combines_bins:
        _must(name, "MultiDiscrete actions", lambda other: "combines_bins" in {field.name for field in fields(other)})
        learner = replace(learner, combines_bins=True)
    return learner


def _must(name: str, what: str, able: Callable[[Any], bool]) -> None:
    if not able(LEARNERS[name]):
        others = ", ".join(known for known, other in LEARNERS.items() if able(other))
        raise ValueError(f"the learner {name} has no {what}; those that have: {others}")
