"""Does the learned choice pay, on prompts never learnt from? Every baseline beside it, and the oracle, prompt by prompt.

Everything is chosen on the training part: the best fixed action, and for the lookup the best one of each group (the kind of
task; groups unknown there get the best fixed). Differences are paired by prompt, their intervals bootstrapped over prompts
(and over models, where several were trained). Null controls: features dealt to the wrong prompts must gain nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.compression.actions import METHODS, short
from trimtab.compression.table import RewardTable
from trimtab.statistics import Interval, mean_interval, paired_difference, verdict

TIE = 0.02
"""Two rewards nearer than this are a tie."""
BEST_FIXED, LOOKUP, UNIFORM, ORACLE = "best fixed", "lookup", "uniform", "oracle"


@dataclass(frozen=True, eq=False)
class Contender:
    """A way of choosing: its columns on each held-out prompt, and what it is."""

    name: str
    columns_P: np.ndarray
    note: str = ""


@dataclass(frozen=True, eq=False)
class Contest:
    """The held-out prompts' rewards and who met them. The first contender is the best fixed action."""

    rewards_PA: np.ndarray
    actions: tuple[str, ...]
    groups: tuple[str, ...]
    budget: int
    part: str
    contenders: tuple[Contender, ...]

    def earned(self, name: str) -> np.ndarray:
        """Rewards [P] of a contender. Raises ValueError naming the known."""
        for contender in self.contenders:
            if contender.name == name:
                return self.rewards_PA[np.arange(len(self.rewards_PA)), contender.columns_P]
        raise ValueError(f"no contender {name!r}: expected one of {', '.join(c.name for c in self.contenders)}")

    def against(self, name: str, other: str = BEST_FIXED) -> Interval:
        """Mean reward of ``name`` over ``other``'s."""
        return paired_difference(self.earned(name), self.earned(other))

    def verdict(self, name: str) -> str:
        """better, worse or undecided, against the best fixed action."""
        return verdict(self.against(name))

    @property
    def ties(self) -> float:
        """Share of prompts where the second best action is within ``TIE`` of the best."""
        if self.rewards_PA.shape[1] < 2:
            return 1.0
        top = np.sort(self.rewards_PA, axis=1)[:, -2:]
        return float((top[:, 1] - top[:, 0] < TIE).mean())

    def histogram(self, name: str) -> dict[str, int]:
        """How often a contender took each action, the most frequent first."""
        columns = next(c.columns_P for c in self.contenders if c.name == name)
        return {self.actions[column]: count for column, count in Counter(columns.tolist()).most_common()}

    def rows(self) -> list[dict[str, Any]]:
        """The comparison, a mapping per contender."""
        return [self._row(contender) for contender in self.contenders]

    def _row(self, contender: Contender) -> dict[str, Any]:
        mean, gain = mean_interval(self.earned(contender.name)), self.against(contender.name)
        room = float(self.earned(ORACLE).mean() - self.earned(BEST_FIXED).mean())
        return {
            "budget": self.budget,
            "name": contender.name,
            self.part: mean.estimate,
            "against_best_fixed": gain.estimate,
            "low": gain.low,
            "high": gain.high,
            "share_of_oracle_gain": round(gain.estimate / room, 9) if room > 1e-9 else None,
            "verdict": "" if contender.name == BEST_FIXED else verdict(gain),
            "note": contender.note,
        }


def lookup(rewards_PA: np.ndarray, groups: Sequence[str]) -> dict[str, int]:
    """The best column of each group."""
    named = np.array(groups)
    return {group: int(rewards_PA[named == group].mean(axis=0).argmax()) for group in dict.fromkeys(groups)}


def contest(
    train: RewardTable,
    held_out: RewardTable,
    part: str,
    budget: int,
    learned: Mapping[str, np.ndarray],
    notes: Mapping[str, str] | None = None,
) -> Contest:
    """Baselines chosen on ``train``, ``learned`` (columns on the held-out prompts by learner), and the oracle.

    Raises ValueError where the tables are of different actions.
    """
    if train.actions != held_out.actions:
        raise ValueError("the tables are of different actions: tabulate both with the same menu")
    known, rewards_PA = train.rewards(part, budget), held_out.rewards(part, budget).astype(np.float64)
    count, best = len(rewards_PA), int(known.mean(axis=0).argmax())
    rows = [
        Contender(BEST_FIXED, np.full(count, best), f"{short(train.actions[best])}, chosen on the training prompts")
    ]
    published = {name: train.actions.index(name) for name in METHODS if name in train.actions}
    rows += [Contender(name, np.full(count, column), "published method") for name, column in published.items()]
    if train.groups and held_out.groups:
        of_group = lookup(known, train.groups)
        columns = np.array([of_group.get(group, best) for group in held_out.groups])
        rows.append(Contender(LOOKUP, columns, "the best action of each kind of task, which must be known"))
    chance = np.random.default_rng(0).integers(len(train.actions), size=count)
    rows.append(Contender(UNIFORM, chance, "any action, each as likely"))
    rows += [Contender(name, columns, (notes or {}).get(name, "")) for name, columns in learned.items()]
    rows.append(Contender(ORACLE, rewards_PA.argmax(axis=1), "the best action of each prompt: no policy can do better"))
    return Contest(rewards_PA, train.actions, held_out.groups, budget, part, tuple(rows))


def crossed_difference(differences_MP: Sequence[np.ndarray], *, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Interval of a mean difference over models and prompts: models are drawn anew, and the prompts of each."""
    generator = np.random.default_rng(seed)
    replicates = np.empty((len(differences_MP), resamples))
    for model, values_P in enumerate(differences_MP):
        for start in range(0, resamples, 500):
            stop = min(resamples, start + 500)
            drawn = generator.integers(len(values_P), size=(stop - start, len(values_P)))
            replicates[model, start:stop] = values_P[drawn].mean(axis=1)
    models = generator.integers(len(differences_MP), size=(len(differences_MP), resamples))
    means = np.take_along_axis(replicates, models, axis=0).mean(axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(np.mean([values.mean() for values in differences_MP])), float(low), float(high))
