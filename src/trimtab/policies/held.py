"""How long is an action kept? For N rounds; or shorter, where what is seen drifts or what it brings is a surprise.

A decision costs features, a network and, on an accelerator, a wait for the device; a kept action costs a comparison.
What is kept is a plan: the actions of the next rounds, one after the other. Holding an action for N rounds is the plan
that repeats it (the "action cache" of Re-SpS, arXiv 2601.12212, holds for 30 rounds).

``Plan`` serves one live decode, ``Plans`` serves B replayed ones; they agree round for round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

A = TypeVar("A")


class Observed(Protocol):
    """A round that is over: how many drafted tokens (or whatever the action was to bring) it ``accepted``."""

    @property
    def accepted(self) -> int: ...


@dataclass(frozen=True)
class Adaptive:
    """When a plan ends early. ``drift``: where the features' root mean square distance from those of the decision (in
    standard deviations of each feature) is above it; this takes the features of every round. ``surprise``: where the
    last round accepted more, or fewer, than expected of its action by over so many.

    Raises ValueError where neither is given, or one is negative.
    """

    drift: float | None = None
    surprise: float | None = None

    def __post_init__(self) -> None:
        if self.drift is None and self.surprise is None:
            raise ValueError("an adaptive hold that nothing ends: give drift, surprise, or both")
        if min(self.drift or 0.0, self.surprise or 0.0) < 0:
            raise ValueError(f"{self}: expected thresholds of 0 or more")


@dataclass(frozen=True)
class Hold:
    """Each action of a plan is kept for ``rounds`` rounds, unless ``adaptive`` ends the plan before."""

    rounds: int = 1
    adaptive: Adaptive | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"an action held for {self.rounds} rounds: expected at least 1 (decide every round)")

    @property
    def drift(self) -> float | None:
        return None if self.adaptive is None else self.adaptive.drift

    @property
    def surprise(self) -> float | None:
        return None if self.adaptive is None else self.adaptive.surprise


def distance_B(features_BF: np.ndarray, others_BF: np.ndarray) -> np.ndarray:
    """Root mean square difference of normalised features, [B]."""
    return np.sqrt(np.square(features_BF - others_BF).mean(axis=-1))


@dataclass
class Counts:
    """What a policy did: ``rounds`` it steered, ``decisions`` it made, features it looked at without deciding."""

    rounds: int = 0
    decisions: int = 0
    checks: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of rounds that were served from the plan; 0 before any round."""
        return 1.0 - self.decisions / self.rounds if self.rounds else 0.0


@dataclass
class Plan(Generic[A]):
    """The plan of one live decode. ``rounds`` is the decode's growing list: another list is another decode."""

    hold: Hold = field(default_factory=Hold)
    actions: Sequence[A] = ()
    expected: Sequence[float] = ()
    rounds: Sequence[Observed] | None = None
    begun: int = 0

    def make(self, actions: Sequence[A], expected: Sequence[float], rounds: Sequence[Observed]) -> None:
        """Decide after ``rounds``: the actions to come, and what each is ``expected`` to be accepted of it."""
        self.actions, self.expected, self.rounds, self.begun = actions, expected, rounds, len(rounds)

    def age(self, rounds: Sequence[Observed]) -> int:
        """Rounds since the decision; 0 where a new one is due."""
        age = len(rounds) - self.begun
        if rounds is not self.rounds or not 0 < age < len(self.actions) * self.hold.rounds:
            return 0
        surprise = self.hold.surprise
        if surprise is not None:
            expected = self.expected[(age - 1) // self.hold.rounds]
            return 0 if abs(rounds[-1].accepted - expected) > surprise else age
        return age

    def at(self, age: int) -> A:
        """The action of the round that is ``age`` rounds after the decision."""
        return self.actions[age // self.hold.rounds]


class Plans:
    """The plans of B replayed decodes, side by side.

    ``expected_A`` is what each action is expected to be accepted of it. Raises ValueError where the hold asks for
    surprise without it.
    """

    def __init__(self, hold: Hold, decodes: int, expected_A: np.ndarray | None = None) -> None:
        if hold.surprise is not None and expected_A is None:
            raise ValueError("to end a hold by surprise, what each action is expected to bring must be given")
        self.hold, self.expected_A = hold, expected_A
        self.age_B = np.zeros(decodes, dtype=np.int64)
        self.actions_BM = np.zeros((decodes, 1), dtype=np.int64)
        self.features_BF: np.ndarray | None = None
        self._over_B = np.ones(decodes, dtype=bool)

    def due(self, features_BF: np.ndarray | None = None) -> np.ndarray:
        """Which decodes must decide [B], given the normalised features of their rounds (needed for drift only)."""
        due = self._over_B | (self.age_B >= self.actions_BM.shape[1] * self.hold.rounds)
        if self.hold.drift is not None and self.features_BF is not None:
            assert features_BF is not None
            due = due | (distance_B(features_BF, self.features_BF) > self.hold.drift)
        return due

    def make(self, due_B: np.ndarray, actions: np.ndarray, features_BF: np.ndarray | None = None) -> None:
        """Decide where due: ``actions`` [due] or plans [due, M] of the rounds to come."""
        plans = actions[:, None] if actions.ndim == 1 else actions
        if self.actions_BM.shape[1] != plans.shape[1]:
            self.actions_BM = np.zeros((len(due_B), plans.shape[1]), dtype=np.int64)
        self.actions_BM[due_B] = plans
        self.age_B[due_B] = 0
        if features_BF is not None:
            known = np.zeros_like(features_BF) if self.features_BF is None else self.features_BF
            self.features_BF = np.where(due_B[:, None], features_BF, known)

    def take(self) -> np.ndarray:
        """The action of each decode's round, [B]."""
        return self.actions_BM[np.arange(len(self.age_B)), self.age_B // self.hold.rounds]

    def observe(self, actions_B: np.ndarray, accepted_B: np.ndarray) -> None:
        """The round is over: what was accepted of each action."""
        self.age_B += 1
        self._over_B = np.zeros(len(self.age_B), dtype=bool)
        if self.hold.surprise is not None:
            assert self.expected_A is not None
            self._over_B = np.abs(accepted_B - self.expected_A[actions_B]) > self.hold.surprise

    def keep(self, going_B: np.ndarray) -> None:
        """Drop the decodes that are complete."""
        self.age_B, self.actions_BM, self._over_B = self.age_B[going_B], self.actions_BM[going_B], self._over_B[going_B]
        if self.features_BF is not None:
            self.features_BF = self.features_BF[going_B]
