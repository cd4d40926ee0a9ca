"""Which learners are there, by name, and what do the command line's settings mean to each?

Bandits see the reward of the action they took; ``ridge`` and ``mlp`` see every action's (only a table has those).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.compression.regression import Perceptron, Ridge
from trimtab.compression.router import Scores
from trimtab.policies.bandit import Bandit
from trimtab.policies.linear import LinearThompson, LinUCB
from trimtab.policies.neural_linear import NeuralLinear, NeuralLinearBandit


@dataclass(frozen=True)
class LearnerSettings:
    """``ucb_beta``: how much a bandit explores; ``lr``: of networks, None for the learner's own; ``ridge``: the prior's
    precision, in units of one round."""

    ucb_beta: float = 0.3
    lr: float | None = None
    ridge: float = 10.0
    seed: int = 0


def _lin_ucb(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
    return LinUCB(s.ucb_beta, s.ridge).build(actions, features)


def _lin_ts(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
    return LinearThompson(s.ucb_beta, s.ridge).build(actions, features, s.seed)


def _neural_linear(actions: Sequence[str], features: int, s: LearnerSettings) -> Bandit[str]:
    settings = NeuralLinear(
        exploration=s.ucb_beta,
        rate=0.1,
        train_every=128,
        steps=60,
        batch_size=128,
        learning_rate=s.lr or 1e-3,
    )
    return settings.build(actions, features, s.seed)


BANDITS: dict[str, Callable[[Sequence[str], int, LearnerSettings], Bandit[str]]] = {
    "lin-ucb": _lin_ucb,
    "lin-ts": _lin_ts,
    "neural-linear-ts": _neural_linear,
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
    ridges = getattr(bandit, "ridges", None)
    if ridges is not None:
        return Scores(bandit.mlp(), ridges.inverse_AFF.copy(), np.ones(len(bandit.actions)))
    if isinstance(bandit, NeuralLinearBandit):
        posterior = bandit.posterior
        return Scores(bandit.mlp(), posterior.covariance_AZZ.copy(), np.sqrt(posterior.b_A / posterior.a_A))
    return Scores(bandit.mlp())
