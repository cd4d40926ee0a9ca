"""What is a learner given? Prompts to learn from, prompts to choose by, what a round is worth, how the policy will act.

Gradients come from ``train``; choices (which update, which policy, or none at all: the best static tree) are made on
``judged``, prompts that no gradient has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from trimtab.policies.bandit import constant_mlp
from trimtab.policies.factored import bins_of
from trimtab.policies.mlp import MLP
from trimtab.speculation.actions import TreeShape
from trimtab.speculation.context import FeatureSet
from trimtab.speculation.costs import CostModel
from trimtab.speculation.environment import Objective, ReplayVecEnv, seconds_to_go
from trimtab.speculation.flat_replay import Chooser, FlatReplay, Rounds, fixed, flatten, rate, roll
from trimtab.speculation.inference import Inference, drawn, softmax
from trimtab.speculation.measures import Watch, measures, of_rewards, outcomes_of, played_replay, policy_entropy
from trimtab.speculation.oracle import best_static, price
from trimtab.speculation.replay import ReplayTable
from trimtab.speculation.reward import named_reward
from trimtab.tracking import Value

TIME = "time"


@dataclass(frozen=True, eq=False)
class LearningTask:
    """A menu's replay in two parts, ``table`` being that of ``train``; ``known`` is both. ``static`` is the column of the
    tree that is best throughout on ``train``.

    ``reward`` names what rounds are worth (``reward.named_reward``), ``inference`` how the policy will act, ``judged``
    so too. With ``refresh_rate`` the rate to beat rises with the policy's own (Dinkelbach). ``watch`` is shown every policy
    that is judged.
    """

    table: ReplayTable
    costs: CostModel
    train: FlatReplay
    judged: FlatReplay
    known: FlatReplay
    features: FeatureSet
    objective: Objective
    static: int
    reward: str = TIME
    refresh_rate: bool = True
    inference: Inference = field(default_factory=Inference)
    watch: Watch | None = None

    @property
    def actions(self) -> list[TreeShape]:
        """The menu."""
        return self.train.actions

    @cached_property
    def bins_HA(self) -> np.ndarray:
        """Which bins of total_tokens, depth and top_k make each tree (see ``policies.factored``)."""
        return bins_of([(a.total_tokens, a.depth, a.top_k) for a in self.actions])

    @cached_property
    def to_go_N(self) -> np.ndarray:
        """Seconds that the best static tree takes from each row to the end."""
        return seconds_to_go(self.train, self.static, self.objective.decision_seconds)

    def rewards(self, landing: bool = False) -> Callable[[Objective], np.ndarray]:
        """What every action is worth at every row of ``train``, given the objective; ``landing``: shaped by where a round
        leads (see ``environment``). Raises ValueError for shaping a reward other than time."""
        if self.reward == TIME:
            return lambda objective: objective.rewards_NA(self.train, self.to_go_N if landing else None)
        if landing:
            raise ValueError(f"the reward {self.reward!r} cannot be shaped by where a round lands: only {TIME!r} can")
        return self._named

    @property
    def myopic(self) -> bool:
        """Whether the reward means nothing when summed, so that no learner may look beyond the round."""
        return named_reward(self.reward, self.objective.rate).myopic

    def _named(self, objective: Objective) -> np.ndarray:
        """Of the named reward, brought to a deviation of 1 where the best static tree is played."""
        named = named_reward(self.reward, objective.rate)
        rewards = named.of(self.train, decision_seconds=objective.decision_seconds)
        return rewards / (float(rewards[:, self.static].std()) or 1.0)

    def environment(self, decodes: int, seed: int, landing: bool = False) -> ReplayVecEnv:
        """The training prompts, ``decodes`` at a time."""
        return ReplayVecEnv(self.train, self.features, self.objective, decodes, seed, self.rewards(landing))

    def chooser(self, mlp: MLP) -> Chooser:
        """The policy as it will act, for replay. A sampling one draws anew from the same seed each time."""
        if self.inference.mode == "argmax":
            return lambda features_BF, _rows: mlp.scores(self.features.normalise(features_BF)).argmax(axis=1)
        generator, temperature = np.random.default_rng(self.inference.seed), self.inference.temperature

        def sampled(features_BF: np.ndarray, _rows: np.ndarray) -> np.ndarray:
            return drawn(softmax(mlp.scores(self.features.normalise(features_BF)), temperature), generator)

        return sampled

    def train_rate(self, mlp: MLP) -> float:
        """Tokens per second of the policy on the training prompts, its decisions included."""
        return rate(roll(self.train, self.chooser(mlp)), self.objective.decision_seconds)

    def judge(self, mlp: MLP) -> float:
        """The same on the validation prompts."""
        rounds = roll(self.judged, self.chooser(mlp))
        if self.watch is not None:
            self.watch.see(lambda: self.measured(mlp, rounds))
        return rate(rounds, self.objective.decision_seconds)

    def measured(self, mlp: MLP, rounds: Rounds) -> dict[str, Value]:
        """What a policy did in its rounds of the validation prompts, by name (see ``measures``)."""
        charged = self.objective.decision_seconds
        played = played_replay(rounds, self.judged, self.costs, decision_seconds=charged)
        rubric = named_reward(self.reward, self.objective.rate).rubric
        scores = mlp.scores(self.features.normalise(rounds.features_TF[rounds.decided_T]))
        undecided = {"policy_entropy": policy_entropy(scores, self.inference.temperature)}
        return measures(played) | undecided | of_rewards(rubric, outcomes_of(rounds, self.judged, charged))

    def judge_static(self) -> float:
        """Of the best static tree, which decides nothing and is charged for nothing."""
        return rate(roll(self.judged, fixed(self.static)))

    def raised(self, objective: Objective, mlp: MLP) -> Objective:
        """The objective with the policy's own rate to beat, where that is higher and the rate is to be refreshed."""
        if not self.refresh_rate:
            return objective
        return replace(objective, rate=max(objective.rate, self.train_rate(mlp)))

    def whole(self) -> LearningTask:
        """The task of learning from all prompts, once those of validation have had their say."""
        return replace(self, train=self.known)

    def constant(self) -> MLP:
        """The best static tree as a network: no weights, one bias."""
        return constant_mlp(np.eye(len(self.actions))[self.static], self.features.width)


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


def make_task(
    table: ReplayTable,
    costs: CostModel,
    *,
    validation_share: float = 0.2,
    decision_seconds: float = 1e-4,
    seed: int = 0,
    reward: str = TIME,
    refresh_rate: bool = True,
    inference: Inference | None = None,
) -> LearningTask:
    """The task of choosing among the trees of ``table``. The rate to beat is the best static tree's."""
    train_table, judged_table = split(table, validation_share, seed)
    train, judged = flatten(train_table, costs), flatten(judged_table, costs)
    static = best_static(price(train_table, costs))
    rounds = roll(train, fixed(static))
    to_beat = rate(rounds)
    deviation = float((rounds.tokens_T - to_beat * rounds.seconds_T).std())
    return LearningTask(
        train_table,
        costs,
        train,
        judged,
        flatten(table, costs),
        _features(train, static, seed),
        Objective(to_beat, decision_seconds, deviation or 1.0),
        static,
        reward,
        refresh_rate,
        inference or Inference(),
    )
