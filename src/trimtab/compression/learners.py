"""Which learners are there, by name, and what do the command line's settings mean to each?

Bandits see the reward of the action they took; ``ridge`` and ``mlp`` see every action's (only a table has those).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.compression.regression import Perceptron, Ridge
from trimtab.compression.router import Scores
from trimtab.policies.bandit import Bandit
from trimtab.policies.linear import LinearThompson, LinUCB, LinUCBBandit, ThompsonBandit
from trimtab.policies.neural_linear import NeuralLinear, NeuralLinearBandit
from trimtab.policies.neural_ucb import NeuralUCB


@dataclass(frozen=True)
class LearnerSettings:
    """``ucb_beta``: how much a bandit explores; ``lr``: of networks, None for the learner's own; ``ridge``: the prior's
    precision, in units of one round."""

    ucb_beta: float = 0.3
    lr: float | None = None
    ridge: float = 10.0
    seed: int = 0


Builder = Callable[[Sequence[str], int, LearnerSettings], Bandit[str]]


def _lin_ucb(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
    return LinUCB(s.ucb_beta, s.ridge).build(actions, features)


def _lin_ts(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
    return LinearThompson(s.ucb_beta, s.ridge).build(actions, features, s.seed)


def _neural_linear(rule: Literal["ts", "ucb"]) -> Builder:
    def build(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
        settings = NeuralLinear(
            exploration=s.ucb_beta,
            rule=rule,
            rate=0.1,
            train_every=128,
            steps=60,
            batch_size=128,
            learning_rate=s.lr or 1e-3,
        )
        return settings.build(actions, features, s.seed)

    return build


def _neural(
    rule: Literal["ucb", "ts"], covariance: Literal["diagonal", "full"], start: Literal["warm", "theta0"]
) -> Builder:
    def build(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
        settings = NeuralUCB(
            exploration=s.ucb_beta,
            rule=rule,
            covariance=covariance,
            start=start,
            width=100 if covariance == "diagonal" else 8,
            train_every=32,
            learning_rate=s.lr or 1e-2,
        )
        return settings.build(actions, features, s.seed)

    return build


BANDITS: dict[str, Builder] = {
    "lin-ucb": _lin_ucb,
    "lin-ts": _lin_ts,
    "neural-linear-ucb": _neural_linear("ucb"),
    "neural-linear-ts": _neural_linear("ts"),
    "neural-ucb": _neural("ucb", "diagonal", "warm"),
    "neural-ucb-theta0": _neural("ucb", "diagonal", "theta0"),
    "neural-ucb-full": _neural("ucb", "full", "warm"),
    "neural-ts": _neural("ts", "diagonal", "warm"),
}


def _perceptron(contexts_PF: np.ndarray, rewards_PA: np.ndarray, s: LearnerSettings) -> Scores:
    settings = Perceptron() if s.lr is None else Perceptron(learning_rate=s.lr)
    return Scores(settings.fit(contexts_PF, rewards_PA, s.seed))


def _ridge(contexts_PF: np.ndarray, rewards_PA: np.ndarray, s: LearnerSettings) -> Scores:
    return Scores(Ridge().fit(contexts_PF, rewards_PA, s.seed))


FULL_INFORMATION: dict[str, Callable[[np.ndarray, np.ndarray, LearnerSettings], Scores]] = {
    "ridge": _ridge,
    "mlp": _perceptron,
}
LEARNERS = (*FULL_INFORMATION, *BANDITS)


def check(name: str) -> None:
    """Raises ValueError for an unknown learner, naming the known."""
    if name not in LEARNERS:
        close = difflib.get_close_matches(name, LEARNERS, 1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no learner {name!r}. {hint}Expected one of: {', '.join(LEARNERS)}")


def scores_of(bandit: Bandit[str]) -> Scores:
    """What a bandit would deploy: its means, and its deviations where it knows them."""
    if isinstance(bandit, (LinUCBBandit, ThompsonBandit)):
        return Scores(bandit.mlp(), bandit.ridges.inverse_AFF.copy(), np.ones(len(bandit.actions)))
    if isinstance(bandit, NeuralLinearBandit):
        posterior = bandit.posterior
        return Scores(bandit.mlp(), posterior.covariance_AZZ.copy(), np.sqrt(posterior.b_A / posterior.a_A))
    return Scores(bandit.mlp())
