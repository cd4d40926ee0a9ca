"""What does caching an action save, and what does it cost? Raced modes set against one another, a claim at a time.

The reference (Re-SpS, arXiv 2601.12212) holds an action for 10 rounds in training and for 30 in inference, and claims half
the policy calls and 40 to 60% less policy time. A claim is *shown* or *refuted* where the interval over prompts lies wholly
on one side of its bound, else *undecided*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.speculation.race import Entry, Turn
from trimtab.statistics import Interval, paired_ratio

Floats = NDArray[np.float64]
HALF_THE_CALLS, LESS_POLICY_TIME = 0.5, 0.6


@dataclass(frozen=True)
class Mode:
    """One way to learn and to decide. ``hold``: the rounds that a decision lasts."""

    learner: str
    entropy: str
    state: str
    hold: int = 1

    @property
    def name(self) -> str:
        return f"{self.learner}/{self.entropy}/{self.state}/{'every-round' if self.hold == 1 else f'held-{self.hold}'}"

    @property
    def folder(self) -> str:
        """Where its policy is kept: one for all holds."""
        return f"{self.learner}-{self.entropy}-{self.state}"


@dataclass(frozen=True, eq=False)
class Raced:
    """A row that was decoded: its ``entry``, the policy ``calls_TR`` of each turn (T) and repeat (R), and the ``mode``
    (None: no mode, a static tree or the rule of levels). ``learned``: False where its learner beat no static tree."""

    entry: Entry
    calls_TR: Floats
    mode: Mode | None = None
    learned: bool | None = None
    training_seconds: float | None = None

    @property
    def tokens_T(self) -> Floats:
        """Tokens of each turn, over all repeats."""
        return np.array([sum(len(w.tokens) for w in decodes) for decodes in self.entry.decodes_TR], dtype=np.float64)

    @property
    def calls_T(self) -> Floats:
        return self.calls_TR.sum(axis=1)

    @property
    def policy_seconds_T(self) -> Floats:
        return np.array([sum(r.seconds.policy for r in rounds) for rounds in self._rounds_T])

    @property
    def seconds_T(self) -> Floats:
        return np.array([sum(w.seconds for w in decodes) for decodes in self.entry.decodes_TR])

    @property
    def _rounds_T(self) -> list[list[Any]]:
        return [[r for w in decodes if w.generation for r in w.generation.rounds] for decodes in self.entry.decodes_TR]

    @property
    def calls_per_token(self) -> float:
        return float(self.calls_T.sum() / self.tokens_T.sum())

    @property
    def policy_seconds_per_token(self) -> float:
        return float(self.policy_seconds_T.sum() / self.tokens_T.sum())

    @property
    def hit_rate(self) -> float | None:
        """The share of rounds that a held action served; None where there is no mode."""
        if self.mode is None:
            return None
        return 1.0 - float(self.calls_T.sum()) / sum(map(len, self._rounds_T))


Measure = Callable[[Raced], Floats]
"""What a row spent on each turn [T]."""


def calls(row: Raced) -> Floats:
    """Policy calls of each turn."""
    return row.calls_T


def policy_seconds(row: Raced) -> Floats:
    """Seconds of the policy on each turn."""
    return row.policy_seconds_T


def seconds(row: Raced) -> Floats:
    """Seconds of decoding each turn, the policy's included."""
    return row.seconds_T


def spent_ratio(rows: Sequence[Raced], others: Sequence[Raced], measure: Measure, turns: Sequence[Turn]) -> Interval:
    """What ``rows`` spend per token over what ``others`` do, all of a group together, with its interval over prompts."""
    places = _places(turns)

    def summed(group: Sequence[Raced], of: Measure) -> Floats:
        return np.bincount(places, weights=np.sum([of(row) for row in group], axis=0)).astype(np.float64)

    tokens, tokens_others = (summed(group, lambda row: row.tokens_T) for group in (rows, others))
    return paired_ratio(tokens_others, summed(others, measure), summed(rows, measure), tokens_b_P=tokens)


def _places(turns: Sequence[Turn]) -> NDArray[np.int64]:
    """Which prompt each turn belongs to: the turns of a conversation are no independent samples."""
    names = [turn.task.split("/turn")[0] for turn in turns]
    known = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([known[name] for name in names], dtype=np.int64)


def below(interval: Interval, bound: float) -> str:
    """Whether it is shown that something is at most ``bound``."""
    return "shown" if interval.high <= bound else "refuted" if interval.low > bound else "undecided"


def claims(raced: Sequence[Raced], turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The reference's claims for every hold above 1, over all modes and for each state, as rows of JSON.

    Both sides are policies of the same training; they differ in nothing but the rounds that a decision lasts.
    """
    every = {row.mode: row for row in raced if row.mode is not None}
    states = list(dict.fromkeys(mode.state for mode in every))
    made: list[dict[str, Any]] = []
    for hold in sorted({mode.hold for mode in every} - {1}):
        for scope in ("all states", *(states if len(states) > 1 else ())):
            held = [row for mode, row in every.items() if mode.hold == hold and scope in ("all states", mode.state)]
            plain = [every[replace(row.mode, hold=1)] for row in held if row.mode is not None]
            made += _claims_of(hold, scope, held, plain, turns)
    return made


def _claims_of(
    hold: int, scope: str, held: Sequence[Raced], plain: Sequence[Raced], turns: Sequence[Turn]
) -> list[dict[str, Any]]:
    claimed: list[tuple[str, Measure, float]] = [
        ("half the policy calls per token, or fewer", calls, HALF_THE_CALLS),
        ("40% less policy time per token, or less still", policy_seconds, LESS_POLICY_TIME),
        ("no more seconds per token in all", seconds, 1.0),
    ]
    made: list[dict[str, Any]] = []
    for claim, measure, bound in claimed:
        ratio = spent_ratio(held, plain, measure, turns)
        span = {"value": ratio.estimate, "low": ratio.low, "high": ratio.high}
        row = {"claim": claim, "hold": hold, "scope": scope, "measure": measure.__name__, "pairs": len(held)}
        made.append(row | span | {"bound": bound, "verdict": below(ratio, bound)})
    return made


def contrasts(raced: Sequence[Raced], turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Each factor by itself: the speed of one of its levels over that of its first, all else the same."""
    modes = {row.mode: row for row in raced if row.mode is not None}
    made: list[dict[str, Any]] = []
    for factor in ("learner", "entropy", "state", "hold"):
        first, *others = dict.fromkeys(getattr(mode, factor) for mode in modes)
        for level in others:
            rows = [row for mode, row in modes.items() if getattr(mode, factor) == level]
            base = [row for mode, row in modes.items() if getattr(mode, factor) == first]
            speed = spent_ratio(base, rows, seconds, turns)
            span = {"speed": speed.estimate, "low": speed.low, "high": speed.high}
            made.append({"factor": factor, "level": str(level), "against": str(first)} | span)
    return made
