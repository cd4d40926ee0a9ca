"""Which learners are there, by name, and what do the command line's settings mean to each?

Bandits see the reward of the action they took; ``ridge`` and ``mlp`` see every action's (only a table has those).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from trimtab.compression.regression import Perceptron, Ridge, Shared
from trimtab.compression.router import Scores
from trimtab.plain import Plain
from trimtab.policies.bandit import Bandit
from trimtab.policies.linear import LinearThompson, LinUCB, LinUCBBandit, ThompsonBandit
from trimtab.policies.neural_linear import NeuralLinear, NeuralLinearBandit
from trimtab.policies.neural_ucb import Doubt, NeuralUCB, NeuralUCBBandit


@dataclass(frozen=True)
class LearnerSettings:
    """``ucb_beta``: how much a bandit explores; ``lr``: of networks, None for the learner's own; ``ridge``: the prior's
    precision, in units of one round; ``kept``: how many of the last columns tell what each action would keep."""

    ucb_beta: float = 0.3
    lr: float | None = None
    ridge: float = 10.0
    seed: int = 0
    kept: int = 0


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
    "neural-ucb-full-theta0": _neural("ucb", "full", "theta0"),
    "neural-ts": _neural("ts", "diagonal", "warm"),
}


def _perceptron(contexts_PF: np.ndarray, rewards_PA: np.ndarray, s: LearnerSettings) -> Scores:
    settings = Perceptron() if s.lr is None else Perceptron(learning_rate=s.lr)
    return Scores(settings.fit(contexts_PF, rewards_PA, s.seed))


def _ridge(contexts_PF: np.ndarray, rewards_PA: np.ndarray, s: LearnerSettings) -> Scores:
    if s.kept:
        return Scores(Shared().fit(contexts_PF, rewards_PA, s.kept, s.seed))
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
    if isinstance(bandit, NeuralUCBBandit):
        # copies: the bandit goes on
        return Scores(bandit.mlp(), doubt=Doubt.from_arrays(bandit.doubt().arrays()))
    return Scores(bandit.mlp())


class Centred:
    """A bandit that is told rewards as differences from the mean of the first update's.

    Ridge regressions start from 0: where all rewards lie well above that, whatever was tried first looks better than all
    that was not, and little else is tried. Around their mean, what was never tried is expected to be like the rest.
    """

    def __init__(self, bandit: Bandit[str]) -> None:
        self.bandit = bandit
        self.centre: float | None = None

    def choose(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Columns [B], as exploration wants them."""
        return self.bandit.choose(contexts_BF)

    def observe(self, contexts_BF: np.ndarray, columns_B: np.ndarray, rewards_B: np.ndarray) -> None:
        """Learn from what the chosen columns brought."""
        if self.centre is None:
            self.centre = float(rewards_B.mean())
        self.bandit.observe(contexts_BF, columns_B, rewards_B - self.centre)

    def means(self, contexts_BF: np.ndarray) -> np.ndarray:
        """Expected rewards [B, A]."""
        return self.bandit.means(contexts_BF) + (self.centre or 0.0)

    def scores(self) -> Scores:
        """What would be deployed, in units of reward."""
        scores = scores_of(self.bandit)
        weight, bias = scores.mlp.layers[-1]
        moved = (weight, (bias + (self.centre or 0.0)).astype(np.float32))
        return replace(scores, mlp=replace(scores.mlp, layers=(*scores.mlp.layers[:-1], moved)))

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was learned."""
        return self.bandit.arrays()

    def state(self) -> dict[str, Plain]:
        """What a checkpoint needs besides."""
        return {"bandit": self.bandit.state(), "centre": self.centre}

    def restore(self, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        """Go on from what the two above gave."""
        self.bandit.restore(arrays, state["bandit"])
        self.centre = state["centre"]
